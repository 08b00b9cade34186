#include "base/block_pool.h"

#include <malloc.h>

#include <array>
#include <bit>
#include <cstdlib>
#include <new>
#include <utility>

namespace fastserve {
namespace {

// By index of the size: 16, 32, ... 128, 160, 192, 224, 256, 320, ...: steps of 16, then four to
// each power of two.
constexpr size_t SizeIndex(size_t size) {
  const size_t last = size - (size > 0);
  if (last < 128) return last / 16;
  const auto bits = static_cast<size_t>(std::bit_width(last));
  return 8 + (bits - 8) * 4 + (last >> (bits - 3) & 3);
}
constexpr size_t BlockSize(size_t index) {
  if (index < 8) return (index + 1) * 16;
  return (5 + index % 4) << (5 + (index - 8) / 4);
}
static_assert(BlockSize(SizeIndex(0)) == 16 && BlockSize(SizeIndex(16)) == 16);
static_assert(BlockSize(SizeIndex(128)) == 128 && BlockSize(SizeIndex(129)) == 160);
static_assert(BlockSize(SizeIndex(256)) == 256 && BlockSize(SizeIndex(257)) == 320);
static_assert(BlockSize(SizeIndex(BlockPool::kMaxBlock)) == BlockPool::kMaxBlock);
constexpr size_t kSizes = SizeIndex(BlockPool::kMaxBlock) + 1;

struct Block {
  Block* next;
};

// A thread's blocks of one size.
struct Kept {
  Block* first;
  size_t room;  // for so many more
};

// Without a destructor, so that blocks can be freed up to the very end of a thread: there is no
// room before Open() and after ~AtThreadEnd().
constinit thread_local std::array<Kept, kSizes> kept_blocks{};
constinit thread_local bool opened = false;

struct AtThreadEnd {
  ~AtThreadEnd() {
    for (Kept& kept : kept_blocks) {
      while (Block* block = kept.first) {
        kept.first = block->next;
        std::free(block);
      }
      kept.room = 0;
    }
  }
};

// Makes room, once a thread; false when it has been made.
bool Open() {
  if (std::exchange(opened, true)) return false;
  thread_local const AtThreadEnd at_thread_end;
  for (size_t i = 0; i < kSizes; ++i) kept_blocks[i].room = BlockPool::kKeptBytes / BlockSize(i);
  return true;
}

}  // namespace

void* BlockPool::Allocate(size_t size) {
  if (!kKeeps || size > kMaxBlock) return std::malloc(size);
  const size_t index = SizeIndex(size);
  Kept& kept = kept_blocks[index];
  Block* const block = kept.first;
  if (block == nullptr) return std::malloc(BlockSize(index));
  kept.first = block->next;
  ++kept.room;
  return block;
}

void BlockPool::Free(void* block, size_t size) {
  if (!kKeeps || size > kMaxBlock) return std::free(block);
  Kept& kept = kept_blocks[SizeIndex(size)];
  if (kept.room == 0 && !Open()) return std::free(block);
  --kept.room;
  kept.first = new (block) Block{kept.first};
}

void BlockPool::Free(void* block) {
  const size_t room = ::malloc_usable_size(block);
  if (!kKeeps || room > kMaxBlock) return std::free(block);
  Free(block, BlockSize(SizeIndex(room + 1) - 1));  // the largest that it may serve as
}

}  // namespace fastserve
