#include "batching/batch_scheduler.h"

#include <gtest/gtest.h>

#include <set>

#include "batching/test_task.h"

namespace fastserve {
namespace {

// Settles every task of a batch.
void Settle(const Batch& batch) {
  for (const BatchPiece& piece : batch.pieces) piece.task->FailPiece(piece.index, {});
}

// A scheduler of one thread, which the first batch holds until it is let go.
class HeldSchedulerTest : public testing::Test {
 protected:
  HeldSchedulerTest() {
    EXPECT_TRUE(holder_.Add(holding_).ok());
    held_.get_future().wait();
  }
  ~HeldSchedulerTest() override { LetGo(); }

  void LetGo() {
    if (!let_go_.exchange(true)) go_.set_value();
  }
  std::shared_ptr<TestTask> Add(ScheduledQueue& queue, int64_t rows = 1) {
    auto task = std::make_shared<TestTask>(rows);
    EXPECT_TRUE(queue.Add(task).ok());
    return task;
  }

  BatchScheduler scheduler_{1, "test"};
  std::promise<void> held_;
  std::promise<void> go_;
  std::atomic<bool> let_go_ = false;
  const std::shared_ptr<TestTask> holding_ = std::make_shared<TestTask>(1);
  ScheduledQueue holder_{scheduler_, {}, [this](const Batch& batch) {
                           held_.set_value();
                           go_.get_future().wait();
                           Settle(batch);
                         }};
};

TEST_F(HeldSchedulerTest, ABatchGrowsForAsLongAsNoThreadIsFree) {
  std::vector<size_t> sizes;
  ScheduledQueue queue(scheduler_, {}, [&](const Batch& batch) {
    sizes.push_back(batch.pieces.size());
    Settle(batch);
  });
  std::vector<std::shared_ptr<TestTask>> tasks;
  for (int i = 0; i < 5; ++i) tasks.push_back(Add(queue));
  LetGo();
  for (const auto& task : tasks) EXPECT_TRUE(task->outcome.get_future().get().ok());
  EXPECT_EQ(sizes, std::vector<size_t>{5});
}

TEST_F(HeldSchedulerTest, QueuesAreServedByTurns) {
  std::string order;
  const auto note = [&](char name) {
    return [&order, name](const Batch& batch) {
      order += name;
      Settle(batch);
    };
  };
  ScheduledQueue a(scheduler_, {.max_batch_size = 1}, note('a'));
  ScheduledQueue b(scheduler_, {.max_batch_size = 1}, note('b'));
  for (int i = 0; i < 3; ++i) Add(a);
  for (int i = 0; i < 2; ++i) Add(b);
  LetGo();
  scheduler_.Stop();
  EXPECT_EQ(order, "ababa");
}

TEST_F(HeldSchedulerTest, NoRunIsSpentOnWhatIsLateOrAbandoned) {
  std::vector<size_t> sizes;
  ScheduledQueue queue(scheduler_, {}, [&](const Batch& batch) {
    sizes.push_back(batch.pieces.size());
    Settle(batch);
  });
  const auto late = std::make_shared<TestTask>(1, 0, BatchClock::now());
  EXPECT_TRUE(queue.Add(late).ok());
  const auto abandoned = Add(queue);
  const auto wanted = Add(queue);
  abandoned->gone = true;
  LetGo();
  EXPECT_EQ(late->outcome.get_future().get().ToString(),
            "RESOURCE_EXHAUSTED: Run() timeout exceeded while waiting in batching queue");
  EXPECT_EQ(abandoned->outcome.get_future().get().code(), StatusCode::kCancelled);
  EXPECT_TRUE(wanted->outcome.get_future().get().ok());
  EXPECT_EQ(sizes, std::vector<size_t>{1});
}

TEST_F(HeldSchedulerTest, StopRunsWhatWaitsEvenBeforeItsTimeoutAndTakesNoMore) {
  ScheduledQueue queue(scheduler_, {.batch_timeout = std::chrono::hours(1)}, &Settle);
  const auto waiting = Add(queue);
  LetGo();
  scheduler_.Stop();
  EXPECT_TRUE(waiting->outcome.get_future().get().ok());
  EXPECT_EQ(queue.Add(std::make_shared<TestTask>(1)).ToString(),
            "UNAVAILABLE: The server is shutting down");
}

TEST(BatchSchedulerTest, ASpareThreadServesAQueueOfWhichNoBatchRuns) {
  BatchScheduler scheduler(1, "test", 1);
  std::promise<void> other_done;
  const std::shared_future<void> until = other_done.get_future().share();
  std::atomic<int> at_once = 0;
  ScheduledQueue busy(scheduler, {.max_batch_size = 1}, [&](const Batch& batch) {
    EXPECT_EQ(++at_once, 1) << "a queue that runs has no claim on the spare thread";
    until.wait();
    --at_once;
    Settle(batch);
  });
  ScheduledQueue other(scheduler, {}, [&](const Batch& batch) {
    other_done.set_value();
    Settle(batch);
  });
  EXPECT_TRUE(busy.Add(std::make_shared<TestTask>(1)).ok());
  EXPECT_TRUE(busy.Add(std::make_shared<TestTask>(1)).ok());
  EXPECT_TRUE(other.Add(std::make_shared<TestTask>(1)).ok());
  until.wait();
  scheduler.Stop();
}

TEST(BatchSchedulerTest, SpareThreadsLoseNoTask) {
  BatchScheduler scheduler(1, "test", 2);
  std::atomic<int64_t> rows = 0;
  std::vector<std::unique_ptr<ScheduledQueue>> queues;
  for (int i = 0; i < 5; ++i) {
    queues.push_back(std::make_unique<ScheduledQueue>(
        scheduler, BatchingOptions{.max_enqueued_batches = 1000}, [&](const Batch& batch) {
          rows += batch.rows;
          Settle(batch);
        }));
  }
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(queues[static_cast<size_t>(i % 5)]->Add(std::make_shared<TestTask>(1)).ok());
  }
  scheduler.Stop();
  EXPECT_EQ(rows, 1000);
}

TEST(BatchSchedulerTest, ABatchThatIsNotFullIsRunAfterItsTimeout) {
  BatchScheduler scheduler(2, "test");
  ScheduledQueue queue(scheduler, {.batch_timeout = std::chrono::milliseconds(2)}, &Settle);
  const auto task = std::make_shared<TestTask>(1);
  const auto begun = BatchClock::now();
  EXPECT_TRUE(queue.Add(task).ok());
  EXPECT_TRUE(task->outcome.get_future().get().ok());
  EXPECT_GE(BatchClock::now() - begun, std::chrono::milliseconds(2));
}

TEST(BatchSchedulerTest, ManyThreadsLoseNoTask) {
  BatchScheduler scheduler(3, "test");
  std::atomic<int64_t> rows = 0;
  const auto run = [&](const Batch& batch) {
    rows += batch.rows;
    Settle(batch);
  };
  BatchingOptions options{.max_batch_size = 16, .max_enqueued_batches = 1000};
  ScheduledQueue a(scheduler, options, run);
  options.batch_timeout = std::chrono::microseconds(50);
  ScheduledQueue b(scheduler, options, run);
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&, i] {
      for (int n = 0; n < 500; ++n) {
        const auto task = std::make_shared<TestTask>(1 + n % 3, n % 2);
        ASSERT_TRUE((i % 2 ? a : b).Add(task).ok());
        task->outcome.get_future().wait();
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(rows, 4 * (167 * 1 + 167 * 2 + 166 * 3));
}

}  // namespace
}  // namespace fastserve
