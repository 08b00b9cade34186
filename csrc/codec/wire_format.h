#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/byte_buffer.h"

namespace fastserve {

// The protobuf wire format: a message is a sequence of (tag, value); a tag is a varint of the
// field's number and the value's wire type (https://protobuf.dev/programming-guides/encoding).
enum class WireType : uint32_t {
  kVarint = 0,
  kFixed64 = 1,
  kBytes = 2,  // a varint of the length, then the bytes: strings, messages, packed lists
  kGroupStart = 3,
  kGroupEnd = 4,
  kFixed32 = 5,
};

constexpr uint32_t WireTag(uint32_t field, WireType type) {
  return field << 3 | static_cast<uint32_t>(type);
}
// The tag of a field whose value is a varint, or is bytes.
constexpr uint32_t VarintTag(uint32_t field) { return WireTag(field, WireType::kVarint); }
constexpr uint32_t BytesTag(uint32_t field) { return WireTag(field, WireType::kBytes); }

// Field numbers that reader and writer share.
namespace map_entry {
inline constexpr uint32_t kKey = 1;
inline constexpr uint32_t kValue = 2;
}  // namespace map_entry

namespace model_spec {
inline constexpr uint32_t kName = 1;
inline constexpr uint32_t kVersion = 2;  // google.protobuf.Int64Value
inline constexpr uint32_t kSignatureName = 3;
inline constexpr uint32_t kVersionLabel = 4;
inline constexpr uint32_t kInt64Value = 1;  // in the Int64Value
}  // namespace model_spec

namespace tensor_proto {
inline constexpr uint32_t kDtype = 1;
inline constexpr uint32_t kShape = 2;
inline constexpr uint32_t kContent = 4;
// TensorShapeProto and TensorShapeProto.Dim
inline constexpr uint32_t kDim = 2;
inline constexpr uint32_t kUnknownRank = 3;
inline constexpr uint32_t kDimSize = 1;
}  // namespace tensor_proto

inline constexpr size_t kMaxVarintBytes = 10;

// Bytes that a varint takes: one for each started seven bits.
constexpr size_t VarintSize(uint64_t value) {
  return (static_cast<size_t>(std::bit_width(value | 1)) * 9 + 64) / 64;
}

// Each Write... writes at `to`, which has room, and returns the end.
inline char* WriteVarint(char* to, uint64_t value) {
  while (value >= 0x80) {
    *to++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *to++ = static_cast<char>(value);
  return to;
}

// A bytes field's tag and length; and a whole one.
inline size_t BytesHeaderSize(uint32_t field, size_t length) {
  return VarintSize(BytesTag(field)) + VarintSize(length);
}
inline char* WriteBytesHeader(char* to, uint32_t field, size_t length) {
  return WriteVarint(WriteVarint(to, BytesTag(field)), length);
}
inline size_t BytesFieldSize(uint32_t field, size_t length) {
  return BytesHeaderSize(field, length) + length;
}
inline char* WriteBytesField(char* to, uint32_t field, ByteView bytes) {
  to = WriteBytesHeader(to, field, bytes.size());
  if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
  return to + bytes.size();
}

// Lengthens `out` by `size` bytes and tells where they are.
template <class String>
char* Extend(String* out, size_t size) {
  const size_t before = out->size();
  out->resize(before + size);
  return out->data() + before;
}

}  // namespace fastserve
