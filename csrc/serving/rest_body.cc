#include "serving/rest_body.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/heap.h"
#include "codec/npy.h"
#include "codec/predict_wire.h"

namespace fastserve {
namespace {

constexpr size_t kFirstRoom = 256 * 1024;  // of a body of unknown size
// Touching returned pages anew costs some 5 % of parsing as many bytes.
constexpr size_t kReturnedBytes = 4 * 1024 * 1024;

}  // namespace

bool RestBody::Append(ByteView piece) {
  if (piece.empty()) return true;
  if (piece.size() > buffer_.size() - size_ && !Grow(piece)) return false;
  std::memcpy(buffer_.data() + size_, piece.data(), piece.size());
  size_ += piece.size();
  return true;
}

// Makes room for what is expected, or else for twice of what was there.
bool RestBody::Grow(ByteView piece) {
  const size_t needed = size_ + piece.size();
  const size_t room = std::max(needed, std::max(expected_size_.value_or(kFirstRoom), 2 * size_));
  if (size_ == 0) {
    if (format_ == RestFormat::kNpy) payload_offset_ = NpyDataOffset(piece);
    if (format_ == RestFormat::kProtobuf && expected_size_) {
      payload_offset_ = PayloadOffset(piece, *expected_size_);
    }
  }
  ByteBuffer larger = ByteBuffer::Allocate(room, payload_offset_);
  if (!larger) return false;
  if (size_ > 0) std::memcpy(larger.data(), buffer_.data(), size_);
  buffer_ = std::move(larger);
  return true;
}

void RestBody::Drop() && {
  if (size_ >= kReturnedBytes) ReturnPages(buffer_.data(), size_);
  buffer_ = ByteBuffer();
  size_ = 0;
}

ByteBuffer RestBody::Take() && {
  buffer_.Truncate(size_);
  return std::move(buffer_);
}

}  // namespace fastserve
