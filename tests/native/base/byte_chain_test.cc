#include "base/byte_chain.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

namespace fastserve {
namespace {

std::shared_ptr<const std::string> Large(char fill) {
  return std::make_shared<const std::string>(ByteChain::kBorrowThreshold, fill);
}

TEST(ByteChainTest, StartsEmpty) {
  const ByteChain chain;
  EXPECT_TRUE(chain.empty());
  EXPECT_EQ(chain.size(), 0u);
  EXPECT_TRUE(chain.Slices().empty());
  EXPECT_EQ(chain.Flatten(), "");
}

TEST(ByteChainTest, CopiesWhatIsAppended) {
  ByteChain chain;
  std::string text = "head";
  chain.Append(text);
  text = "gone";
  chain.tail() += " and tail";
  EXPECT_EQ(chain.own(), "head and tail");
  EXPECT_FALSE(chain.has_borrowed());
}

TEST(ByteChainTest, CopiesSmallBytesInsteadOfBorrowing) {
  ByteChain chain;
  auto owner = std::make_shared<const std::string>(ByteChain::kBorrowThreshold - 1, 's');
  const std::weak_ptr<const std::string> alive = owner;
  chain.Borrow(*owner, owner);
  owner.reset();
  EXPECT_TRUE(alive.expired());
  EXPECT_FALSE(chain.has_borrowed());
  EXPECT_EQ(chain.size(), ByteChain::kBorrowThreshold - 1);
}

TEST(ByteChainTest, BorrowsLargeBytesInPlaceAndKeepsTheirOwner) {
  auto chain = std::make_unique<ByteChain>();
  auto owner = Large('b');
  const std::weak_ptr<const std::string> alive = owner;
  const char* const data = owner->data();
  chain->Borrow(*owner, owner);
  owner.reset();
  ASSERT_FALSE(alive.expired());
  ASSERT_EQ(chain->Slices().size(), 1u);
  EXPECT_EQ(chain->Slices()[0].bytes.data(), data);
  chain.reset();
  EXPECT_TRUE(alive.expired());
}

TEST(ByteChainTest, KeepsTheOrderOfOwnAndBorrowedBytes) {
  ByteChain chain;
  const auto first = Large('1');
  const auto second = Large('2');
  chain.Append("a");
  chain.Borrow(*first, first);
  chain.Borrow(*second, second);
  chain.Append("z");
  EXPECT_EQ(chain.Flatten(), "a" + *first + *second + "z");
  EXPECT_EQ(chain.size(), 2 + 2 * ByteChain::kBorrowThreshold);
  const auto slices = chain.Slices();
  ASSERT_EQ(slices.size(), 4u);
  EXPECT_EQ(slices[0].bytes, "a");
  EXPECT_EQ(slices[0].owner, nullptr);
  EXPECT_EQ(slices[1].owner, first);
  EXPECT_EQ(slices[2].owner, second);
  EXPECT_EQ(slices[3].bytes, "z");
}

TEST(ByteChainTest, SlicesOwnersKeepTheBytesWhenTheChainIsGone) {
  auto owner = Large('k');
  const std::string expected = *owner;
  PooledVector<ByteChain::Slice> slices;
  {
    ByteChain chain;
    chain.Borrow(*owner, owner);
    slices = chain.Slices();
  }
  owner.reset();
  EXPECT_EQ(slices[0].bytes, expected);
}

TEST(ByteChainTest, MovesWithWhatItBorrows) {
  ByteChain chain;
  const auto owner = Large('m');
  chain.Append("x");
  chain.Borrow(*owner, owner);
  const ByteChain moved = std::move(chain);
  EXPECT_EQ(moved.Flatten(), "x" + *owner);
}

}  // namespace
}  // namespace fastserve
