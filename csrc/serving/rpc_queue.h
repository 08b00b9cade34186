#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "base/blocking_queue.h"
#include "base/byte_buffer.h"
#include "base/status.h"
#include "transport/grpc/server.h"

namespace fastserve {

class RpcQueue;

// An RPC answered by blocking code: the control plane's view of a Call. Any thread; Receive() and
// Send() wait, so never on an I/O thread.
class BlockingCall {
 public:
  // A writer waits while more than this is on its way to a slow reader.
  static constexpr size_t kMaxBufferedBytes = 4 << 20;

  explicit BlockingCall(CallPtr call) : call_(std::move(call)) {}

  Call& call() const { return *call_; }
  // The next request message, or nothing after the last one. kCancelled once the call is done.
  Result<std::optional<ByteBuffer>> Receive();
  // kCancelled once the call is done; the message is then dropped.
  Status Send(ByteChain message, bool compress = true);

 private:
  friend class RpcQueue;

  const CallPtr call_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<ByteBuffer> messages_;
  bool half_closed_ = false;
};
using BlockingCallPtr = std::shared_ptr<BlockingCall>;

// Hands the calls that no native method takes to threads that answer them, and tells them when a
// call is done.
class RpcQueue {
 public:
  struct Event {
    BlockingCallPtr call;
    bool started;  // else done
  };

  // Sends every call of `server` without a native method here; this object must outlive it.
  void Register(GrpcServer& server);
  // Waits for the next event; nothing after Close(). Any thread.
  std::optional<Event> Next() { return events_.Next(); }
  // Lets every Next() return nothing once the events before it are taken.
  void Close() { events_.Close(); }

 private:
  class Receiver;

  BlockingQueue<Event> events_;
};

}  // namespace fastserve
