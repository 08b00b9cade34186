#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace fastserve {

// Counts what is open and tells when nothing is any more. Any thread.
class ConnectionGate {
 public:
  void Enter() {
    const std::lock_guard lock(mutex_);
    ++open_;
  }
  void Leave() {
    const std::lock_guard lock(mutex_);
    if (--open_ == 0) empty_.notify_all();
  }
  // Waits until nothing is open; false when that took until `until`.
  bool WaitEmpty(std::chrono::steady_clock::time_point until) {
    std::unique_lock lock(mutex_);
    return empty_.wait_until(lock, until, [this] { return open_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable empty_;
  size_t open_ = 0;
};

}  // namespace fastserve
