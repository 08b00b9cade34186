#include "batching/batch_queue.h"

#include <gtest/gtest.h>

#include "batching/test_task.h"

namespace fastserve {
namespace {

using std::chrono::microseconds;

class BatchQueueTest : public testing::Test {
 protected:
  explicit BatchQueueTest(BatchingOptions options = {.max_batch_size = 4,
                                                     .max_enqueued_batches = 2})
      : queue_(std::move(options)) {}

  Status Add(int64_t rows, int64_t kind = 0) {
    return queue_.Add(std::make_shared<TestTask>(rows, kind), now_);
  }
  // The rows of the next batch's pieces; empty when there is no batch.
  std::vector<int64_t> Take() {
    std::vector<int64_t> rows;
    const std::optional<Batch> batch = queue_.Take(now_);
    if (batch) {
      for (const BatchPiece& piece : batch->pieces) rows.push_back(piece.rows);
    }
    return rows;
  }

  BatchClock::time_point now_{};
  BatchQueue queue_;
};
using Rows = std::vector<int64_t>;

TEST_F(BatchQueueTest, RequestsShareTheOpenBatchUntilItIsTaken) {
  EXPECT_TRUE(Add(1).ok());
  EXPECT_TRUE(Add(2).ok());
  EXPECT_EQ(Take(), (Rows{1, 2}));
  EXPECT_TRUE(Add(1).ok());
  EXPECT_EQ(Take(), (Rows{1}));
  EXPECT_EQ(Take(), Rows());
  EXPECT_TRUE(queue_.empty());
}

TEST_F(BatchQueueTest, ARequestThatDoesNotFitClosesTheBatchAndStartsTheNext) {
  EXPECT_TRUE(Add(3).ok());
  EXPECT_TRUE(Add(2).ok());
  EXPECT_TRUE(Add(1).ok());
  EXPECT_EQ(Take(), (Rows{3}));
  EXPECT_EQ(Take(), (Rows{2, 1}));
}

TEST_F(BatchQueueTest, ARequestLargerThanTheLimitIsRefused) {
  EXPECT_EQ(Add(5).ToString(),
            "INVALID_ARGUMENT: Task size 5 is larger than maximum input batch size 4");
  EXPECT_TRUE(queue_.empty());
}

TEST_F(BatchQueueTest, AFullQueueRefusesOnlyWhatDoesNotFitInTheOpenBatch) {
  EXPECT_TRUE(Add(4).ok());
  EXPECT_TRUE(Add(3).ok());
  EXPECT_EQ(Add(2).ToString(),
            "UNAVAILABLE: The batch scheduling queue to which this task was submitted is full; "
            "currently 2 batches enqueued and max_enqueued_batches is 2");
  EXPECT_TRUE(Add(1).ok());
  EXPECT_EQ(Take(), (Rows{4}));
  EXPECT_TRUE(Add(2).ok());
}

TEST_F(BatchQueueTest, RequestsOfDifferentKindsWaitInDifferentBatches) {
  EXPECT_TRUE(Add(1, 7).ok());
  EXPECT_TRUE(Add(1, 8).ok());
  EXPECT_TRUE(Add(2, 7).ok());
  EXPECT_EQ(Take(), (Rows{1, 2}));
  EXPECT_EQ(Take(), (Rows{1}));
}

TEST_F(BatchQueueTest, EachKindHasTheBoundsForItselfAndAllTogetherTheirRows) {
  for (int64_t kind = 0; kind < 8; ++kind) EXPECT_TRUE(Add(1, kind).ok());
  EXPECT_EQ(Add(1, 8).code(), StatusCode::kUnavailable);
  EXPECT_EQ(Take(), (Rows{1}));
  EXPECT_TRUE(Add(1, 8).ok());
}

TEST_F(BatchQueueTest, ARequestWithoutRowsIsTakenLikeOthers) {
  EXPECT_TRUE(Add(0).ok());
  EXPECT_EQ(Take(), (Rows{0}));
}

class BatchTimeoutTest : public BatchQueueTest {
 protected:
  BatchTimeoutTest() : BatchQueueTest({.max_batch_size = 4, .batch_timeout = microseconds(100)}) {}
};

TEST_F(BatchTimeoutTest, ABatchThatIsNotFullWaitsForItsTimeout) {
  EXPECT_EQ(queue_.NextRunnable(), std::nullopt);
  EXPECT_TRUE(Add(1).ok());
  EXPECT_EQ(queue_.NextRunnable(), now_ + microseconds(100));
  now_ += microseconds(99);
  EXPECT_EQ(Take(), Rows());
  EXPECT_TRUE(Add(1).ok());
  now_ += microseconds(1);
  EXPECT_EQ(Take(), (Rows{1, 1}));
}

TEST_F(BatchTimeoutTest, AFullBatchIsRunnableAtOnce) {
  EXPECT_TRUE(Add(1, 7).ok());
  EXPECT_TRUE(Add(4, 8).ok());
  EXPECT_EQ(queue_.NextRunnable(), now_);
  EXPECT_EQ(Take(), (Rows{4}));
  EXPECT_EQ(Take(), Rows());
}

TEST_F(BatchTimeoutTest, OfAClosedQueueEveryBatchIsRunnable) {
  EXPECT_TRUE(Add(1).ok());
  queue_.Close();
  EXPECT_EQ(queue_.NextRunnable(), now_);
  EXPECT_EQ(Take(), (Rows{1}));
}

class BatchSplittingTest : public BatchQueueTest {
 protected:
  BatchSplittingTest()
      : BatchQueueTest({.max_batch_size = 10,
                        .max_enqueued_batches = 3,
                        .enable_large_batch_splitting = true,
                        .max_execution_batch_size = 4}) {}
};

TEST_F(BatchSplittingTest, TheFirstPieceFillsTheOpenBatch) {
  EXPECT_TRUE(Add(1).ok());
  EXPECT_TRUE(Add(8).ok());
  EXPECT_TRUE(Add(2).ok());
  EXPECT_EQ(Take(), (Rows{1, 3}));
  EXPECT_EQ(Take(), (Rows{4}));
  EXPECT_EQ(Take(), (Rows{1, 2}));
}

TEST_F(BatchSplittingTest, PiecesFollowEachOtherAndTheTaskKnowsTheirNumber) {
  const auto task = std::make_shared<TestTask>(9, 0);
  EXPECT_TRUE(queue_.Add(task, now_).ok());
  EXPECT_EQ(task->pieces, 3u);
  for (const auto& [index, begin, rows] :
       {std::tuple<size_t, int64_t, int64_t>{0, 0, 4}, {1, 4, 4}, {2, 8, 1}}) {
    const std::optional<Batch> batch = queue_.Take(now_);
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->pieces[0].index, index);
    EXPECT_EQ(batch->pieces[0].begin, begin);
    EXPECT_EQ(batch->rows, rows);
  }
}

TEST_F(BatchSplittingTest, ARequestIsRefusedWholeWhereItsLastPieceHasNoRoom) {
  EXPECT_TRUE(Add(5).ok());
  EXPECT_EQ(Add(8).ToString(),
            "UNAVAILABLE: The batch scheduling queue to which this task was submitted is full; "
            "task size is 8 but scheduling capacity is only 7 (num_enqueued_batches=2, "
            "max_enqueued_batches=3, open_batch_size=1, max_execution_batch_size=4)");
  EXPECT_TRUE(Add(7).ok());
  EXPECT_EQ(Add(1).code(), StatusCode::kUnavailable);
  EXPECT_EQ(Add(11).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace fastserve
