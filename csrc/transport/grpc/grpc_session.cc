#include "transport/grpc/grpc_session.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "base/block_pool.h"

namespace fastserve {
namespace {

using std::chrono::milliseconds;

// While the server holds more than half of what it may, credit comes that much later, and not at
// all while it is full.
constexpr auto kCreditDelay = milliseconds(10);
// The server is full of requests that wait for credit: after so long they are refused, one by one.
constexpr auto kPatience = milliseconds(1000);
// Of a turn of the loop, for runs: each connection has its share, and runs one call at any rate.
// What is more is held back for the next turns, so that who asks for much at once does not keep
// those waiting who ask for little.
constexpr auto kTurn = std::chrono::microseconds(500);

Status Full(std::string_view what, size_t limit) {
  return Status::ResourceExhausted("The server has all the " + std::string(what) +
                                   " in flight that it takes (" + std::to_string(limit) +
                                   "); try again later");
}

}  // namespace

GrpcSession::GrpcSession(Host& host, const MethodTable& methods, const Http2Limits& limits,
                         ServerLoad& load, std::shared_ptr<const CallOrigin> origin)
    : host_(host),
      methods_(methods),
      origin_(std::move(origin)),
      http2_(*this, limits),
      load_(load) {}

GrpcSession::~GrpcSession() { AbandonCalls(); }

Status GrpcSession::Receive(ByteView bytes) {
  expected_ = true;
  burst_end_.reset();
  Status status = http2_.Receive(bytes);
  expected_ = false;
  // Only now: most calls have been answered by the time their deadline would be watched.
  for (const auto& call : new_deadlines_) call->ArmDeadline();
  new_deadlines_.clear();
  return status;
}

void GrpcSession::RunHeld() {
  if (!may_run_held()) return;
  expected_ = true;
  const auto end = EventLoop::Clock::now() + Share();
  do {
    const auto call = std::move(held_.front());
    held_.pop_front();
    call->Run();
  } while (may_run_held() && EventLoop::Clock::now() < end);
  expected_ = false;
}

void GrpcSession::Begin(std::shared_ptr<ServerCall> call, EventLoop::Clock::time_point now) {
  if (!burst_end_) burst_end_ = now + Share();
  if (held_.empty() && !congested() && now < *burst_end_) return call->Run();
  held_.push_back(std::move(call));
}

EventLoop::Clock::duration GrpcSession::Share() const {
  return kTurn / std::max<size_t>(origin_->loop->sharers(), 1);
}

Status GrpcSession::Admit() {
  const LoadLimits& limits = load_.limits();
  if (load_.all_requests() >= limits.requests) return Full("requests", limits.requests);
  if (load_.all_bytes() >= limits.bytes) return Full("bytes", limits.bytes);
  load_.AddRequest();
  return {};
}

void GrpcSession::CreditConnection(size_t bytes) {
  if (owed_credit_ == 0 && load_.all_bytes() <= load_.limits().bytes / 2) {
    return http2_.CreditConnection(bytes);
  }
  owed_credit_ += bytes;
  if (credit_timer_) return;
  overloaded_since_ = EventLoop::Clock::now();
  CreditLater();
}

void GrpcSession::CreditLater() {
  credit_timer_ =
      origin_->loop->AddTimer(EventLoop::Clock::now() + kCreditDelay, [this] { OnCreditTimer(); });
}

void GrpcSession::OnCreditTimer() {
  if (load_.all_bytes() < load_.limits().bytes) {
    credit_timer_ = {};
    http2_.CreditConnection(std::exchange(owed_credit_, 0));
  } else {
    if (EventLoop::Clock::now() - overloaded_since_ >= kPatience) RefuseNewest();
    CreditLater();
  }
  host_.OnOutput();
}

// Of the calls whose request is not complete.
void GrpcSession::RefuseNewest() {
  for (auto call = calls_.rbegin(); call != calls_.rend(); ++call) {
    if ((*call)->Refuse(Full("bytes", load_.limits().bytes))) return;
  }
}

void GrpcSession::AbandonCalls() {
  origin_->loop->CancelTimer(std::exchange(credit_timer_, {}));
  held_.clear();
  const auto calls = std::exchange(calls_, {});
  for (const auto& call : calls) call->Detach();
}

void GrpcSession::WantOutput() {
  if (!expected_) host_.OnOutput();
}

void GrpcSession::WatchDeadline(std::shared_ptr<ServerCall> call) {
  new_deadlines_.push_back(std::move(call));
}

void GrpcSession::Remove(ServerCall& call) {
  if (call.index >= calls_.size() || calls_[call.index].get() != &call) return;
  const auto removed = std::exchange(calls_[call.index], std::move(calls_.back()));
  if (calls_[call.index]) calls_[call.index]->index = call.index;
  calls_.pop_back();
}

Http2Stream* GrpcSession::OnStream(int32_t id) {
  auto call = MakePooled<ServerCall>(id, *this, origin_);
  call->index = calls_.size();
  ++in_flight_;
  ++calls_begun_;
  calls_.push_back(std::move(call));
  return calls_.back().get();
}

}  // namespace fastserve
