#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/block_pool.h"
#include "base/byte_buffer.h"

namespace fastserve {

// A message to send: bytes in order, some copied into the chain, some borrowed together with what
// keeps them alive. Tensor bytes travel from TensorFlow's memory to writev() this way.
// Threads: one at a time; movable between threads.
class ByteChain {
 public:
  // Borrowing costs a reference and an iovec, copying costs a memcpy; below this size Borrow()
  // copies.
  static constexpr size_t kBorrowThreshold = 4096;

  // One run of bytes; `owner` is null for bytes that the chain itself holds.
  struct Slice {
    ByteView bytes;
    std::shared_ptr<const void> owner;
  };

  void Append(ByteView bytes) { own_.append(bytes); }
  void Reserve(size_t bytes) { own_.reserve(bytes); }
  // The chain's own tail, for writers that append in place (protobuf varints, JSON).
  PooledString& tail() { return own_; }
  // Adds bytes that stay where they are for as long as `owner` lives.
  void Borrow(ByteView bytes, std::shared_ptr<const void> owner);

  size_t size() const { return own_.size() + borrowed_bytes_; }
  bool empty() const { return size() == 0; }

  // Every slice in order, empty ones left out. The views end with the chain or its next change.
  PooledVector<Slice> Slices() const;
  // The bytes when nothing is borrowed, which is the common case of a small answer.
  // REQUIRES: !has_borrowed()
  ByteView own() const { return own_; }
  bool has_borrowed() const { return !borrowed_.empty(); }
  // Everything in one string.
  std::string Flatten() const;

 private:
  struct Borrowed {
    size_t position;  // in own_: the borrowed bytes come before own_[position]
    ByteView bytes;
    std::shared_ptr<const void> owner;
  };
  PooledString own_;
  PooledVector<Borrowed> borrowed_;
  size_t borrowed_bytes_ = 0;
};

}  // namespace fastserve
