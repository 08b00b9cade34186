#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace fastserve {

// Reports of requests that have ended, on their way to whoever writes or sends them. Threads: any.
template <class Report>
class ReportQueue {
 public:
  // At most so many reports wait to be taken; more are dropped.
  explicit ReportQueue(size_t max_waiting) : max_waiting_(max_waiting) {}

  // From now on reports are wanted.
  void Enable() { on_.store(true, std::memory_order_relaxed); }
  bool on() const { return on_.load(std::memory_order_relaxed); }

  void Push(Report report) {
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.size() == max_waiting_) {
        dropped_.fetch_add(1, std::memory_order_relaxed);
        return;
      }
      waiting_.push_back(std::move(report));
      if (waiting_.size() > 1) return;  // whoever waits was told of the first
    }
    wake_.notify_one();
  }
  // Takes what waits, in order. Waits for the first report for up to `timeout`.
  std::vector<Report> Take(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, timeout, [this] { return !waiting_.empty(); });
    return std::exchange(waiting_, {});
  }
  // Reports that were dropped so far.
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  const size_t max_waiting_;
  std::atomic<bool> on_{false};
  std::atomic<uint64_t> dropped_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Report> waiting_;
};

}  // namespace fastserve
