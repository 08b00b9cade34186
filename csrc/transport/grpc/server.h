#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_buffer.h"
#include "base/status.h"
#include "transport/grpc/call.h"
#include "transport/grpc/compression.h"
#include "transport/grpc/connection_watch.h"
#include "transport/grpc/server_load.h"
#include "transport/http2/http2_session.h"
#include "transport/net/listener.h"
#include "transport/net/tls_context.h"

namespace fastserve {

// A unary method answered in C++.
struct UnaryMethod {
  // Called on an I/O thread when the request is complete. May answer there and then, or keep the
  // call and answer from any thread. Must not block.
  std::function<void(CallPtr call, ByteBuffer request)> handle;
  // Given the first bytes of a message and its full size, the offset of the byte that should lie on
  // a kTensorAlignment boundary (codec: PayloadOffset); null = 0.
  size_t (*payload_offset)(ByteView head, size_t message_size) = nullptr;
};

// Makes the receiver of a call that no native method takes; null = UNIMPLEMENTED. On an I/O thread.
using FallbackHandler = std::function<std::unique_ptr<CallEvents>(CallPtr call)>;

// Says whether a call to `path` is answered: OK, or how it ends instead. `authorization` is that
// header field's value, or several joined by ", ". On an I/O thread, before the request's body is
// looked at. Must not block.
using Authorizer = std::function<Status(std::string_view path, std::string_view authorization)>;

// What holds for every call.
struct CallOptions {
  // A longer request message is answered with RESOURCE_EXHAUSTED (upstream's limit: INT32_MAX).
  size_t max_message_bytes = 2147483647;
  // An answer with a longer message becomes RESOURCE_EXHAUSTED; gRPC itself carries no longer ones.
  size_t max_sent_message_bytes = UINT32_MAX;
  // Of answers, for clients that accept it and handlers that ask for nothing else.
  Compression compression = Compression::kIdentity;
  // While a connection's peer leaves more than this of its answers untaken, its native calls wait.
  size_t max_buffered_bytes = 64 << 20;
};

// What holds for every connection.
struct ConnectionOptions {
  Http2Limits http2;
  ConnectionLimits limits;
  CallOptions calls;
};

// Limits and sizes of the gRPC port.
struct GrpcServerOptions {
  // "0.0.0.0:8500", "[::]:8500", "unix:/path"; several listen at once. Port 0 = any free port.
  std::vector<std::string> addresses;
  ListenOptions listen;
  // I/O threads, each with an event loop and connections of its own.
  int io_threads = 1;
  // Connections beyond this are closed at once.
  size_t max_connections = 10'000;
  LoadLimits load;
  ConnectionOptions connections;
};

// gRPC over HTTP/2, with TLS or with prior knowledge, on event-loop threads of its own.
// Threads: AddUnary(), SetFallback() and SetAuthorizer() before Start(); SetTls() at any time from
// any thread; Shutdown()
//   and ports() from any thread afterwards.
class GrpcServer {
 public:
  explicit GrpcServer(GrpcServerOptions options);
  ~GrpcServer();  // as Shutdown(0)
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;

  // `path` is "/package.Service/Method".
  void AddUnary(std::string path, UnaryMethod method);
  void SetFallback(FallbackHandler handler);
  // Without one, every call is answered, and `authorization` is metadata as any other.
  void SetAuthorizer(Authorizer authorizer);
  // Connections accepted from now on speak TLS, on every address; those that are open stay as they
  // are.
  void SetTls(std::shared_ptr<const TlsContext> tls);

  // Binds every address, or none. The error names the address and says why.
  Status Start();
  // Bound TCP ports in the order of the addresses; 0 for a unix address.
  std::vector<int> ports() const;

  // Connections that are open. Any thread, after Start().
  size_t connections() const;

  // Stops accepting, sends GOAWAY, lets calls in flight finish for up to `grace`, then closes what
  // is left (calls still running are done()) and joins the threads. True if nothing was cut off.
  bool Shutdown(std::chrono::milliseconds grace);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fastserve
