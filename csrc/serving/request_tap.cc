#include "serving/request_tap.h"

#include <utility>

namespace fastserve {

Status RequestTap::Start(std::string model, size_t limit) {
  if (model.empty()) return Status::InvalidArgument("a capture needs the name of a model");
  if (limit == 0)
    return Status::InvalidArgument("the limit of a capture is 0; it must be 1 or more");
  const std::lock_guard lock(mutex_);
  if (on_) {
    return Status::FailedPrecondition("requests for model " + model_ +
                                      " are being captured already");
  }
  model_ = std::move(model);
  limit_ = limit;
  dropped_ = 0;
  on_ = true;
  return {};
}

size_t RequestTap::Stop() {
  const std::lock_guard lock(mutex_);
  if (!on_) return 0;
  on_ = false;
  bytes_ = 0;
  const size_t untaken = std::exchange(captured_, {}).size();
  wake_.notify_all();
  return dropped_ + untaken;
}

void RequestTap::Capture(std::string_view model, ByteView request) {
  const std::lock_guard lock(mutex_);
  if (!on_ || model != model_) return;
  if (captured_.size() == limit_ || request.size() > kMaxBytes - bytes_) {
    ++dropped_;
    return;
  }
  captured_.emplace_back(request);
  bytes_ += request.size();
  wake_.notify_one();
}

std::vector<std::string> RequestTap::Take(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, timeout, [this] { return !on_ || !captured_.empty(); });
  bytes_ = 0;
  return std::exchange(captured_, {});
}

}  // namespace fastserve
