#include "metrics/access_log.h"

#include <utility>

namespace fastserve {

void AccessLog::Push(AccessEntry entry) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() == kMaxWaiting) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    waiting_.push_back(std::move(entry));
    if (waiting_.size() > 1) return;  // whoever waits was told of the first
  }
  wake_.notify_one();
}

std::vector<AccessEntry> AccessLog::Take(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, timeout, [this] { return !waiting_.empty(); });
  return std::exchange(waiting_, {});
}

}  // namespace fastserve
