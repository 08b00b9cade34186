#include "transport/grpc/grpc_session.h"

#include <utility>

#include "base/block_pool.h"

namespace fastserve {

GrpcSession::GrpcSession(Host& host, const MethodTable& methods, const Http2Limits& limits,
                         std::shared_ptr<const CallOrigin> origin)
    : host_(host), methods_(methods), origin_(std::move(origin)), http2_(*this, limits) {}

GrpcSession::~GrpcSession() { AbandonCalls(); }

Status GrpcSession::Receive(ByteView bytes) {
  receiving_ = true;
  Status status = http2_.Receive(bytes);
  receiving_ = false;
  // Only now: most calls have been answered by the time their deadline would be watched.
  for (const auto& call : new_deadlines_) call->ArmDeadline();
  new_deadlines_.clear();
  return status;
}

void GrpcSession::RunHeld() {
  while (!held_.empty() && !congested()) {
    const auto call = std::move(held_.front());
    held_.pop_front();
    call->Run();
  }
}

void GrpcSession::AbandonCalls() {
  held_.clear();
  const auto calls = std::exchange(calls_, {});
  for (const auto& call : calls) call->Detach();
}

void GrpcSession::WantOutput() {
  if (!receiving_) host_.OnOutput();
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
