#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace fastserve {

// Memory for what comes and goes with every request, so that a thread that serves requests takes
// nothing from the heap. Each thread keeps the blocks that it frees for its next ones, whichever
// thread they came from: sizes are rounded up a little, and of each it keeps up to
// kKeptBytes, 2 MiB in all; what is more, and what is larger than kMaxBlock, is the heap's. A
// thread's blocks are freed at its end. Under ASan and TSan everything is the heap's, so that they
// see what is used after it was freed.
class BlockPool {
 public:
  static constexpr size_t kMaxBlock = 8 << 10;
  static constexpr size_t kKeptBytes = 64 << 10;
#if defined(__has_feature)
#define FASTSERVE_HAS_FEATURE(feature) __has_feature(feature)
#else
#define FASTSERVE_HAS_FEATURE(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    FASTSERVE_HAS_FEATURE(address_sanitizer) || FASTSERVE_HAS_FEATURE(thread_sanitizer)
  static constexpr bool kKeeps = false;
#else
  static constexpr bool kKeeps = true;
#endif
#undef FASTSERVE_HAS_FEATURE

  // Uninitialised, aligned as malloc() does; null when memory is short. Any thread.
  static void* Allocate(size_t size);
  // `size` as it was allocated. Any thread.
  static void Free(void* block, size_t size);
  // For who does not know the size; a block of malloc(), of 16 bytes or more, may go here, too. Any
  // thread.
  static void Free(void* block);
};

// The pool for the standard library's types.
template <class T>
struct PoolAllocator {
  using value_type = T;
  static_assert(alignof(T) <= alignof(std::max_align_t));

  PoolAllocator() = default;
  template <class U>
  PoolAllocator(const PoolAllocator<U>&) {}  // NOLINT: implicit, as the standard wants it

  T* allocate(size_t count) {
    if (count > SIZE_MAX / sizeof(T)) throw std::bad_array_new_length();
    void* const block = BlockPool::Allocate(count * sizeof(T));
    if (block == nullptr) throw std::bad_alloc();
    return static_cast<T*>(block);
  }
  void deallocate(T* block, size_t count) { BlockPool::Free(block, count * sizeof(T)); }
  friend bool operator==(PoolAllocator, PoolAllocator) { return true; }
};

template <class T>
using PooledVector = std::vector<T, PoolAllocator<T>>;
using PooledString = std::basic_string<char, std::char_traits<char>, PoolAllocator<char>>;

template <class T, class... Arguments>
std::shared_ptr<T> MakePooled(Arguments&&... arguments) {
  return std::allocate_shared<T>(PoolAllocator<std::remove_const_t<T>>(),
                                 std::forward<Arguments>(arguments)...);
}

}  // namespace fastserve
