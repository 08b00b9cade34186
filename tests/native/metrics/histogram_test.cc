#include "metrics/histogram.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace fastserve {
namespace {

TEST(Buckets, AValueEqualToALimitBelongsToTheNextBucket) {
  const BucketLimits limits = {1, 2, 4};
  EXPECT_EQ(BucketOf(limits, 0), 0u);
  EXPECT_EQ(BucketOf(limits, 1), 1u);
  EXPECT_EQ(BucketOf(limits, 3), 2u);
  EXPECT_EQ(BucketOf(limits, 4), 3u);
}

TEST(Buckets, LatencyLimitsAreThoseOfTensorFlowServing) {
  const BucketLimits& limits = LatencyLimits();
  ASSERT_EQ(limits.size(), 33u);
  EXPECT_DOUBLE_EQ(limits[0], 10'000);
  EXPECT_DOUBLE_EQ(limits[1], 18'000);
  EXPECT_NEAR(limits[32], 1.47476e12, 1e7);
}

TEST(Histogram, CountsWhatManyThreadsRecord) {
  static const BucketLimits limits = {10, 100};
  Histogram histogram(limits);
  std::vector<std::thread> threads;
  for (int i = 0; i < 40; ++i) {  // more than there are shards
    threads.emplace_back([&histogram] {
      for (uint64_t value = 0; value < 200; ++value) histogram.Record(value);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const HistogramData data = histogram.Read();
  EXPECT_EQ(data.counts, (std::vector<uint64_t>{400, 3600, 4000}));
  EXPECT_EQ(data.sum, 40u * 199 * 100);
  EXPECT_EQ(data.count(), 8000u);
}

TEST(HistogramData, AddsUpAlsoToAnEmptyOne) {
  const BucketLimits limits = {10};
  HistogramData one(limits);
  one.Record(limits, 3);
  one.Record(limits, 30);
  HistogramData total;
  total += one;
  total += one;
  EXPECT_EQ(total.counts, (std::vector<uint64_t>{2, 2}));
  EXPECT_EQ(total.sum, 66u);
}

}  // namespace
}  // namespace fastserve
