#include "base/byte_chain.h"

#include <utility>

namespace fastserve {

void ByteChain::Borrow(ByteView bytes, std::shared_ptr<const void> owner) {
  if (bytes.size() < kBorrowThreshold) {
    Append(bytes);
    return;
  }
  borrowed_bytes_ += bytes.size();
  borrowed_.push_back({own_.size(), bytes, std::move(owner)});
}

PooledVector<ByteChain::Slice> ByteChain::Slices() const {
  PooledVector<Slice> slices;
  slices.reserve(2 * borrowed_.size() + 1);
  const ByteView own = own_;
  size_t taken = 0;
  for (const Borrowed& borrowed : borrowed_) {
    if (borrowed.position > taken) {
      slices.push_back({own.substr(taken, borrowed.position - taken), nullptr});
      taken = borrowed.position;
    }
    slices.push_back({borrowed.bytes, borrowed.owner});
  }
  if (taken < own.size()) slices.push_back({own.substr(taken), nullptr});
  return slices;
}

std::string ByteChain::Flatten() const {
  std::string flat;
  flat.reserve(size());
  for (const Slice& slice : Slices()) flat.append(slice.bytes);
  return flat;
}

}  // namespace fastserve
