#include "transport/http2/session_memory.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "base/block_pool.h"

namespace fastserve {
namespace {

// What is larger belongs to the session, lives as long, and is better off with the heap, which
// rounds less.
constexpr size_t kLargestOfAStream = 1024;

// Each block begins with its size, for nghttp2 does not tell when it frees one.
constexpr size_t kHead = alignof(std::max_align_t);
static_assert(kHead >= sizeof(size_t));

char* BlockOf(void* memory) { return static_cast<char*>(memory) - kHead; }

size_t SizeOf(void* memory) {
  size_t size = 0;
  std::memcpy(&size, BlockOf(memory), sizeof(size));
  return size;
}

void* Allocate(size_t size, void*) {
  char* const block = static_cast<char*>(
      size <= kLargestOfAStream ? BlockPool::Allocate(kHead + size) : std::malloc(kHead + size));
  if (block == nullptr) return nullptr;
  std::memcpy(block, &size, sizeof(size));
  return block + kHead;
}

void Free(void* memory, void*) {
  if (memory == nullptr) return;
  const size_t size = SizeOf(memory);
  if (size <= kLargestOfAStream) {
    BlockPool::Free(BlockOf(memory), kHead + size);
  } else {
    std::free(BlockOf(memory));
  }
}

void* AllocateZeros(size_t count, size_t size, void*) {
  void* const memory = Allocate(count * size, nullptr);
  return memory != nullptr ? std::memset(memory, 0, count * size) : nullptr;
}

void* Reallocate(void* memory, size_t size, void*) {
  void* const moved = Allocate(size, nullptr);
  if (moved == nullptr || memory == nullptr) return moved;
  std::memcpy(moved, memory, std::min(size, SizeOf(memory)));
  Free(memory, nullptr);
  return moved;
}

}  // namespace

nghttp2_mem SessionMemory() { return {nullptr, &Allocate, &Free, &AllocateZeros, &Reallocate}; }

}  // namespace fastserve
