#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "transport/grpc/method_table.h"
#include "transport/grpc/server_call.h"
#include "transport/grpc/server_load.h"
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

  // `host`, `methods` and `load` outlive this.
  GrpcSession(Host& host, const MethodTable& methods, const Http2Limits& limits, ServerLoad& load,
              std::shared_ptr<const CallOrigin> origin);
  ~GrpcSession() override;  // the calls left are done()

  // Takes what the socket has brought; native methods run inside, and the host is not told of
  // output, since it asks anyway. Not OK: send what is pending, then close.
  Status Receive(ByteView bytes);
  Http2Session& http2() { return http2_; }
  const Http2Session& http2() const { return http2_; }

  // Calls whose answer is not wholly handed to http2() yet.
  size_t calls_in_flight() const { return in_flight_; }
  // Calls since the begin.
  uint64_t calls_begun() const { return calls_begun_; }
  // Bytes of answers that http2() has taken since the begin, and those that wait for that.
  uint64_t bytes_taken() const { return bytes_taken_; }
  size_t bytes_waiting() const { return bytes_waiting_; }
  // Calls were held back that may run now: RunHeld() at the end of the loop's next turn.
  bool may_run_held() const { return !held_.empty() && !congested(); }
  // Runs them, one at least, as far as the session's share of the turn lasts. The host asks for
  // their output.
  void RunHeld();
  // Lets other connections know what this one holds now: once after each burst.
  void PublishLoad() { load_.Publish(); }
  // Ends every call; the peer is told nothing.
  void AbandonCalls();

  // For ServerCall.
  const MethodTable& methods() const { return methods_; }
  void WantOutput();
  void WatchDeadline(std::shared_ptr<ServerCall> call);
  // Counts a native call against the server's limits, or says why it cannot be taken.
  Status Admit();
  void OnAnswered(bool admitted) {
    --in_flight_;
    if (admitted) load_.DropRequest();
  }
  void OnBytesWait(size_t bytes) {
    bytes_waiting_ += bytes;
    load_.AddBytes(bytes);
  }
  void OnBytesTaken(size_t bytes) {
    OnBytesDropped(bytes);
    bytes_taken_ += bytes;
  }
  void OnBytesDropped(size_t bytes) {
    bytes_waiting_ -= bytes;
    load_.DropBytes(bytes);
  }
  // A call holds more or fewer bytes of its request.
  void OnRequestHeld(size_t bytes) { load_.AddBytes(bytes); }
  void OnRequestDropped(size_t bytes) { load_.DropBytes(bytes); }
  // Gives the peer credit on the connection: later, while the server holds much.
  void CreditConnection(size_t bytes);
  // Runs `call`, whose request was complete at `now`: at once or, when its turn has not come,
  // later.
  void Begin(std::shared_ptr<ServerCall> call, EventLoop::Clock::time_point now);
  void Remove(ServerCall& call);

 private:
  Http2Stream* OnStream(int32_t id) override;
  // The peer leaves so much of its answers that no more are to be made for it.
  bool congested() const { return bytes_waiting_ > origin_->options.max_buffered_bytes; }
  // Of this turn of the loop.
  EventLoop::Clock::duration Share() const;
  void CreditLater();
  void OnCreditTimer();
  void RefuseNewest();

  Host& host_;
  const MethodTable& methods_;
  const std::shared_ptr<const CallOrigin> origin_;
  Http2Session http2_;
  LoadShare load_;
  std::vector<std::shared_ptr<ServerCall>> calls_;
  std::vector<std::shared_ptr<ServerCall>> new_deadlines_;  // to be armed after this burst
  std::list<std::shared_ptr<ServerCall>> held_;             // costs nothing while it is empty
  size_t owed_credit_ = 0;                                  // of the connection
  EventLoop::TimerId credit_timer_;
  EventLoop::Clock::time_point overloaded_since_;  // while that runs
  size_t in_flight_ = 0;
  uint64_t calls_begun_ = 0;
  uint64_t bytes_taken_ = 0;
  size_t bytes_waiting_ = 0;
  std::optional<EventLoop::Clock::time_point> burst_end_;  // until then calls run as they come in
  bool expected_ = false;  // by the host: it asks for output when this returns
};

}  // namespace fastserve
