#include "metrics/signature_metrics.h"

#include <utility>

#include "metrics/metrics.h"

namespace fastserve {

SignatureMetrics::SignatureMetrics(std::string model, int64_t version, std::string signature)
    : model_(std::move(model)),
      version_(std::to_string(version)),
      signature_(std::move(signature)) {
  Metrics::Instance().Add(*this);
}

SignatureMetrics::~SignatureMetrics() { Metrics::Instance().Retire(*this); }

void SignatureMetrics::RecordRequest(const RequestOutcome& outcome) {
  Requests& requests = requests_[Place(outcome.method, outcome.protocol, outcome.code)].Get();
  requests.latency.Record(outcome.latency);
  requests.bytes.Add(0, outcome.bytes_in);
  requests.bytes.Add(1, outcome.bytes_out);
}

void SignatureMetrics::RecordRun(ApiMethod method, std::chrono::nanoseconds elapsed) {
  runs_[static_cast<size_t>(method)].Get(LatencyLimits()).Record(elapsed);
}

void SignatureMetrics::RecordExamples(size_t examples) {
  static const BucketLimits limits = ExponentialLimits(1, 2, 15);
  examples_.Get(limits).Record(examples);
}

}  // namespace fastserve
