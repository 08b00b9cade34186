#include "serving/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace fastserve {
namespace {

TEST(WorkerPoolTest, RunsTasksAtOnceOnAllThreads) {
  WorkerPool pool(2);
  std::promise<void> first;
  std::promise<void> second;
  // Each waits for the other, so both must be running.
  pool.Post([&] {
    first.set_value();
    second.get_future().wait();
  });
  std::promise<void> done;
  pool.Post([&] {
    first.get_future().wait();
    second.set_value();
    done.set_value();
  });
  done.get_future().wait();
}

TEST(WorkerPoolTest, StopRunsWhatIsQueued) {
  std::atomic<int> ran = 0;
  WorkerPool pool(1);
  for (int i = 0; i < 100; ++i) pool.Post([&] { ++ran; });
  pool.Stop();
  EXPECT_EQ(ran, 100);
}

TEST(WorkerPoolTest, TasksAfterStopAreDroppedAndTheCallerIsTold) {
  WorkerPool pool(1);
  EXPECT_TRUE(pool.Post([] {}));
  pool.Stop();
  bool ran = false;
  EXPECT_FALSE(pool.Post([&] { ran = true; }));
  pool.Stop();
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace fastserve
