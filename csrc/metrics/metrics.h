#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "metrics/batching_metrics.h"
#include "metrics/histogram.h"
#include "metrics/replica_metrics.h"
#include "metrics/request_log.h"
#include "metrics/request_trace.h"
#include "metrics/signature_metrics.h"

namespace fastserve {

// Requests by what distinguishes them. Of requests that found no signature, version and signature
// are empty.
struct RequestSeries {
  std::string model;
  std::string version;
  std::string signature;
  ApiMethod method;
  Protocol protocol;
  StatusCode code;

  auto operator<=>(const RequestSeries&) const = default;
};
struct RequestTotals {
  HistogramData latency;  // ns
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
};

struct RunSeries {
  std::string model;
  std::string version;
  std::string signature;
  ApiMethod method;

  auto operator<=>(const RunSeries&) const = default;
};

// TensorFlow Serving's metrics of batching (batching/batching_session.cc): one for the process.
struct BatchingSessionMetrics {
  static const BucketLimits& QueueLimits();  // ns
  static const BucketLimits& SizeLimits();   // exclusive, as upstream's

  Histogram queuing_latency{QueueLimits()};
  Histogram input_batch_size{SizeLimits()};
  Histogram processed_batch_size{SizeLimits()};
};

// What a reader of the metrics sees at one moment.
struct MetricsSnapshot {
  template <class Key, class Value>
  using Rows = std::vector<std::pair<Key, Value>>;
  struct Batching {
    std::string model;
    std::string version;
    HistogramData queued;
    HistogramData rows;
    uint64_t padding;
  };
  struct Replicas {
    std::string model;
    std::string version;
    ReplicaMetrics::Runs runs;
  };

  // Of what is loaded, and of requests that found nothing.
  Rows<RequestSeries, RequestTotals> requests;
  Rows<RunSeries, HistogramData> runs;
  std::vector<Batching> batching;
  std::vector<Replicas> replicas;
  // Of versions that are gone, by model.
  Rows<RequestSeries, RequestTotals> retired_requests;
  Rows<RunSeries, HistogramData> retired_runs;
  // Of MultiInference, by model, gone versions included.
  std::map<std::string, HistogramData> examples;

  HistogramData worker_queue;  // ns
  HistogramData queuing_latency;
  HistogramData input_batch_size;
  HistogramData processed_batch_size;
  std::map<size_t, HistogramData> padding_size;  // by rows of the batch
  int64_t in_flight[kProtocols] = {};
  uint64_t access_log_dropped = 0;
  uint64_t request_log_dropped = 0;
  uint64_t traces_dropped = 0;
};

// Everything that the data plane counts, one for the process. Threads: any.
class Metrics {
 public:
  // Of requests that were not routed, at most so many names of models are kept apart, since clients
  // make them up; further ones that are not loaded are counted under kOtherModel.
  static constexpr size_t kMaxUnknownModels = 1000;
  static constexpr std::string_view kOtherModel = "(other)";

  static Metrics& Instance();

  // A request begins (+1) or ends (-1).
  void CountInFlight(Protocol protocol, int change) {
    in_flight_.Add(static_cast<size_t>(protocol), static_cast<uint64_t>(change));
  }
  // A request has ended that was not routed to a signature. Takes a lock.
  void RecordUnrouted(std::string_view model, const RequestOutcome& outcome);
  // How long a task waited for a thread of the worker pool.
  Histogram& worker_queue() { return worker_queue_; }
  BatchingSessionMetrics& batching_session() { return batching_session_; }
  // Requests over gRPC, for the access log.
  ReportQueue<EndedRequest>& access_log() { return access_log_; }
  TraceQueue& traces() { return traces_; }
  RequestLog& request_log() { return request_log_; }
  // For BatchingMetrics; takes a lock.
  void RecordPadding(size_t batch_rows, size_t padding);

  MetricsSnapshot Read() const;

  // For SignatureMetrics, BatchingMetrics and ReplicaMetrics.
  void Add(const SignatureMetrics& metrics);
  void Retire(const SignatureMetrics& metrics);
  void Add(const BatchingMetrics& metrics);
  void Retire(const BatchingMetrics& metrics);
  void Add(const ReplicaMetrics& metrics);
  void Retire(const ReplicaMetrics& metrics);

 private:
  Metrics() = default;
  // `model`, or kOtherModel; under the lock.
  std::string CountedName(std::string_view model);

  ShardedCells in_flight_{kProtocols};  // sums wrap around
  Histogram worker_queue_{LatencyLimits()};
  BatchingSessionMetrics batching_session_;
  ReportQueue<EndedRequest> access_log_{65'536};
  TraceQueue traces_{8192};
  RequestLog request_log_;

  mutable std::mutex mutex_;
  std::set<const SignatureMetrics*> signatures_;
  std::set<const BatchingMetrics*> batching_;
  std::set<const ReplicaMetrics*> replicas_;
  std::set<std::string, std::less<>> unrouted_models_;
  std::map<RequestSeries, RequestTotals> unrouted_;
  std::map<RequestSeries, RequestTotals> retired_requests_;
  std::map<RunSeries, HistogramData> retired_runs_;
  std::map<std::string, HistogramData> retired_examples_;
  std::map<size_t, HistogramData> padding_size_;
};

}  // namespace fastserve
