#include "transport/net/output_queue.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>

namespace fastserve {
namespace {

constexpr size_t kLarge = ByteChain::kBorrowThreshold;

// `size` bytes in which every position can be told from its neighbours.
std::string Pattern(size_t size, size_t seed = 0) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>((i + seed) * 131 % 251);
  return bytes;
}

void BorrowFrom(OutputQueue& queue, const std::shared_ptr<const std::string>& bytes) {
  queue.Borrow(*bytes, bytes);
}

std::shared_ptr<const std::string> SharedPattern(size_t size, size_t seed = 0) {
  return std::make_shared<const std::string>(Pattern(size, seed));
}

// What writev() would write of `queue`'s first vectors.
std::string Gathered(const OutputQueue& queue, size_t max_vectors = 64) {
  std::vector<iovec> vectors(max_vectors);
  std::string bytes;
  const size_t count = queue.Gather(vectors);
  for (size_t i = 0; i < count; ++i) {
    EXPECT_GT(vectors[i].iov_len, 0u);
    bytes.append(static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len);
  }
  return bytes;
}

// Takes everything out as a socket would that never takes more than `at_once` bytes.
std::string DrainInPortions(OutputQueue& queue, size_t at_once) {
  std::string bytes;
  while (!queue.empty()) {
    const std::string portion = Gathered(queue, 3).substr(0, at_once);
    bytes += portion;
    queue.Consume(portion.size());
  }
  return bytes;
}

TEST(OutputQueueTest, NewQueueIsEmpty) {
  const OutputQueue queue;
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.size(), 0u);
  EXPECT_EQ(Gathered(queue), "");
}

TEST(OutputQueueTest, PartialWritesOfAnySizeLoseNothing) {
  const auto lent = SharedPattern(kLarge + 7);
  const std::string expected = "head" + *lent + "between" + *lent + *lent + "tail";
  for (const size_t at_once : {1, 2, 3, 5, 100, 4096, 4097, 100'000}) {
    OutputQueue queue;
    queue.Append("head");
    BorrowFrom(queue, lent);
    queue.Append("betw");
    queue.Append("een");
    BorrowFrom(queue, lent);
    BorrowFrom(queue, lent);
    queue.Append("tail");
    EXPECT_EQ(queue.size(), expected.size());
    EXPECT_EQ(DrainInPortions(queue, at_once), expected) << at_once;
    EXPECT_EQ(queue.size(), 0u);
  }
}

TEST(OutputQueueTest, LargeBytesAreBorrowedAndSmallOnesCopied) {
  OutputQueue queue;
  const auto large = SharedPattern(kLarge);
  const auto small = SharedPattern(kLarge - 1);
  BorrowFrom(queue, large);
  BorrowFrom(queue, small);
  EXPECT_EQ(large.use_count(), 2);
  EXPECT_EQ(small.use_count(), 1);
  std::array<iovec, 4> vectors;
  ASSERT_EQ(queue.Gather(vectors), 2u);
  EXPECT_EQ(vectors[0].iov_base, large->data());
  EXPECT_NE(vectors[1].iov_base, small->data());
}

TEST(OutputQueueTest, OwnerIsKeptUntilItsLastByteHasLeft) {
  OutputQueue queue;
  auto bytes = SharedPattern(kLarge);
  const std::weak_ptr<const std::string> owner = bytes;
  BorrowFrom(queue, bytes);
  bytes.reset();
  queue.Append("more");
  queue.Consume(kLarge - 1);
  EXPECT_FALSE(owner.expired());
  queue.Consume(1);
  EXPECT_TRUE(owner.expired());
  EXPECT_EQ(Gathered(queue), "more");
}

TEST(OutputQueueTest, OwnersAreLetGoWithTheQueue) {
  const auto bytes = SharedPattern(kLarge);
  {
    OutputQueue queue;
    BorrowFrom(queue, bytes);
  }
  EXPECT_EQ(bytes.use_count(), 1);
}

TEST(OutputQueueTest, GatherFillsNoMoreVectorsThanItIsGiven) {
  OutputQueue queue;
  const auto lent = SharedPattern(kLarge);
  queue.Append("a");
  BorrowFrom(queue, lent);
  queue.Append("b");
  std::array<iovec, 2> vectors;
  EXPECT_EQ(queue.Gather(vectors), 2u);
  EXPECT_EQ(Gathered(queue, 2), "a" + *lent);
  EXPECT_EQ(Gathered(queue, 1), "a");
}

TEST(OutputQueueTest, MessagesFollowTheirPrefix) {
  OutputQueue queue;
  std::string expected;
  for (const size_t size : {size_t{0}, size_t{1}, kLarge - 1, kLarge, 3 * kLarge}) {
    ByteChain message;
    message.Append(Pattern(size));
    queue.Append("prefix", std::move(message));
    expected += "prefix" + Pattern(size);
    EXPECT_EQ(queue.size(), expected.size());
  }
  EXPECT_EQ(DrainInPortions(queue, 1000), expected);
}

TEST(OutputQueueTest, LargeMessageIsNotCopied) {
  ByteChain message;
  message.Append(Pattern(kLarge));
  const void* before = message.own().data();
  OutputQueue queue;
  queue.Append("prefix", std::move(message));
  std::array<iovec, 4> vectors;
  ASSERT_EQ(queue.Gather(vectors), 2u);
  EXPECT_EQ(vectors[1].iov_base, before);
}

TEST(OutputQueueTest, MessageThatBorrowsIsSentInOrderAndItsOwnerLetGo) {
  auto tensor = SharedPattern(2 * kLarge);
  const std::weak_ptr<const std::string> owner = tensor;
  ByteChain message;
  message.Append("before");
  message.Borrow(*tensor, tensor);
  message.Append("after");
  OutputQueue queue;
  queue.Append("prefix", std::move(message));
  tensor.reset();
  EXPECT_EQ(Gathered(queue), "prefixbefore" + Pattern(2 * kLarge) + "after");
  queue.Consume(queue.size());
  EXPECT_TRUE(owner.expired());
}

TEST(OutputQueueTest, SmallMessageFollowsWhatIsStillBorrowed) {
  OutputQueue queue;
  const auto lent = SharedPattern(kLarge);
  BorrowFrom(queue, lent);
  ByteChain message;
  message.Append("message");
  queue.Append("prefix", std::move(message));
  EXPECT_EQ(Gathered(queue), *lent + "prefixmessage");
}

TEST(OutputQueueTest, DrainedQueueKeepsALittleMemoryUntilItIsShrunk) {
  if (!BlockPool::kKeeps) GTEST_SKIP() << "sanitizers have a heap of their own";
  const std::string little = Pattern(60'000);
  const std::string much = Pattern(600'000);
  OutputQueue queue;
  const size_t before = mallinfo2().uordblks;
  const auto drain = [&](const std::string& bytes) {
    queue.Append(bytes);
    queue.Consume(bytes.size());
    return mallinfo2().uordblks - before;
  };
  EXPECT_GE(drain(little), little.size());
  queue.Shrink();
  EXPECT_LE(mallinfo2().uordblks, before);
  EXPECT_LE(drain(much), kLarge);
  queue.Append("more");
  EXPECT_EQ(Gathered(queue), "more");
}

TEST(OutputQueueTest, MoveCutsAnywhereAndKeepsBothParts) {
  const auto lent = SharedPattern(3 * kLarge);
  const std::string all = "head" + *lent + "tail";
  for (const size_t cut : {size_t{0}, size_t{3}, size_t{4}, size_t{5}, kLarge + 4, 2 * kLarge + 5,
                           3 * kLarge + 4, all.size() - 1, all.size()}) {
    OutputQueue from;
    from.Append("head");
    BorrowFrom(from, lent);
    from.Append("tail");
    OutputQueue to;
    to.Append("before");
    from.MoveTo(to, cut);
    EXPECT_EQ(Gathered(to), "before" + all.substr(0, cut)) << cut;
    EXPECT_EQ(Gathered(from), all.substr(cut)) << cut;
    EXPECT_EQ(to.size() + from.size(), 6 + all.size()) << cut;
  }
}

TEST(OutputQueueTest, MoveSharesBorrowedBytesInsteadOfCopyingThem) {
  auto lent = SharedPattern(3 * kLarge);
  const std::weak_ptr<const std::string> owner = lent;
  const char* data = lent->data();
  OutputQueue from;
  OutputQueue to;
  BorrowFrom(from, lent);
  lent.reset();
  from.MoveTo(to, kLarge);
  std::array<iovec, 1> vector;
  ASSERT_EQ(to.Gather(vector), 1u);
  EXPECT_EQ(vector[0].iov_base, data);
  ASSERT_EQ(from.Gather(vector), 1u);
  EXPECT_EQ(vector[0].iov_base, data + kLarge);
  from.Consume(from.size());
  EXPECT_FALSE(owner.expired());
  to.Consume(to.size());
  EXPECT_TRUE(owner.expired());
}

// A queue and a string under the same random operations show the same bytes.
class OutputQueueModel {
 public:
  void Step() {
    switch (Below(5)) {
      case 0:
        return Add(Pattern(Below(100), Below(1000)));
      case 1:
        return AddLent(SharedPattern(Below(3 * kLarge), Below(1000)));
      case 2:
        return AddMessage(Pattern(Below(2 * kLarge), Below(1000)));
      case 3:
        return Take(Below(model_.size() + 1));
      default:
        return Move(Below(model_.size() + 1));
    }
  }
  void Check() const {
    ASSERT_EQ(queue_.size(), model_.size());
    ASSERT_EQ(Gathered(queue_, 10'000), model_);
  }

 private:
  size_t Below(size_t end) { return random_() % end; }
  void Add(const std::string& bytes) {
    queue_.Append(bytes);
    model_ += bytes;
  }
  void AddLent(const std::shared_ptr<const std::string>& bytes) {
    BorrowFrom(queue_, bytes);
    model_ += *bytes;
  }
  void AddMessage(const std::string& bytes) {
    ByteChain message;
    message.Append(bytes);
    queue_.Append("12345", std::move(message));
    model_ += "12345" + bytes;
  }
  void Take(size_t bytes) {
    queue_.Consume(bytes);
    model_.erase(0, bytes);
  }
  void Move(size_t bytes) {
    OutputQueue other;
    queue_.MoveTo(other, bytes);
    ASSERT_EQ(Gathered(other, 10'000), model_.substr(0, bytes));
    model_.erase(0, bytes);
  }

  std::minstd_rand random_{1};
  OutputQueue queue_;
  std::string model_;
};

TEST(OutputQueueTest, ShowsWhatWasPutInAfterAnyOrderOfOperations) {
  OutputQueueModel model;
  for (int step = 0; step < 1000; ++step) {
    model.Step();
    model.Check();
    if (::testing::Test::HasFatalFailure()) FAIL() << "after step " << step;
  }
}

}  // namespace
}  // namespace fastserve
