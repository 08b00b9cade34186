#include "batching/batching_options.h"

#include <gtest/gtest.h>

namespace fastserve {
namespace {

std::string Fault(const BatchingOptions& options) { return options.Validate().message(); }

TEST(BatchingOptionsTest, DefaultsAreValid) {
  EXPECT_TRUE(BatchingOptions().Validate().ok());
  EXPECT_EQ(BatchingOptions().execution_size(), 1000);
}

TEST(BatchingOptionsTest, FaultsAreNamedAsUpstreamNamesThem) {
  EXPECT_EQ(Fault({.max_batch_size = 8, .allowed_batch_sizes = {2, 4}}),
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; "
            "expected 8");
  EXPECT_EQ(Fault({.allowed_batch_sizes = {8}}),
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 8; "
            "expected 1000");
  EXPECT_EQ(Fault({.max_batch_size = 0}), "input_batch_size_limit must be positive; was 0");
  EXPECT_EQ(Fault({.batch_timeout = std::chrono::microseconds(-1)}),
            "batch_timeout_micros must be non-negative; was -1");
  EXPECT_EQ(Fault({.max_enqueued_batches = 0, .enable_large_batch_splitting = true}),
            "max_enqueued_batches must be positive; was 0");
  EXPECT_TRUE(Fault({.max_batch_size = 4,
                     .enable_large_batch_splitting = true,
                     .max_execution_batch_size = 8})
                  .starts_with("When enable_large_batch_splitting is true, input_batch_size_limit "
                               "must be greater than or equal to max_execution_batch_size."));
  EXPECT_FALSE(Fault({.max_batch_size = 8, .allowed_batch_sizes = {4, 2, 8}}).empty());
}

TEST(BatchingOptionsTest, WithoutSplittingNoQueueLimitIsNotAFault) {
  EXPECT_EQ(Fault({.max_enqueued_batches = 0}), "");
}

TEST(BatchingOptionsTest, TheExecutionSizeCountsOnlyWithSplitting) {
  EXPECT_EQ((BatchingOptions{.max_batch_size = 8, .max_execution_batch_size = 2}).execution_size(),
            8);
  EXPECT_EQ((BatchingOptions{.max_batch_size = 8,
                             .enable_large_batch_splitting = true,
                             .max_execution_batch_size = 2})
                .execution_size(),
            2);
}

TEST(BatchingOptionsTest, ABatchIsPaddedToTheSmallestAllowedSizeThatFits) {
  const BatchingOptions options{.max_batch_size = 8, .allowed_batch_sizes = {2, 4, 8}};
  EXPECT_EQ(options.PaddedSize(1), 2);
  EXPECT_EQ(options.PaddedSize(4), 4);
  EXPECT_EQ(options.PaddedSize(5), 8);
  EXPECT_EQ(options.PaddedSize(9), 9);
  EXPECT_EQ(BatchingOptions().PaddedSize(5), 5);
}

TEST(BatchPolicyTest, ASignatureHasItsOwnOptionsOrThoseOfAll) {
  BatchPolicy policy({{"", {.max_batch_size = 8}}, {"own", {.max_batch_size = 2}}});
  EXPECT_EQ(policy.Get("own")->first, "own");
  EXPECT_EQ(policy.Get("own")->second.max_batch_size, 2);
  EXPECT_EQ(policy.Get("another")->first, "");
  EXPECT_EQ(policy.Get("another")->second.max_batch_size, 8);
  EXPECT_EQ(policy.Get("another"), policy.Get(""));
}

TEST(BatchPolicyTest, OptionsChangeTogetherOrNotAtAll) {
  BatchPolicy policy({{"", {.max_batch_size = 8}}});
  const auto before = policy.Get("own");
  EXPECT_EQ(policy.Set({{"", {.max_batch_size = 4}}, {"own", {.max_batch_size = 0}}}).message(),
            "signature own: input_batch_size_limit must be positive; was 0");
  EXPECT_EQ(policy.Get("own"), before);
  EXPECT_EQ(policy.Set({{"own", {}}}).code(), StatusCode::kInvalidArgument);
  ASSERT_TRUE(policy.Set({{"", {.max_batch_size = 4}}, {"own", {.max_batch_size = 2}}}).ok());
  EXPECT_EQ(policy.Get("own")->second.max_batch_size, 2);
  EXPECT_EQ(before->second.max_batch_size, 8);
}

}  // namespace
}  // namespace fastserve
