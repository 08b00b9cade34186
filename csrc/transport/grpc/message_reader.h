#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/byte_buffer.h"
#include "base/status.h"
#include "transport/grpc/compression.h"

namespace fastserve {

// gRPC's message prefix: a compressed flag and the length, big-endian.
inline constexpr size_t kMessagePrefix = 5;

// Cuts the messages out of a stream's DATA. Each is received into a buffer of its own, allocated
// once, when the first byte after the prefix is at hand.
// Memory: a buffer of the announced length is asked for at once, whatever that is; but a large
//   allocation is only address space until bytes arrive, so a peer that announces 2 GiB and sends
//   nothing occupies none of it. A refused allocation fails the call, not the process.
// Threads: one at a time.
class MessageReader {
 public:
  // As UnaryMethod::payload_offset.
  using PayloadOffset = size_t (*)(ByteView head, size_t message_size);

  explicit MessageReader(size_t max_message_bytes) : max_message_bytes_(max_message_bytes) {}

  // Places each message so that the byte at this offset is aligned; null = 0. `head`, by which
  // `offset` judges, is what has arrived with the message's first byte.
  void set_payload_offset(PayloadOffset offset) { payload_offset_ = offset; }

  // The request's grpc-encoding. A peer may announce one that we do not know and send every message
  // uncompressed.
  void set_encoding(ByteView encoding) { encoding_ = encoding == "identity" ? "" : encoding; }

  // What is still free of the message's buffer, once there is one.
  std::span<char> Room();

  // Takes bytes from the front of `piece`, which may lie in Room() already: a message when one is
  // complete, nothing when `piece` is used up. An error is final: kUnimplemented for a message
  // compressed in a way that we do not know, kInternal for a prefix or compressed bytes that make
  // no sense, kResourceExhausted for a message that is too long, as it comes or decompressed, or
  // for which there is no memory.
  Result<std::optional<ByteBuffer>> Next(ByteView& piece);

  bool has_encoding() const { return !encoding_.empty(); }

  // Frees what has come of an unfinished message; Next() is not called again.
  void Drop() { buffer_ = ByteBuffer(); }

  // True between the first byte of a message and its last.
  bool mid_message() const { return prefix_filled_ > 0; }

 private:
  Status ReadPrefix(ByteView& piece);
  Status CheckFlag() const;
  Status Allocate(ByteView head);
  Result<std::optional<ByteBuffer>> Decompressed(const ByteBuffer& packed) const;

  const size_t max_message_bytes_;
  PayloadOffset payload_offset_ = nullptr;
  size_t prefix_filled_ = 0;
  size_t size_ = 0;  // of the message; known once the prefix is filled
  size_t filled_ = 0;
  ByteBuffer buffer_;
  std::string encoding_;  // empty for identity
  uint8_t prefix_[kMessagePrefix];
};

}  // namespace fastserve
