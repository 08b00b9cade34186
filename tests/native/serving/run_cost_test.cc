#include "serving/run_cost.h"

#include <gtest/gtest.h>

namespace fastserve {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr size_t kBytes = 100;

void RecordTimes(RunCost& cost, int times, nanoseconds elapsed, size_t bytes = kBytes) {
  for (int i = 0; i < times; ++i) cost.Record(elapsed, bytes);
}

RunCost& MakeCheap(RunCost& cost) {
  RecordTimes(cost, 10, microseconds(20));
  return cost;
}

TEST(RunCostTest, NothingIsCheapBeforeItWasMeasured) { EXPECT_FALSE(RunCost().IsCheap(kBytes)); }

TEST(RunCostTest, WarmUpRunsSayNothing) {
  RunCost cost;
  RecordTimes(cost, RunCost::kWarmUpRuns, microseconds(1));
  EXPECT_FALSE(cost.IsCheap(kBytes));
  RecordTimes(cost, 1, microseconds(1));
  EXPECT_TRUE(cost.IsCheap(kBytes));
}

TEST(RunCostTest, SlowFirstRunsDoNotCountAgainstAQuickModel) {
  RunCost cost;
  RecordTimes(cost, RunCost::kWarmUpRuns, milliseconds(900));
  RecordTimes(cost, 1, microseconds(20));
  EXPECT_TRUE(cost.IsCheap(kBytes));
}

TEST(RunCostTest, BetweenTheLimitsTheEarlierJudgementStands) {
  const auto between = (RunCost::kBecomesCheap + RunCost::kStaysCheap) / 2;
  RunCost never_cheap;
  RecordTimes(never_cheap, 100, between);
  EXPECT_FALSE(never_cheap.IsCheap(kBytes));
  RunCost once_cheap;
  RecordTimes(MakeCheap(once_cheap), 100, between);
  EXPECT_TRUE(once_cheap.IsCheap(kBytes));
}

TEST(RunCostTest, AModelThatBecomesSlowIsNoLongerCheap) {
  RunCost cost;
  RecordTimes(MakeCheap(cost), 20, milliseconds(5));
  EXPECT_FALSE(cost.IsCheap(kBytes));
}

TEST(RunCostTest, OneHiccupDoesNotChangeTheJudgement) {
  RunCost cost;
  RecordTimes(MakeCheap(cost), 1, milliseconds(50));
  EXPECT_FALSE(cost.IsCheap(kBytes * 10)) << "a larger request waits until the mean has recovered";
  RecordTimes(cost, 20, microseconds(20));
  EXPECT_TRUE(cost.IsCheap(kBytes));
}

TEST(RunCostTest, ARunThatCostsLessThanAHopIsTrivialUnlessItsRequestIsLarge) {
  RunCost cost;
  EXPECT_FALSE(cost.IsTrivial(kBytes));
  RecordTimes(cost, 10, microseconds(4));
  EXPECT_TRUE(cost.IsTrivial(kBytes));
  EXPECT_FALSE(cost.IsTrivial(kBytes * 10));
  RecordTimes(cost, 100, microseconds(20));
  EXPECT_FALSE(cost.IsTrivial(kBytes));
  EXPECT_TRUE(cost.IsCheap(kBytes));
}

TEST(RunCostTest, NothingIsCheapOnceThatIsForbidden) {
  RunCost cost;
  cost.ForbidCheap();
  EXPECT_FALSE(MakeCheap(cost).IsCheap(kBytes));
}

TEST(RunCostTest, ARequestFarLargerThanUsualIsExpectedToCostMore) {
  RunCost cost;
  MakeCheap(cost);
  EXPECT_TRUE(cost.IsCheap(kBytes * 10));
  EXPECT_FALSE(cost.IsCheap(kBytes * 1000));
}

}  // namespace
}  // namespace fastserve
