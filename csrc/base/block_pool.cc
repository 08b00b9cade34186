#include "base/block_pool.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <new>
#include <utility>

namespace fastserve {
namespace {

constexpr size_t kMinBlock = 64;

// By index of the size: 64, 128, ...
constexpr size_t SizeIndex(size_t size) {
  return static_cast<size_t>(std::bit_width(std::max(size, kMinBlock) - 1) -
                             std::bit_width(kMinBlock - 1));
}
constexpr size_t BlockSize(size_t index) { return kMinBlock << index; }
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

}  // namespace fastserve
