#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "metrics/histogram.h"

namespace fastserve {

// Sizes from 1 to 8192 by powers of two, with inclusive bounds: the limits are 2, 3, 5, 9, ...
const BucketLimits& RowLimits();

// What is counted of the batches of one loaded version: per model for /metrics, and for
// TensorFlow Serving's batching_session metrics, which know no model.
// Threads: any. Known to Metrics as long as it lives.
class BatchingMetrics {
 public:
  BatchingMetrics(std::string model, int64_t version);
  ~BatchingMetrics();
  BatchingMetrics(const BatchingMetrics&) = delete;
  BatchingMetrics& operator=(const BatchingMetrics&) = delete;

  // One request was taken into a batch after having waited for so long (queuing_latency).
  void RecordQueued(std::chrono::nanoseconds waited);
  // One input tensor of one request has so many rows (input_batch_size).
  void RecordInput(size_t rows);
  // One request of `inputs` tensors was run on its own, without a wait: as a batch of it alone, but
  // for padding_size. Takes no lock.
  void RecordAlone(size_t inputs, size_t rows);
  // One batch was run (wrapped_run_count): its rows after padding (processed_batch_size), and how
  // many of them are padding (padding_size). Takes a lock.
  void RecordBatch(size_t rows, size_t padding);

  const std::string& model() const { return model_; }
  const std::string& version() const { return version_; }
  const Histogram& queued() const { return queued_; }  // ns
  const Histogram& rows() const { return rows_; }      // of a batch, after padding
  const ShardedCells& padding() const { return padding_; }

 private:
  void RecordRows(size_t rows);

  const std::string model_;
  const std::string version_;
  Histogram queued_{LatencyLimits()};
  Histogram rows_{RowLimits()};
  ShardedCells padding_{1};  // rows
};

}  // namespace fastserve
