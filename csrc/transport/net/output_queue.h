#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>

#include "base/block_pool.h"
#include "base/byte_buffer.h"
#include "base/byte_chain.h"

namespace fastserve {

// Bytes on their way out, first in, first out: small ones in one flat string, large ones borrowed
// where they lie, each with an owner that is kept until its last byte has left.
// Threads: one at a time.
class OutputQueue {
 public:
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Copies.
  void Append(ByteView bytes);
  // `prefix` and then `message`, of which only parts below ByteChain::kBorrowThreshold are copied.
  void Append(ByteView prefix, ByteChain message);
  // Copies below ByteChain::kBorrowThreshold, else borrows until the bytes have left.
  void Borrow(ByteView bytes, const std::shared_ptr<const void>& owner);

  // Describes the first bytes for writev(); returns how many of `vectors` were filled. They are
  // valid until the queue is changed.
  size_t Gather(std::span<iovec> vectors) const;
  // Drops the first `bytes`. REQUIRES: bytes <= size()
  void Consume(size_t bytes);
  // Frees what an empty queue keeps for its next bytes. REQUIRES: empty()
  void Shrink();
  // Moves the first `bytes` to the end of `to`. REQUIRES: bytes <= size()
  void MoveTo(OutputQueue& to, size_t bytes);

 private:
  struct Borrowed {
    size_t position;  // in own_: these bytes come before own_[position]
    ByteView bytes;
    std::shared_ptr<const void> owner;
  };

  // Our own bytes before the next borrowed ones.
  ByteView OwnRun(size_t head, size_t next_borrowed) const;
  void DropConsumed();

  PooledString own_;
  size_t own_head_ = 0;  // own_[0, own_head_) has left
  PooledVector<Borrowed> borrowed_;
  size_t borrowed_head_ = 0;
  size_t size_ = 0;
};

}  // namespace fastserve
