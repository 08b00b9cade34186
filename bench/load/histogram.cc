#include "load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <numeric>

namespace fastserve::bench {

// Values below kSubBuckets have a bucket each; above, the top kSubBits bits after the leading one
// choose the part of their power of two.
size_t LatencyHistogram::BucketOf(uint64_t value) {
  if (value < kSubBuckets) return value;
  const int shift = std::bit_width(value) - 1 - kSubBits;
  return (shift + 1) * kSubBuckets + ((value >> shift) - kSubBuckets);
}

uint64_t LatencyHistogram::UpperEnd(size_t bucket) {
  if (bucket < kSubBuckets) return bucket;
  const size_t shift = bucket / kSubBuckets - 1;
  const uint64_t part = kSubBuckets + bucket % kSubBuckets;
  return ((part + 1) << shift) - 1;
}

void LatencyHistogram::Add(uint64_t nanoseconds) {
  ++buckets_[BucketOf(nanoseconds)];
  ++count_;
  sum_ += static_cast<double>(nanoseconds);
  max_ = std::max(max_, nanoseconds);
}

void LatencyHistogram::Merge(const LatencyHistogram& other) {
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
}

double LatencyHistogram::Mean() const { return count_ ? sum_ / static_cast<double>(count_) : 0; }

uint64_t LatencyHistogram::Quantile(double q) const {
  const auto rank = static_cast<uint64_t>(std::ceil(q * static_cast<double>(count_)));
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= rank && seen > 0) return std::min(UpperEnd(i), max_);
  }
  return 0;
}

uint64_t LatencyHistogram::CountAbove(uint64_t nanoseconds) const {
  const auto above = buckets_.begin() + static_cast<ptrdiff_t>(BucketOf(nanoseconds)) + 1;
  return std::accumulate(above, buckets_.end(), uint64_t{0});
}

std::vector<LatencyHistogram::Bucket> LatencyHistogram::Buckets() const {
  std::vector<Bucket> filled;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i] > 0) filled.push_back({std::min(UpperEnd(i), max_), buckets_[i]});
  }
  return filled;
}

}  // namespace fastserve::bench
