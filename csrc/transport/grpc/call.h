#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/byte_buffer.h"
#include "base/byte_chain.h"
#include "base/status.h"
#include "metrics/request_record.h"
#include "transport/grpc/compression.h"

namespace fastserve {

// Header fields in order, keys in lower case. Values of keys that end in "-bin" are the raw bytes
// here; base64 exists on the wire only (gRPC over HTTP/2, section "Custom-Metadata").
using Metadata = std::vector<std::pair<std::string, std::string>>;

// One RPC on the server's side, from its headers to its trailers.
// Threads: every function may be called from any thread. Called on the I/O thread that owns the
//   connection the replies take effect at once, from elsewhere they are posted to it.
// Lifetime: shared; a handler keeps its pointer as long as it wants to answer. Answers to a call
//   that is done are dropped.
class Call {
 public:
  using Clock = std::chrono::steady_clock;

  virtual ~Call() = default;

  // "/package.Service/Method", as the client sent it.
  virtual std::string_view path() const = 0;
  // The request's custom metadata. Kept only for streaming (fallback) calls; empty for native
  // unary.
  virtual const Metadata& metadata() const = 0;
  // "ipv4:127.0.0.1:1234", "ipv6:[::1]:1234" or "unix:", as grpc.ServicerContext.peer() gives it.
  virtual std::string peer() const = 0;
  // From grpc-timeout; nothing when the client set none.
  virtual std::optional<Clock::time_point> deadline() const = 0;
  // True once no answer is wanted any more: answered, cancelled, expired, or the peer has gone.
  virtual bool done() const = 0;

  // Answers with one message and status OK.
  virtual void Reply(ByteChain message) = 0;
  // Answers with a status and no message (for a stream: ends it). After the first end: ignored.
  virtual void Finish(Status status, Metadata trailing = {}) = 0;

  // For streams. Initial metadata goes out before the first message; if never given, it is empty.
  virtual void SendInitialMetadata(Metadata metadata) = 0;
  // Messages are compressed so from now on, if the client accepts it; before any of them and the
  // initial metadata. Without it, as the server's options say.
  virtual void SetCompression(Compression compression) = 0;
  // `compress`: whether this one may be, if the others are. A message longer than the server's
  // options allow ends the call with RESOURCE_EXHAUSTED.
  virtual void SendMessage(ByteChain message, bool compress = true) = 0;
  // Bytes given to SendMessage() and not yet taken by the socket, so that a writer can hold back.
  virtual size_t buffered_bytes() const = 0;
  // Gives flow-control credit for a request message of `bytes` that the handler has consumed.
  virtual void MessageConsumed(size_t bytes) = 0;

  // What is counted of a native unary call. Its handler notes there what is asked for, before it
  // answers or hands the call to another thread; the call itself notes the rest.
  RequestRecord& record() { return record_; }

 private:
  RequestRecord record_;
};
using CallPtr = std::shared_ptr<Call>;

// What a streaming handler is told; each function is called on the call's I/O thread and must not
// block. Unary RPCs that are not native come this way too: one message, then half-close.
class CallEvents {
 public:
  virtual ~CallEvents() = default;
  virtual void OnMessage(ByteBuffer message) = 0;
  // The client will send no more messages.
  virtual void OnHalfClose() = 0;
  // buffered_bytes() has come down to zero.
  virtual void OnDrained() = 0;
  // The call is done, for whatever reason. The last event.
  virtual void OnDone() = 0;
};

}  // namespace fastserve
