#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "transport/grpc/call.h"

namespace fastserve {

// Works for longer than all runs of a turn of the loop may take.
inline void OutlastTurn() {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
  while (std::chrono::steady_clock::now() < until) continue;
}

// What a streaming handler was told, written on the I/O thread and read by the test.
class CallLog {
 public:
  void Add(std::string line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
    changed_.notify_all();
  }
  std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  // Waits until `line` has come; false when that takes too long.
  bool WaitFor(const std::string& line) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] {
      return std::find(lines_.begin(), lines_.end(), line) != lines_.end();
    });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
};

// Writes down what it is told; a message by its text, or by its size when that is long.
class RecordedCall : public CallEvents {
 public:
  explicit RecordedCall(CallLog& log) : log_(log) {}

  void OnMessage(ByteBuffer message) override {
    const bool is_short = message.size() < 100;
    log_.Add("message " +
             (is_short ? std::string(message.view()) : std::to_string(message.size())));
  }
  void OnHalfClose() override { log_.Add("half-close"); }
  void OnDrained() override { log_.Add("drained"); }
  void OnDone() override { log_.Add("done"); }

 private:
  CallLog& log_;
};

}  // namespace fastserve
