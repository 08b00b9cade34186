#include "transport/net/output_queue.h"

#include <algorithm>
#include <utility>

namespace fastserve {
namespace {

// A drained queue keeps this much memory for its next bytes.
constexpr size_t kKeptBytes = 64 << 10;

}  // namespace

void OutputQueue::Append(ByteView bytes) {
  own_.append(bytes);
  size_ += bytes.size();
}

void OutputQueue::Append(ByteView prefix, ByteChain message) {
  if (message.has_borrowed() || message.size() >= ByteChain::kBorrowThreshold) {
    Append(prefix);
    const auto held = MakePooled<const ByteChain>(std::move(message));
    for (const ByteChain::Slice& slice : held->Slices()) {
      Borrow(slice.bytes, slice.owner ? slice.owner : held);
    }
    return;
  }
  size_ += prefix.size() + message.size();
  if (own_.empty()) {
    own_ = std::move(message.tail());
    own_.insert(0, prefix);
  } else {
    own_.append(prefix).append(message.own());
  }
}

void OutputQueue::Borrow(ByteView bytes, const std::shared_ptr<const void>& owner) {
  if (bytes.size() < ByteChain::kBorrowThreshold) return Append(bytes);
  borrowed_.push_back({own_.size(), bytes, owner});
  size_ += bytes.size();
}

ByteView OutputQueue::OwnRun(size_t head, size_t next_borrowed) const {
  const size_t end =
      next_borrowed < borrowed_.size() ? borrowed_[next_borrowed].position : own_.size();
  return ByteView(own_).substr(head, end - head);
}

size_t OutputQueue::Gather(std::span<iovec> vectors) const {
  size_t count = 0;
  size_t head = own_head_;
  size_t next = borrowed_head_;
  const auto add = [&](ByteView bytes) {
    vectors[count++] = {const_cast<char*>(bytes.data()), bytes.size()};
  };
  while (count < vectors.size()) {
    const ByteView own = OwnRun(head, next);
    if (!own.empty()) {
      add(own);
      head += own.size();
    } else if (next < borrowed_.size()) {
      add(borrowed_[next++].bytes);
    } else {
      break;
    }
  }
  return count;
}

void OutputQueue::Consume(size_t bytes) {
  size_ -= bytes;
  while (bytes > 0) {
    const size_t own = std::min(bytes, OwnRun(own_head_, borrowed_head_).size());
    own_head_ += own;
    bytes -= own;
    if (bytes == 0) break;
    Borrowed& first = borrowed_[borrowed_head_];
    const size_t taken = std::min(bytes, first.bytes.size());
    first.bytes.remove_prefix(taken);
    bytes -= taken;
    if (first.bytes.empty()) {
      first.owner.reset();
      ++borrowed_head_;
    }
  }
  DropConsumed();
}

void OutputQueue::DropConsumed() {
  if (size_ == 0) {
    own_.clear();
    borrowed_.clear();
    own_head_ = borrowed_head_ = 0;
    if (own_.capacity() > kKeptBytes) Shrink();
    return;
  }
  if (borrowed_head_ * 2 > borrowed_.size()) {
    borrowed_.erase(borrowed_.begin(), borrowed_.begin() + static_cast<ptrdiff_t>(borrowed_head_));
    borrowed_head_ = 0;
  }
  if (own_head_ > kKeptBytes && own_head_ * 2 > own_.size()) {
    own_.erase(0, own_head_);
    for (Borrowed& borrowed : borrowed_) borrowed.position -= own_head_;
    own_head_ = 0;
  }
}

void OutputQueue::Shrink() {
  own_.shrink_to_fit();  // assigning an empty string would keep the memory
  borrowed_.shrink_to_fit();
}

void OutputQueue::MoveTo(OutputQueue& to, size_t bytes) {
  size_t left = bytes;
  size_t head = own_head_;
  for (size_t next = borrowed_head_; left > 0; ++next) {
    const ByteView own = OwnRun(head, next).substr(0, left);
    to.Append(own);
    head += own.size();
    left -= own.size();
    if (left == 0) break;
    const ByteView lent = borrowed_[next].bytes.substr(0, left);
    to.Borrow(lent, borrowed_[next].owner);
    left -= lent.size();
  }
  Consume(bytes);
}

}  // namespace fastserve
