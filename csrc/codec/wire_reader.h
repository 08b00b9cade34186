#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/byte_buffer.h"
#include "base/inline_vector.h"
#include "codec/wire_format.h"

namespace fastserve {

// Walks over the fields of one protobuf message. It takes and refuses what protobuf's own C++
// parser does: overlong tags of up to five bytes, lengths of up to five and varints of up to ten,
// with bits beyond the type's width dropped; field number 0, wire types 6 and 7, ends of no group
// and nesting deeper than 100 are errors.
//
//   WireReader in(bytes);
//   while (in.Next()) {
//     if (in.tag() == VarintTag(1)) value = in.Varint(); else in.Skip();
//   }
//   return in.ok();
//
// The first error ends the walk and stays; what is read after it is zero or empty. Views borrow
// from the bytes given. Never throws. Threads: one at a time.
class WireReader {
 public:
  static constexpr int kMaxDepth = 100;

  // depth: how many more messages and groups may be nested in this one.
  explicit WireReader(ByteView bytes, int depth = kMaxDepth)
      : next_(bytes.data()), end_(bytes.data() + bytes.size()), depth_(depth) {}

  // Moves to the next field, whose value must then be read, or skipped. False at the end of the
  // message, and after an error.
  bool Next();
  bool ok() const { return ok_; }

  // REQUIRES: the last Next() was true.
  uint32_t tag() const { return tag_; }
  uint32_t field() const { return tag_ >> 3; }
  WireType type() const { return static_cast<WireType>(tag_ & 7); }

  // The value of the field, by its wire type.
  uint64_t Varint();
  ByteView Bytes();
  std::string_view Text();  // bytes that must be UTF-8
  WireReader Message();     // bytes that are a message
  // A reader of a message that lies in this one, for bytes that were read before.
  WireReader Nested(ByteView message);
  // As it is on the wire, without the length of bytes. An error for a group.
  ByteView Value();
  void Skip();

  // How the caller reports an error of its own, or of a message that it has read.
  void Fail() {
    ok_ = false;
    next_ = end_;
  }
  void Require(bool holds) {
    if (!holds) Fail();
  }

 private:
  uint32_t SlowTag();
  uint64_t SlowVarint();
  size_t Size();
  size_t SlowSize();
  ByteView Take(size_t size);
  void SkipGroup(int depth);

  const char* next_;
  const char* end_;
  uint32_t tag_ = 0;
  int depth_;
  bool ok_ = true;
};

// Reads one varint at `next`; null when it does not end before `end` or within ten bytes.
const char* ReadVarint(const char* next, const char* end, uint64_t* value);

// Whether no byte has a bit of `mask`. With 0x80: whether each is a varint of its own.
bool HasNoBits(ByteView bytes, uint8_t mask);

// Whether `bytes` is a sequence of whole varints.
bool IsPackedVarints(ByteView bytes);

// Whether `text` is UTF-8, without surrogates, overlong forms or code points beyond U+10FFFF.
bool IsUtf8(std::string_view text);

// One entry of a map from a string to a message. A value in several pieces is, as protobuf merges
// messages, the pieces one after the other.
struct MapEntry {
  std::string_view key;
  InlineVector<ByteView, 1> pieces;

  // The value; joined in `storage` when it is not in one piece on the wire. Empty where memory is
  // too short for that.
  ByteView Value(ByteBuffer* storage) const;
};

// Reads an entry; its value is not looked into. The caller checks in.ok().
MapEntry ReadMapEntry(WireReader& in);

inline const char* ReadVarint(const char* next, const char* end, uint64_t* value) {
  const auto available = static_cast<size_t>(end - next);
  const char* const stop = available < kMaxVarintBytes ? end : next + kMaxVarintBytes;
  uint64_t read = 0;
  for (unsigned shift = 0; next != stop; shift += 7) {
    const auto byte = static_cast<uint8_t>(*next++);
    read |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      *value = read;
      return next;
    }
  }
  return nullptr;
}

inline bool WireReader::Next() {
  if (next_ == end_) return false;
  const auto first = static_cast<uint8_t>(*next_);
  tag_ = first < 0x80 ? (++next_, first) : SlowTag();
  if (field() == 0) Fail();
  return ok_;
}

inline uint64_t WireReader::Varint() {
  if (next_ == end_ || static_cast<uint8_t>(*next_) >= 0x80) return SlowVarint();
  return static_cast<uint8_t>(*next_++);
}

inline size_t WireReader::Size() {
  if (next_ == end_ || static_cast<uint8_t>(*next_) >= 0x80) return SlowSize();
  return static_cast<uint8_t>(*next_++);
}

inline ByteView WireReader::Take(size_t size) {
  if (static_cast<size_t>(end_ - next_) < size) {
    Fail();
    return {};
  }
  next_ += size;
  return {next_ - size, size};
}

inline ByteView WireReader::Bytes() {
  const size_t size = Size();
  return Take(size);
}

inline WireReader WireReader::Nested(ByteView message) {
  if (depth_ == 0) {
    Fail();
    message = {};
  }
  return WireReader(message, depth_ - 1);
}

inline WireReader WireReader::Message() { return Nested(Bytes()); }

}  // namespace fastserve
