#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "metrics/signature_metrics.h"

namespace fastserve {

// One line of the access log.
struct AccessEntry {
  std::chrono::system_clock::time_point ended;
  RequestOutcome outcome;
  std::string model;
  std::string version;    // empty when none was found
  std::string signature;  // as version
  std::string peer;
  std::string traceparent;  // as the client sent it; empty without one
};

// The requests that have ended, on their way to whoever writes them down. Threads: any.
class AccessLog {
 public:
  // Most entries that wait to be taken; more are dropped.
  static constexpr size_t kMaxWaiting = 65536;

  // From now on entries are kept.
  void Enable() { on_.store(true, std::memory_order_relaxed); }
  bool on() const { return on_.load(std::memory_order_relaxed); }

  void Push(AccessEntry entry);
  // Takes what waits, in order. Waits for the first entry for up to `timeout`.
  std::vector<AccessEntry> Take(std::chrono::milliseconds timeout);
  // Entries that were dropped so far.
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> on_{false};
  std::atomic<uint64_t> dropped_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<AccessEntry> waiting_;
};

}  // namespace fastserve
