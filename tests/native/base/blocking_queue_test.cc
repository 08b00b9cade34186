#include "base/blocking_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

namespace fastserve {
namespace {

TEST(BlockingQueueTest, GivesItemsInTheOrderOfTheirComing) {
  BlockingQueue<std::unique_ptr<int>> queue;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(queue.Push(std::make_unique<int>(i)));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(**queue.Next(), i);
}

TEST(BlockingQueueTest, NextWaitsForAnItem) {
  BlockingQueue<int> questions;
  BlockingQueue<int> answers;
  std::thread other([&] { answers.Push(*questions.Next() + 1); });
  questions.Push(1);
  EXPECT_EQ(answers.Next(), 2);
  other.join();
}

TEST(BlockingQueueTest, AfterCloseWhatIsLeftComesAndThenNothing) {
  BlockingQueue<int> queue;
  queue.Push(1);
  queue.Close();
  EXPECT_FALSE(queue.Push(2));
  EXPECT_EQ(queue.Next(), 1);
  EXPECT_EQ(queue.Next(), std::nullopt);
}

TEST(BlockingQueueTest, CloseEndsTheWaits) {
  BlockingQueue<int> queue;
  std::thread first([&] { EXPECT_EQ(queue.Next(), std::nullopt); });
  std::thread second([&] { EXPECT_EQ(queue.Next(), std::nullopt); });
  queue.Close();
  first.join();
  second.join();
}

}  // namespace
}  // namespace fastserve
