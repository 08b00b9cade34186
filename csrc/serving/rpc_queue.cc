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
    queue_.Push({call_, false});
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
    Push({blocking, true});
    return std::make_unique<Receiver>(*this, std::move(blocking));
  });
}

std::optional<RpcQueue::Event> RpcQueue::Next() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return closed_ || !events_.empty(); });
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void RpcQueue::Close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  wake_.notify_all();
}

void RpcQueue::Push(Event event) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    events_.push_back(std::move(event));
  }
  wake_.notify_one();
}

}  // namespace fastserve
