#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/byte_buffer.h"
#include "base/byte_chain.h"
#include "metrics/signature_metrics.h"

namespace fastserve {

// A request that was answered, and its answer, both serialized.
struct LoggedRequest {
  std::chrono::system_clock::time_point answered;
  std::string model;
  std::string version;
  std::string signature;
  ApiMethod method;
  std::string request;
  std::string answer;
};

// Copies of a share of the requests that models answer over gRPC, on their way to whoever writes
// them down. Off, it costs a request one load. Threads: any.
class RequestLog {
 public:
  // Model -> the share of its requests that is kept, from 0 to 1.
  using Rates = std::map<std::string, double, std::less<>>;
  // Most bytes that wait to be taken; what comes more is dropped.
  static constexpr size_t kMaxBytes = 64 << 20;

  // Replaces all shares; a model that is not named has none.
  void SetRates(Rates rates);
  // `signature` has answered `request` with `answer`: keeps copies of some.
  void Offer(const SignatureMetrics& signature, ApiMethod method, ByteView request,
             const ByteChain& answer) {
    if (on_.load(std::memory_order_relaxed)) Sample(signature, method, request, answer);
  }
  // Takes what was kept so far, in order.
  std::vector<LoggedRequest> Take();
  // Requests that should have been kept and were not.
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  void Sample(const SignatureMetrics& signature, ApiMethod method, ByteView request,
              const ByteChain& answer);

  std::atomic<bool> on_{false};
  std::atomic<uint64_t> dropped_{0};
  std::atomic<std::shared_ptr<const Rates>> rates_{std::make_shared<const Rates>()};
  std::mutex mutex_;
  size_t bytes_ = 0;  // in kept_
  std::vector<LoggedRequest> kept_;
};

}  // namespace fastserve
