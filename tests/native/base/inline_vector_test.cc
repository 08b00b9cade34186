#include "base/inline_vector.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace fastserve {
namespace {

using Small = InlineVector<int64_t, 3>;

std::vector<int64_t> Values(const Small& small) { return {small.begin(), small.end()}; }

TEST(InlineVectorTest, KeepsElementsInOrderWithinItself) {
  Small small = {5, 6};
  small.push_back(7);
  EXPECT_EQ(Values(small), (std::vector<int64_t>{5, 6, 7}));
  const char* const inside = reinterpret_cast<const char*>(small.data());
  EXPECT_GE(inside, reinterpret_cast<const char*>(&small));
  EXPECT_LT(inside, reinterpret_cast<const char*>(&small + 1));
}

TEST(InlineVectorTest, KeepsAllElementsWhenItOutgrowsItself) {
  Small small;
  std::vector<int64_t> expected;
  for (int64_t i = 0; i < 300; ++i) {
    small.push_back(i);
    expected.push_back(i);
    ASSERT_EQ(Values(small), expected);
  }
  EXPECT_EQ(small.size(), 300u);
}

TEST(InlineVectorTest, ElementsCanBeChangedWhereverTheyAre) {
  Small small = {1, 2};
  small[1] = 20;
  EXPECT_EQ(Values(small), (std::vector<int64_t>{1, 20}));
  Small large = {1, 2, 3, 4};
  large[0] = 10;
  large[3] = 40;
  EXPECT_EQ(Values(large), (std::vector<int64_t>{10, 2, 3, 40}));
}

TEST(InlineVectorTest, ClearedVectorFillsAnew) {
  Small small = {1, 2, 3, 4, 5};
  small.clear();
  EXPECT_TRUE(small.empty());
  for (int64_t value : {9, 8, 7, 6}) small.push_back(value);
  EXPECT_EQ(Values(small), (std::vector<int64_t>{9, 8, 7, 6}));
}

TEST(InlineVectorTest, ComparesByElements) {
  EXPECT_EQ(Small({1, 2}), Small({1, 2}));
  EXPECT_FALSE(Small({1, 2}) == Small({1, 3}));
  EXPECT_FALSE(Small({1, 2}) == Small({1, 2, 3}));
  EXPECT_EQ(Small({1, 2, 3, 4}), Small({1, 2, 3, 4}));
  EXPECT_EQ(Small(), Small());
}

TEST(InlineVectorTest, CopiesAndViewsAreIndependentOfTheSize) {
  const Small large = {1, 2, 3, 4};
  Small copy = large;
  copy[0] = 100;
  EXPECT_EQ(large[0], 1);
  const std::span<const int64_t> span = large;
  EXPECT_EQ(span.size(), 4u);
  EXPECT_EQ(span[3], 4);
}

}  // namespace
}  // namespace fastserve
