#include "metrics/histogram.h"

#include <algorithm>
#include <numeric>

namespace fastserve {

BucketLimits ExponentialLimits(double first, double growth, size_t count) {
  BucketLimits limits(count);
  for (double& limit : limits) {
    limit = first;
    first *= growth;
  }
  return limits;
}

const BucketLimits& LatencyLimits() {
  static const BucketLimits limits = ExponentialLimits(10'000, 1.8, 33);
  return limits;
}

size_t BucketOf(const BucketLimits& limits, uint64_t value) {
  const auto above = std::upper_bound(limits.begin(), limits.end(), static_cast<double>(value));
  return static_cast<size_t>(above - limits.begin());
}

uint64_t HistogramData::count() const {
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
}

void HistogramData::Record(const BucketLimits& limits, uint64_t value) {
  ++counts[BucketOf(limits, value)];
  sum += value;
}

HistogramData& HistogramData::operator+=(const HistogramData& other) {
  counts.resize(std::max(counts.size(), other.counts.size()));
  for (size_t i = 0; i < other.counts.size(); ++i) counts[i] += other.counts[i];
  sum += other.sum;
  return *this;
}

HistogramData Histogram::Read() const {
  HistogramData data;
  data.counts = cells_.Sums();
  data.sum = data.counts.back();
  data.counts.pop_back();
  return data;
}

}  // namespace fastserve
