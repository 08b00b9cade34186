#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_buffer.h"
#include "base/status.h"

namespace fastserve {

// Copies the requests that one model answers, for whoever records them. Off, it costs a request one
// load. Threads: any.
class RequestTap {
 public:
  // Most bytes that wait to be taken.
  static constexpr size_t kMaxBytes = 256 << 20;

  // Begins to capture requests for `model`, of which at most `limit` wait to be taken; others are
  // dropped. kInvalidArgument for an empty name or a limit of 0, kFailedPrecondition while on.
  Status Start(std::string model, size_t limit);
  // Ends the capture and every Take(); what was not taken is dropped. Answers how many requests
  // were dropped since Start(). Off, it does nothing.
  size_t Stop();

  // `request` was answered by `model`: keeps a copy where that is wanted.
  void Offer(std::string_view model, ByteView request) {
    if (on_.load(std::memory_order_relaxed)) Capture(model, request);
  }
  // Takes what was captured, in order. Waits for the first one for up to `timeout`, while on.
  std::vector<std::string> Take(std::chrono::milliseconds timeout);

 private:
  void Capture(std::string_view model, ByteView request);

  std::atomic<bool> on_{false};  // written under mutex_
  std::mutex mutex_;
  std::condition_variable wake_;
  std::string model_;
  size_t limit_ = 0;
  size_t dropped_ = 0;
  size_t bytes_ = 0;  // in captured_
  std::vector<std::string> captured_;
};

}  // namespace fastserve
