#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "metrics/histogram.h"

namespace fastserve {

// What a request asks for; kNone when it did not get as far as that.
enum class ApiMethod : uint8_t { kNone, kPredict, kClassify, kRegress, kMultiInference };
constexpr size_t kApiMethods = 5;
// How it came.
enum class Protocol : uint8_t { kGrpc, kRest };
constexpr size_t kProtocols = 2;
constexpr size_t kStatusCodes = 17;

// An object that is made when it is first wanted, by whichever thread that is.
template <class T>
class Lazy {
 public:
  Lazy() = default;
  ~Lazy() { delete made_.load(std::memory_order_acquire); }
  Lazy(const Lazy&) = delete;
  Lazy& operator=(const Lazy&) = delete;

  template <class... Args>
  T& Get(Args&&... args) {
    if (T* made = made_.load(std::memory_order_acquire)) return *made;
    auto fresh = std::make_unique<T>(std::forward<Args>(args)...);
    T* expected = nullptr;
    if (!made_.compare_exchange_strong(expected, fresh.get())) return *expected;
    return *fresh.release();
  }
  // Null when it was never wanted.
  const T* Peek() const { return made_.load(std::memory_order_acquire); }

 private:
  std::atomic<T*> made_{nullptr};
};

// One request that has ended.
struct RequestOutcome {
  ApiMethod method = ApiMethod::kNone;
  Protocol protocol = Protocol::kGrpc;
  StatusCode code = StatusCode::kOk;
  std::chrono::nanoseconds latency{0};
  size_t bytes_in = 0;
  size_t bytes_out = 0;
};

// What is counted of one signature of one loaded version. Known to Metrics as long as it lives;
// what it has counted goes on in the model's totals.
// Threads: any; recording takes neither a lock nor, but for the first time of its kind, memory.
class SignatureMetrics {
 public:
  // Requests of one method, protocol and code.
  struct Requests {
    Histogram latency{LatencyLimits()};  // ns
    ShardedCells bytes{2};               // in, out
  };

  SignatureMetrics(std::string model, int64_t version, std::string signature);
  ~SignatureMetrics();
  SignatureMetrics(const SignatureMetrics&) = delete;
  SignatureMetrics& operator=(const SignatureMetrics&) = delete;

  void RecordRequest(const RequestOutcome& outcome);
  // One successful run of the session, the wait for a batch included.
  void RecordRun(ApiMethod method, std::chrono::nanoseconds elapsed);
  // The examples of one MultiInference whose first task this is.
  void RecordExamples(size_t examples);

  const std::string& model() const { return model_; }
  const std::string& version() const { return version_; }
  const std::string& signature() const { return signature_; }
  // Null: none yet.
  const Requests* requests(ApiMethod method, Protocol protocol, StatusCode code) const {
    return requests_[Place(method, protocol, code)].Peek();
  }
  const Histogram* runs(ApiMethod method) const {
    return runs_[static_cast<size_t>(method)].Peek();
  }
  const Histogram* examples() const { return examples_.Peek(); }

 private:
  static size_t Place(ApiMethod method, Protocol protocol, StatusCode code) {
    return (static_cast<size_t>(method) * kProtocols + static_cast<size_t>(protocol)) *
               kStatusCodes +
           static_cast<size_t>(code);
  }

  const std::string model_;
  const std::string version_;
  const std::string signature_;
  std::array<Lazy<Requests>, kApiMethods * kProtocols * kStatusCodes> requests_;
  std::array<Lazy<Histogram>, kApiMethods> runs_;
  Lazy<Histogram> examples_;
};
using SignatureMetricsPtr = std::shared_ptr<SignatureMetrics>;

}  // namespace fastserve
