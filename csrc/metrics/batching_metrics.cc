#include "metrics/batching_metrics.h"

#include <utility>

#include "metrics/metrics.h"

namespace fastserve {

const BucketLimits& RowLimits() {
  static const BucketLimits limits = [] {
    BucketLimits inclusive = ExponentialLimits(1, 2, 14);
    for (double& limit : inclusive) limit += 1;
    return inclusive;
  }();
  return limits;
}

BatchingMetrics::BatchingMetrics(std::string model, int64_t version)
    : model_(std::move(model)), version_(std::to_string(version)) {
  Metrics::Instance().Add(*this);
}

BatchingMetrics::~BatchingMetrics() { Metrics::Instance().Retire(*this); }

void BatchingMetrics::RecordQueued(std::chrono::nanoseconds waited) {
  queued_.Record(waited);
  Metrics::Instance().batching_session().queuing_latency.Record(waited);
}

void BatchingMetrics::RecordInput(size_t rows) {
  Metrics::Instance().batching_session().input_batch_size.Record(rows);
}

void BatchingMetrics::RecordBatch(size_t rows, size_t padding) {
  RecordRows(rows);
  padding_.Add(0, padding);
  Metrics::Instance().RecordPadding(rows, padding);
}

void BatchingMetrics::RecordAlone(size_t inputs, size_t rows) {
  RecordQueued(std::chrono::nanoseconds(0));
  for (size_t i = 0; i < inputs; ++i) RecordInput(rows);
  RecordRows(rows);
}

void BatchingMetrics::RecordRows(size_t rows) {
  rows_.Record(rows);
  Metrics::Instance().batching_session().processed_batch_size.Record(rows);
}

}  // namespace fastserve
