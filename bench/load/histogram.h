#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace fastserve::bench {

// Latencies in log-linear buckets: each power of two is cut into kSubBuckets equal parts, so a
// quantile is off by at most 1/kSubBuckets (0.8 %) whatever its size. Adding costs a few
// instructions and no memory. Threads: one at a time; Merge() brings threads together.
class LatencyHistogram {
 public:
  void Add(uint64_t nanoseconds);
  void Merge(const LatencyHistogram& other);

  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }  // ns, exact
  double Mean() const;                   // ns, exact; 0 when empty
  // The latency (ns, a bucket's upper end, never above max()) that a share `q` of all do not
  // exceed. 0 when empty. REQUIRES: 0 < q <= 1
  uint64_t Quantile(double q) const;
  // How many are certainly above `nanoseconds`: those in its own bucket are not counted.
  uint64_t CountAbove(uint64_t nanoseconds) const;

  struct Bucket {
    uint64_t upper_ns;  // inclusive
    uint64_t count;
  };
  // Those that are not empty, in order.
  std::vector<Bucket> Buckets() const;

 private:
  static constexpr int kSubBits = 7;
  static constexpr uint64_t kSubBuckets = 1u << kSubBits;
  static constexpr int kPowers = 64 - kSubBits;

  static size_t BucketOf(uint64_t value);
  static uint64_t UpperEnd(size_t bucket);

  std::array<uint64_t, (kPowers + 1) * kSubBuckets> buckets_ = {};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace fastserve::bench
