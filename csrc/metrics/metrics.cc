#include "metrics/metrics.h"

#include <algorithm>
#include <utility>

namespace fastserve {
namespace {

// Calls `take(series, totals)` for each method, protocol and code that has requests.
template <class Take>
void ForEachRequests(const SignatureMetrics& metrics, Take take) {
  for (size_t method = 0; method < kApiMethods; ++method) {
    for (size_t protocol = 0; protocol < kProtocols; ++protocol) {
      for (size_t code = 0; code < kStatusCodes; ++code) {
        RequestSeries series{.model = metrics.model(),
                             .version = metrics.version(),
                             .signature = metrics.signature(),
                             .method = static_cast<ApiMethod>(method),
                             .protocol = static_cast<Protocol>(protocol),
                             .code = static_cast<StatusCode>(code)};
        const auto* requests = metrics.requests(series.method, series.protocol, series.code);
        if (requests == nullptr) continue;
        const std::vector<uint64_t> bytes = requests->bytes.Sums();
        take(std::move(series), RequestTotals{requests->latency.Read(), bytes[0], bytes[1]});
      }
    }
  }
}

// Calls `take(series, data)` for each method that has runs.
template <class Take>
void ForEachRuns(const SignatureMetrics& metrics, Take take) {
  for (size_t method = 0; method < kApiMethods; ++method) {
    const Histogram* runs = metrics.runs(static_cast<ApiMethod>(method));
    if (runs == nullptr) continue;
    take(RunSeries{metrics.model(), metrics.version(), metrics.signature(),
                   static_cast<ApiMethod>(method)},
         runs->Read());
  }
}

void Accumulate(RequestTotals& into, const RequestTotals& totals) {
  into.latency += totals.latency;
  into.bytes_in += totals.bytes_in;
  into.bytes_out += totals.bytes_out;
}

}  // namespace

const BucketLimits& BatchingSessionMetrics::QueueLimits() {
  static const BucketLimits limits = ExponentialLimits(100'000, 1.2, 52);
  return limits;
}

const BucketLimits& BatchingSessionMetrics::SizeLimits() {
  static const BucketLimits limits = ExponentialLimits(1, 2, 14);
  return limits;
}

Metrics& Metrics::Instance() {
  static Metrics& instance = *new Metrics;  // outlives every thread
  return instance;
}

void Metrics::RecordUnrouted(std::string_view model, const RequestOutcome& outcome) {
  const std::lock_guard lock(mutex_);
  RequestTotals& totals = unrouted_[{.model = CountedName(model),
                                     .version = {},
                                     .signature = {},
                                     .method = outcome.method,
                                     .protocol = outcome.protocol,
                                     .code = outcome.code}];
  if (totals.latency.counts.empty()) totals.latency = HistogramData(LatencyLimits());
  totals.latency.Record(LatencyLimits(), static_cast<uint64_t>(outcome.latency.count()));
  totals.bytes_in += outcome.bytes_in;
  totals.bytes_out += outcome.bytes_out;
}

std::string Metrics::CountedName(std::string_view model) {
  if (unrouted_models_.size() < kMaxUnknownModels) unrouted_models_.emplace(model);
  const bool known = unrouted_models_.contains(model) ||
                     std::any_of(signatures_.begin(), signatures_.end(),
                                 [model](const auto* each) { return each->model() == model; });
  return std::string(known ? model : kOtherModel);
}

void Metrics::RecordPadding(size_t batch_rows, size_t padding) {
  const BucketLimits& limits = BatchingSessionMetrics::SizeLimits();
  const std::lock_guard lock(mutex_);
  const auto [found, is_new] = padding_size_.try_emplace(batch_rows, limits);
  found->second.Record(limits, padding);
}

void Metrics::Add(const SignatureMetrics& metrics) {
  const std::lock_guard lock(mutex_);
  signatures_.insert(&metrics);
}

void Metrics::Retire(const SignatureMetrics& metrics) {
  const std::lock_guard lock(mutex_);
  signatures_.erase(&metrics);
  ForEachRequests(metrics, [this](RequestSeries series, const RequestTotals& totals) {
    series.version.clear();
    series.signature.clear();
    Accumulate(retired_requests_[std::move(series)], totals);
  });
  ForEachRuns(metrics, [this](RunSeries series, const HistogramData& data) {
    series.version.clear();
    series.signature.clear();
    retired_runs_[std::move(series)] += data;
  });
  if (const Histogram* examples = metrics.examples()) {
    retired_examples_[metrics.model()] += examples->Read();
  }
}

void Metrics::Add(const BatchingMetrics& metrics) {
  const std::lock_guard lock(mutex_);
  batching_.insert(&metrics);
}

void Metrics::Retire(const BatchingMetrics& metrics) {
  const std::lock_guard lock(mutex_);
  batching_.erase(&metrics);
}

void Metrics::Add(const ReplicaMetrics& metrics) {
  const std::lock_guard lock(mutex_);
  replicas_.insert(&metrics);
}

void Metrics::Retire(const ReplicaMetrics& metrics) {
  const std::lock_guard lock(mutex_);
  replicas_.erase(&metrics);
}

MetricsSnapshot Metrics::Read() const {
  MetricsSnapshot snapshot;
  const std::lock_guard lock(mutex_);
  snapshot.requests.assign(unrouted_.begin(), unrouted_.end());
  snapshot.retired_requests.assign(retired_requests_.begin(), retired_requests_.end());
  snapshot.retired_runs.assign(retired_runs_.begin(), retired_runs_.end());
  snapshot.examples = retired_examples_;
  for (const SignatureMetrics* metrics : signatures_) {
    ForEachRequests(*metrics, [&](RequestSeries series, RequestTotals totals) {
      snapshot.requests.emplace_back(std::move(series), std::move(totals));
    });
    ForEachRuns(*metrics, [&](RunSeries series, HistogramData data) {
      snapshot.runs.emplace_back(std::move(series), std::move(data));
    });
    if (const Histogram* examples = metrics->examples()) {
      snapshot.examples[metrics->model()] += examples->Read();
    }
  }
  for (const BatchingMetrics* metrics : batching_) {
    snapshot.batching.push_back({metrics->model(), metrics->version(), metrics->queued().Read(),
                                 metrics->rows().Read(), metrics->padding().Sums()[0]});
  }
  for (const ReplicaMetrics* metrics : replicas_) {
    snapshot.replicas.push_back({metrics->model(), metrics->version(), metrics->runs()});
  }
  snapshot.worker_queue = worker_queue_.Read();
  snapshot.queuing_latency = batching_session_.queuing_latency.Read();
  snapshot.input_batch_size = batching_session_.input_batch_size.Read();
  snapshot.processed_batch_size = batching_session_.processed_batch_size.Read();
  snapshot.padding_size = padding_size_;
  const std::vector<uint64_t> in_flight = in_flight_.Sums();
  for (size_t i = 0; i < kProtocols; ++i) {
    snapshot.in_flight[i] = static_cast<int64_t>(in_flight[i]);
  }
  snapshot.access_log_dropped = access_log_.dropped();
  snapshot.request_log_dropped = request_log_.dropped();
  snapshot.traces_dropped = traces_.dropped();
  return snapshot;
}

}  // namespace fastserve
