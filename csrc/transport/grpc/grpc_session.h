#pragma once

#include <memory>
#include <vector>

#include "transport/grpc/method_table.h"
#include "transport/grpc/server_call.h"
#include "transport/http2/http2_session.h"

namespace fastserve {

// The calls of one connection, without its socket: bytes in, calls to the methods' handlers, bytes
// out. Threads: the loop's.
class GrpcSession : private Http2Events {
 public:
  class Host {
   public:
    virtual ~Host() = default;
    // A call has something to send: Pull() before the loop waits again.
    virtual void OnOutput() = 0;
  };

  // `host` and `methods` outlive this.
  GrpcSession(Host& host, const MethodTable& methods, std::shared_ptr<const CallOrigin> origin);
  ~GrpcSession() override;  // the calls left are done()

  // Takes what the socket has brought; native methods run inside, and the host is not told of
  // output, since it asks anyway. Not OK: send what is pending, then close.
  Status Receive(ByteView bytes);
  Http2Session& http2() { return http2_; }
  const Http2Session& http2() const { return http2_; }

  // Calls whose answer is not wholly handed to http2() yet.
  size_t calls_in_flight() const { return in_flight_; }
  // Ends every call; the peer is told nothing.
  void AbandonCalls();

  // For ServerCall.
  const MethodTable& methods() const { return methods_; }
  void WantOutput();
  void WatchDeadline(std::shared_ptr<ServerCall> call);
  void OnAnswered() { --in_flight_; }
  void Remove(ServerCall& call);

 private:
  Http2Stream* OnStream(int32_t id) override;

  Host& host_;
  const MethodTable& methods_;
  const std::shared_ptr<const CallOrigin> origin_;
  Http2Session http2_;
  std::vector<std::shared_ptr<ServerCall>> calls_;
  std::vector<std::shared_ptr<ServerCall>> new_deadlines_;  // to be armed after this burst
  size_t in_flight_ = 0;
  bool receiving_ = false;
};

}  // namespace fastserve
