#include "base/heap.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace fastserve {
namespace {

TEST(ReturnPagesTest, OnlyWholePagesAreGivenBack) {
  const auto page = static_cast<size_t>(::getpagesize());
  std::vector<char> block(8 * page, 'x');
  char* const first = block.data() + page - reinterpret_cast<uintptr_t>(block.data()) % page;
  ReturnPages(first - 1, 2 * page + 2);
  EXPECT_EQ(first[-1], 'x');
  EXPECT_TRUE(std::all_of(first, first + 2 * page, [](char c) { return c == 0; }));
  EXPECT_EQ(first[2 * page], 'x');
  ReturnPages(first + 2 * page + 1, page);  // no page is whole in it
  EXPECT_EQ(first[2 * page + 1], 'x');
}

}  // namespace
}  // namespace fastserve
