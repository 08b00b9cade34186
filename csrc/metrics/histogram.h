#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "metrics/sharded_cells.h"

namespace fastserve {

// Upper bounds of a histogram's buckets, ascending and exclusive: a value equal to a bound belongs
// to the next bucket. One more bucket has no bound.
using BucketLimits = std::vector<double>;

// first, first*growth, first*growth^2, ...: `count` bounds.
BucketLimits ExponentialLimits(double first, double growth, size_t count);
// For latencies in nanoseconds: TensorFlow Serving's 10 us * 1.8^n, 33 of them.
const BucketLimits& LatencyLimits();
// The bucket that `value` belongs to.
size_t BucketOf(const BucketLimits& limits, uint64_t value);

// What a histogram has counted.
struct HistogramData {
  HistogramData() = default;
  explicit HistogramData(const BucketLimits& limits) : counts(limits.size() + 1) {}

  uint64_t count() const;
  void Record(const BucketLimits& limits, uint64_t value);
  // Of the same limits; either may be empty.
  HistogramData& operator+=(const HistogramData& other);

  std::vector<uint64_t> counts;  // by bucket, not cumulative
  uint64_t sum = 0;
};

// A histogram that many threads record into, as ShardedCells are added to.
class Histogram {
 public:
  // `limits` outlives it.
  explicit Histogram(const BucketLimits& limits) : limits_(limits), cells_(limits.size() + 2) {}

  void Record(uint64_t value) {
    cells_.Add(BucketOf(limits_, value), 1);
    cells_.Add(limits_.size() + 1, value);
  }
  void Record(std::chrono::nanoseconds value) { Record(static_cast<uint64_t>(value.count())); }
  HistogramData Read() const;
  const BucketLimits& limits() const { return limits_; }

 private:
  const BucketLimits& limits_;
  ShardedCells cells_;  // the buckets', then the sum
};

}  // namespace fastserve
