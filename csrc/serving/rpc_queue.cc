#include "serving/rpc_queue.h"

#include <utility>

namespace fastserve {

Result<std::optional<ByteBuffer>> BlockingCall::Receive() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !messages_.empty() || half_closed_ || call_->done(); });
  if (call_->done()) return Status::Cancelled("the call is no longer active");
  if (messages_.empty()) return std::optional<ByteBuffer>();
  ByteBuffer message = std::move(messages_.front());
  messages_.pop_front();
  lock.unlock();
  call_->MessageConsumed(message.size());
  return std::optional<ByteBuffer>(std::move(message));
}

Status BlockingCall::Send(ByteChain message, bool compress) {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock,
                  [this] { return call_->buffered_bytes() <= kMaxBufferedBytes || call_->done(); });
  }
  if (call_->done()) return Status::Cancelled("the call is no longer active");
  call_->SendMessage(std::move(message), compress);
  return {};
}

// Turns a call's events into the state that BlockingCall waits for.
class RpcQueue::Receiver : public CallEvents {
 public:
  Receiver(RpcQueue& queue, BlockingCallPtr call) : queue_(queue), call_(std::move(call)) {}

  void OnMessage(ByteBuffer message) override {
    const std::lock_guard lock(call_->mutex_);
    call_->messages_.push_back(std::move(message));
    call_->changed_.notify_all();
  }
  void OnHalfClose() override {
    const std::lock_guard lock(call_->mutex_);
    call_->half_closed_ = true;
    call_->changed_.notify_all();
  }
  void OnDrained() override { Notify(); }
  void OnDone() override {
    Notify();
    queue_.events_.Push({call_, false});
  }

 private:
  // Under the lock, so that a waiter between its check and its wait does not miss the change.
  void Notify() {
    const std::lock_guard lock(call_->mutex_);
    call_->changed_.notify_all();
  }

  RpcQueue& queue_;
  const BlockingCallPtr call_;
};

void RpcQueue::Register(GrpcServer& server) {
  server.SetFallback([this](CallPtr call) -> std::unique_ptr<CallEvents> {
    auto blocking = std::make_shared<BlockingCall>(std::move(call));
    events_.Push({blocking, true});
    return std::make_unique<Receiver>(*this, std::move(blocking));
  });
}

}  // namespace fastserve
