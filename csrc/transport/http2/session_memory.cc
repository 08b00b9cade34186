#include "transport/http2/session_memory.h"

#include <malloc.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/block_pool.h"

namespace fastserve {
namespace {

// What is larger belongs to the session, lives as long, and is better off with the heap, which
// rounds less.
constexpr size_t kLargestOfAStream = 1024;

constexpr size_t kPage = 4096;
constexpr size_t kFrameBuffer = 16 << 10;  // and a few bytes
constexpr size_t kBlock = kPage + kFrameBuffer;
constexpr size_t kAlignment = alignof(std::max_align_t);

}  // namespace

SessionMemory::SessionMemory() : block_(static_cast<char*>(std::aligned_alloc(kPage, kBlock))) {}

nghttp2_mem SessionMemory::functions() {
  return {this, &Allocate, &Free, &AllocateZeros, &Reallocate};
}

void* SessionMemory::Allocate(size_t size, void* self) {
  if (size <= kLargestOfAStream) return BlockPool::Allocate(size);
  return static_cast<SessionMemory*>(self)->AllocateLarge(size);
}

// nghttp2 asks for the session, of about 3 KiB, before all else.
void* SessionMemory::AllocateLarge(size_t size) {
  const bool is_for_block = used_ == 0 ? size < kPage : size >= kFrameBuffer;
  if (!is_for_block || block_ == nullptr || size > kBlock - used_) return std::malloc(size);
  void* const memory = block_.get() + used_;
  used_ += (size + kAlignment - 1) / kAlignment * kAlignment;
  return memory;
}

size_t SessionMemory::LeftInBlock(const void* memory) const {
  const uintptr_t at =
      reinterpret_cast<uintptr_t>(memory) - reinterpret_cast<uintptr_t>(block_.get());
  return at < kBlock ? kBlock - at : 0;
}

void SessionMemory::Free(void* memory, void* self) {
  if (memory == nullptr || static_cast<SessionMemory*>(self)->LeftInBlock(memory) > 0) return;
  BlockPool::Free(memory);
}

void* SessionMemory::AllocateZeros(size_t count, size_t size, void* self) {
  void* const memory = Allocate(count * size, self);
  return memory != nullptr ? std::memset(memory, 0, count * size) : nullptr;
}

void* SessionMemory::Reallocate(void* memory, size_t size, void* self) {
  void* const moved = Allocate(size, self);
  if (moved == nullptr || memory == nullptr) return moved;
  const size_t in_block = static_cast<SessionMemory*>(self)->LeftInBlock(memory);
  std::memcpy(moved, memory, std::min(size, in_block ? in_block : ::malloc_usable_size(memory)));
  Free(memory, self);
  return moved;
}

}  // namespace fastserve
