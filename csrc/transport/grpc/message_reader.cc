#include "transport/grpc/message_reader.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace fastserve {
namespace {

Status NoMemory(size_t size) {
  return Status::ResourceExhausted("no memory for a message of " + std::to_string(size) + " bytes");
}

}  // namespace

std::span<char> MessageReader::Room() {
  if (!buffer_) return {};
  return {buffer_.data() + filled_, size_ - filled_};
}

Result<std::optional<ByteBuffer>> MessageReader::Next(ByteView& piece) {
  if (prefix_filled_ < kMessagePrefix) {
    FASTSERVE_RETURN_IF_ERROR(ReadPrefix(piece));
    if (prefix_filled_ < kMessagePrefix) return std::optional<ByteBuffer>();
  }
  if (!buffer_) {
    if (piece.empty() && size_ > 0) return std::optional<ByteBuffer>();
    FASTSERVE_RETURN_IF_ERROR(Allocate(piece.substr(0, size_)));
  }
  const size_t taken = std::min(piece.size(), size_ - filled_);
  char* const place = buffer_.data() + filled_;
  if (place != piece.data()) std::memcpy(place, piece.data(), taken);
  piece.remove_prefix(taken);
  filled_ += taken;
  if (filled_ < size_) return std::optional<ByteBuffer>();
  prefix_filled_ = 0;
  ByteBuffer message = std::exchange(buffer_, ByteBuffer());
  if (prefix_[0] != 0) return Decompressed(message);
  return std::optional<ByteBuffer>(std::move(message));
}

Result<std::optional<ByteBuffer>> MessageReader::Decompressed(const ByteBuffer& packed) const {
  const Result<std::string> plain =
      Decompress(*ParseCompression(encoding_), packed.view(), max_message_bytes_);
  if (!plain.ok()) return plain.status();
  const size_t offset = payload_offset_ ? payload_offset_(*plain, plain->size()) : 0;
  ByteBuffer message = ByteBuffer::Allocate(plain->size(), offset);
  if (!message) return NoMemory(plain->size());
  std::memcpy(message.data(), plain->data(), plain->size());
  return std::optional<ByteBuffer>(std::move(message));
}

Status MessageReader::ReadPrefix(ByteView& piece) {
  const size_t taken = std::min(piece.size(), kMessagePrefix - prefix_filled_);
  std::memcpy(prefix_ + prefix_filled_, piece.data(), taken);
  piece.remove_prefix(taken);
  prefix_filled_ += taken;
  if (prefix_filled_ < kMessagePrefix) return {};
  FASTSERVE_RETURN_IF_ERROR(CheckFlag());
  size_ = size_t{prefix_[1]} << 24 | size_t{prefix_[2]} << 16 | size_t{prefix_[3]} << 8 |
          size_t{prefix_[4]};
  filled_ = 0;
  if (size_ <= max_message_bytes_) return {};
  return Status::ResourceExhausted("Received message larger than max (" + std::to_string(size_) +
                                   " vs. " + std::to_string(max_message_bytes_) + ")");
}

Status MessageReader::CheckFlag() const {
  const uint8_t flag = prefix_[0];
  if (flag == 0) return {};
  if (flag > 1) {
    return Status::Internal("illegal flag " + std::to_string(flag) + " in a message's prefix");
  }
  if (encoding_.empty()) {
    return Status::Internal("a message is flagged as compressed, but grpc-encoding is identity");
  }
  if (ParseCompression(encoding_)) return {};
  return Status::Unimplemented(
      "messages compressed with \"" + encoding_ +
      "\" are not supported; supported encodings: " + std::string(kAcceptedEncodings));
}

Status MessageReader::Allocate(ByteView head) {
  const bool compressed = prefix_[0] != 0;
  const size_t offset = payload_offset_ && !compressed ? payload_offset_(head, size_) : 0;
  buffer_ = ByteBuffer::Allocate(size_, offset);
  return buffer_ ? Status() : NoMemory(size_);
}

}  // namespace fastserve
