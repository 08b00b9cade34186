#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace fastserve {

// Borrowed bytes; any values, not necessarily text.
using ByteView = std::string_view;

// Where tensor bytes must start for TensorFlow to use them in place (EIGEN_MAX_ALIGN_BYTES).
inline constexpr size_t kTensorAlignment = 64;

// Shared ownership of one block of memory of fixed size: one allocation for count and bytes.
// Copies share the bytes. Threads: handles may be copied and dropped on any thread; the bytes are
// written by one thread before the buffer is shared, and are read-only from then on.
class ByteBuffer {
 public:
  ByteBuffer() = default;  // no bytes
  ByteBuffer(const ByteBuffer& other) : block_(other.block_) { Ref(); }
  ByteBuffer(ByteBuffer&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  ByteBuffer& operator=(ByteBuffer other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~ByteBuffer() { Unref(block_); }

  // `size` uninitialised bytes, placed so that data() + aligned_offset is a multiple of
  // kTensorAlignment: a message's payload can so be received where TensorFlow wants it.
  // An empty buffer when memory is short.
  static ByteBuffer Allocate(size_t size, size_t aligned_offset = 0);
  static ByteBuffer Copy(ByteView bytes);

  explicit operator bool() const { return block_ != nullptr; }
  char* data() const { return block_ ? block_->data : nullptr; }
  size_t size() const { return block_ ? block_->size : 0; }
  ByteView view() const { return {data(), size()}; }
  // Has only the first `size` bytes count. REQUIRES: size <= size(), and that nothing is shared
  // yet.
  void Truncate(size_t size) {
    if (block_) block_->size = size;
  }

  // Hands this handle's reference to C code, which gives it back to Adopt() or Drop().
  void* Release() { return std::exchange(block_, nullptr); }
  static ByteBuffer Adopt(void* released);
  static void Drop(void* released) { Unref(static_cast<Block*>(released)); }

 private:
  struct Block {
    std::atomic<uint32_t> references;
    size_t allocated;  // with this
    size_t size;
    char* data;
  };

  void Ref() const {
    if (block_) block_->references.fetch_add(1, std::memory_order_relaxed);
  }
  static void Unref(Block* block);

  Block* block_ = nullptr;
};

}  // namespace fastserve
