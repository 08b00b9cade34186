#include "serving/worker_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

namespace fastserve {
namespace {

const int names[2] = {};
const void* const kOne = &names[0];
const void* const kOther = &names[1];

TEST(WorkerPoolTest, RunsTasksAtOnceOnAllThreads) {
  WorkerPool pool(2);
  std::promise<void> first;
  std::promise<void> second;
  // Each waits for the other, so both must be running.
  pool.Post(kOne, [&] {
    first.set_value();
    second.get_future().wait();
  });
  std::promise<void> done;
  pool.Post(kOne, [&] {
    first.get_future().wait();
    second.set_value();
    done.set_value();
  });
  done.get_future().wait();
}

TEST(WorkerPoolTest, AnOwnersTasksRunInOrderOnItsThreadsAlone) {
  WorkerPool pool(1);
  std::vector<int> order;
  for (int i = 0; i < 20; ++i) pool.Post(kOne, [&order, i] { order.push_back(i); });
  pool.Stop();
  ASSERT_EQ(order.size(), 20u);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(WorkerPoolTest, OneOwnersLongTasksHoldUpNoOther) {
  WorkerPool pool(1);
  std::promise<void> other_done;
  const std::shared_future<void> until = other_done.get_future().share();
  for (int i = 0; i < 2; ++i) {
    pool.Post(kOne, [&, i] {
      if (i == 0) until.wait();
    });
  }
  pool.Post(kOther, [&] { other_done.set_value(); });
  until.wait();
  pool.Stop();
}

TEST(WorkerPoolTest, ItsThreadsAreNamed) {
  WorkerPool pool(1);
  char name[16] = "";
  pool.Post(kOne, [&] { ::pthread_getname_np(::pthread_self(), name, sizeof(name)); });
  pool.Stop();
  EXPECT_STREQ(name, "worker");
}

TEST(WorkerPoolTest, ManyThreadsAndOwnersLoseNoTask) {
  WorkerPool pool(2);
  std::atomic<int> ran = 0;
  std::vector<std::thread> clients;
  for (int client = 0; client < 3; ++client) {
    clients.emplace_back([&] {
      static const int owners[20] = {};
      for (int i = 0; i < 1000; ++i) pool.Post(&owners[i % 20], [&] { ++ran; });
    });
  }
  for (std::thread& client : clients) client.join();
  pool.Stop();
  EXPECT_EQ(ran, 3000);
}

TEST(WorkerPoolTest, StopRunsWhatIsQueued) {
  std::atomic<int> ran = 0;
  WorkerPool pool(1);
  for (int i = 0; i < 100; ++i) pool.Post(kOne, [&] { ++ran; });
  pool.Stop();
  EXPECT_EQ(ran, 100);
}

TEST(WorkerPoolTest, TasksAfterStopAreDroppedAndTheCallerIsTold) {
  WorkerPool pool(1);
  EXPECT_TRUE(pool.Post(kOne, [] {}));
  pool.Stop();
  bool ran = false;
  EXPECT_FALSE(pool.Post(kOne, [&] { ran = true; }));
  pool.Stop();
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace fastserve
