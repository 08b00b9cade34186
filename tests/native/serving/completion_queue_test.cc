#include "serving/completion_queue.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <thread>

namespace fastserve {
namespace {

bool Readable(int fd, int timeout_ms) {
  pollfd poll_fd{fd, POLLIN, 0};
  return ::poll(&poll_fd, 1, timeout_ms) == 1;
}

TEST(CompletionQueueTest, IsReadableFromTheFirstPushUntilAllIsTaken) {
  CompletionQueue queue;
  EXPECT_FALSE(Readable(queue.fd(), 0));
  queue.Push({1, {StatusCode::kOk, "a"}});
  queue.Push({2, {StatusCode::kInternal, "b"}});
  EXPECT_TRUE(Readable(queue.fd(), 0));
  const auto taken = queue.TakeAll();
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_EQ(taken[0].token, 1);
  EXPECT_EQ(taken[1].answer.code, StatusCode::kInternal);
  EXPECT_EQ(taken[1].answer.body, "b");
  EXPECT_FALSE(Readable(queue.fd(), 0));
  EXPECT_TRUE(queue.TakeAll().empty());
}

TEST(CompletionQueueTest, NothingIsLostBetweenThreads) {
  constexpr int kThreads = 4;
  constexpr int kEach = 1000;
  CompletionQueue queue;
  std::vector<std::thread> writers;
  for (int t = 0; t < kThreads; ++t) {
    writers.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) queue.Push({i, {StatusCode::kOk, ""}});
    });
  }
  size_t taken = 0;
  while (taken < kThreads * kEach) {
    ASSERT_TRUE(Readable(queue.fd(), 10'000));
    taken += queue.TakeAll().size();
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(taken, static_cast<size_t>(kThreads * kEach));
}

}  // namespace
}  // namespace fastserve
