#include "base/block_pool.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace fastserve {
namespace {

constexpr size_t kBlock = 1024;
// What the C library itself keeps for a thread, and counts as taken.
constexpr size_t kSlack = 16 * kBlock;

// Of the main thread's part of the heap.
size_t TakenFromHeap() { return mallinfo2().uordblks; }

std::vector<void*> AllocateBlocks(size_t bytes) {
  std::vector<void*> blocks(bytes / kBlock);
  for (void*& block : blocks) block = BlockPool::Allocate(kBlock);
  return blocks;
}

void FreeBlocks(const std::vector<void*>& blocks) {
  for (void* const block : blocks) BlockPool::Free(block, kBlock);
}

TEST(BlockPoolTest, ABlockHasTheSizeThatWasAskedFor) {
  std::vector<size_t> sizes = {BlockPool::kMaxBlock - 1, BlockPool::kMaxBlock,
                               BlockPool::kMaxBlock + 1, 1 << 20};
  sizes.resize(sizes.size() + 200);
  std::iota(sizes.begin() + 4, sizes.end(), 0);
  std::vector<void*> blocks;
  for (size_t i = 0; i < sizes.size(); ++i) {
    blocks.push_back(BlockPool::Allocate(sizes[i]));
    ASSERT_NE(blocks.back(), nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(blocks.back()) % alignof(std::max_align_t), 0u);
    std::memset(blocks.back(), static_cast<int>(i), sizes[i]);
  }
  for (size_t i = 0; i < sizes.size(); ++i) {
    const std::string expected(sizes[i], static_cast<char>(i));
    EXPECT_EQ(std::memcmp(blocks[i], expected.data(), sizes[i]), 0) << sizes[i];
    BlockPool::Free(blocks[i], sizes[i]);
  }
}

TEST(BlockPoolTest, AFreedBlockServesTheNextOfAboutItsSize) {
  if (!BlockPool::kKeeps) GTEST_SKIP() << "sanitizers see every block";
  void* const block = BlockPool::Allocate(1000);
  BlockPool::Free(block, 1000);
  void* const next = BlockPool::Allocate(900);
  EXPECT_EQ(next, block);
  BlockPool::Free(next, 900);
}

TEST(BlockPoolTest, ABlockMayBeFreedByWhoDoesNotKnowItsSize) {
  std::thread([] {  // which keeps none yet
    for (size_t size = 0; size <= 2 * BlockPool::kMaxBlock; ++size) {
      void* const block = BlockPool::Allocate(size);
      BlockPool::Free(block);
      if (!BlockPool::kKeeps || size > BlockPool::kMaxBlock) continue;
      void* const next = BlockPool::Allocate(size);
      EXPECT_EQ(next, block) << size;
      BlockPool::Free(next, size);
    }
  })
      .join();
}

TEST(BlockPoolTest, ABlockOfTheHeapServesForWhatItHasRoomFor) {
  std::thread([] {
    for (size_t size = 16; size <= 2 * BlockPool::kMaxBlock; ++size) {
      BlockPool::Free(std::malloc(size));
      void* const next = BlockPool::Allocate(size);
      std::memset(next, 'x', size);
      EXPECT_GE(malloc_usable_size(next), size);
      BlockPool::Free(next);
    }
  }).join();
}

TEST(BlockPoolTest, AThreadKeepsNoMoreThanItsShareOfEachSize) {
  if (!BlockPool::kKeeps) GTEST_SKIP() << "sanitizers see every block";
  const std::vector<void*> blocks = AllocateBlocks(4 * BlockPool::kKeptBytes);
  const size_t taken = TakenFromHeap();
  FreeBlocks(blocks);
  const size_t freed = taken - TakenFromHeap();
  EXPECT_GE(freed, 3 * BlockPool::kKeptBytes - kSlack);
  EXPECT_LT(freed, 4 * BlockPool::kKeptBytes - kSlack);
}

TEST(BlockPoolTest, BlocksOfAnotherThreadAreFreedWithTheOneThatKeepsThem) {
  if (!BlockPool::kKeeps) GTEST_SKIP() << "sanitizers see every block";
  const std::vector<void*> blocks = AllocateBlocks(4 * BlockPool::kKeptBytes);
  const size_t taken = TakenFromHeap();
  std::thread([&] { FreeBlocks(blocks); }).join();
  EXPECT_GE(taken - TakenFromHeap(), 4 * BlockPool::kKeptBytes - kSlack);
}

TEST(BlockPoolTest, ABlockMayBeFreedAtTheVeryEndOfAThread) {
  struct Late {
    ~Late() { FreeBlocks(blocks); }
    std::vector<void*> blocks;
  };
  const size_t taken = TakenFromHeap();
  std::vector<void*> blocks = AllocateBlocks(BlockPool::kKeptBytes);
  std::thread([&] {
    thread_local Late late;
    FreeBlocks(AllocateBlocks(kBlock));  // now what the thread keeps goes before `late` does
    late.blocks.swap(blocks);
  }).join();
  EXPECT_LE(TakenFromHeap(), taken + kSlack);
}

TEST(PoolAllocatorTest, MoreThanTheAddressSpaceIsRefused) {
  EXPECT_THROW(PooledVector<int>().reserve(SIZE_MAX / 2), std::length_error);
  EXPECT_THROW(PoolAllocator<int>().allocate(SIZE_MAX / 2), std::bad_array_new_length);
}

}  // namespace
}  // namespace fastserve
