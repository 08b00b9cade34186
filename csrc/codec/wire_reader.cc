#include "codec/wire_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace fastserve {
namespace {

constexpr uint64_t kHighBits = 0x8080808080808080;

uint64_t Load8(const char* from) {
  uint64_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

// The number of bytes of the UTF-8 character at `next`, which is not ASCII; 0 when it is none.
size_t Utf8Length(const uint8_t* next, size_t available) {
  const uint8_t first = next[0];
  const size_t length = first < 0xc2   ? 0
                        : first < 0xe0 ? 2
                        : first < 0xf0 ? 3
                        : first < 0xf5 ? 4
                                       : 0;
  if (length == 0 || length > available) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((next[i] & 0xc0) != 0x80) return 0;
  }
  // What the first byte alone does not rule out: overlong forms, surrogates, beyond U+10FFFF.
  if (first == 0xe0 && next[1] < 0xa0) return 0;
  if (first == 0xed && next[1] > 0x9f) return 0;
  if (first == 0xf0 && next[1] < 0x90) return 0;
  if (first == 0xf4 && next[1] > 0x8f) return 0;
  return length;
}

}  // namespace

uint64_t WireReader::SlowVarint() {
  uint64_t value = 0;
  const char* next = ReadVarint(next_, end_, &value);
  if (next == nullptr) {
    Fail();
    return 0;
  }
  next_ = next;
  return value;
}

uint32_t WireReader::SlowTag() {
  const char* const first = next_;
  const uint64_t tag = SlowVarint();
  return ok_ && next_ - first <= 5 ? static_cast<uint32_t>(tag) : 0;
}

size_t WireReader::SlowSize() {
  const char* const first = next_;
  const uint64_t size = SlowVarint();
  if (next_ - first <= 5) return size;
  Fail();
  return 0;
}

std::string_view WireReader::Text() {
  const ByteView text = Bytes();
  if (IsUtf8(text)) return text;
  Fail();
  return {};
}

ByteView WireReader::Value() {
  switch (type()) {
    case WireType::kVarint: {
      const char* const first = next_;
      Varint();
      return {first, static_cast<size_t>(next_ - first)};
    }
    case WireType::kFixed64:
      return Take(8);
    case WireType::kBytes:
      return Bytes();
    case WireType::kFixed32:
      return Take(4);
    case WireType::kGroupStart:
    case WireType::kGroupEnd:
      break;
  }
  Fail();
  return {};
}

void WireReader::Skip() {
  if (type() == WireType::kGroupStart) {
    SkipGroup(depth_);
  } else {
    Value();
  }
}

void WireReader::SkipGroup(int depth) {
  const uint32_t group = field();
  if (depth == 0) return Fail();
  while (Next()) {
    if (type() == WireType::kGroupStart) {
      SkipGroup(depth - 1);
    } else if (type() == WireType::kGroupEnd) {
      return Require(field() == group);
    } else {
      Skip();
    }
  }
  Fail();
}

bool HasNoBits(ByteView bytes, uint8_t mask) {
  constexpr size_t kBlock = 8 * sizeof(uint64_t);
  const uint64_t masks = mask * uint64_t{0x0101010101010101};
  const char* next = bytes.data();
  const char* const end = next + bytes.size();
  for (; static_cast<size_t>(end - next) >= kBlock; next += kBlock) {
    uint64_t seen = 0;
    for (size_t at = 0; at < kBlock; at += sizeof(uint64_t)) seen |= Load8(next + at);
    if (seen & masks) return false;
  }
  uint8_t seen = 0;
  for (; next != end; ++next) seen |= static_cast<uint8_t>(*next);
  return (seen & mask) == 0;
}

bool IsPackedVarints(ByteView bytes) {
  if (bytes.empty()) return true;
  if (static_cast<uint8_t>(bytes.back()) >= 0x80) return false;
  const char* next = bytes.data();
  const char* const end = next + bytes.size();
  size_t open = 0;  // bytes since the end of the last whole varint; below kMaxVarintBytes
  for (; end - next >= 8; next += 8) {
    const uint64_t ends = ~Load8(next) & kHighBits;  // the lowest byte is the first
    if (open + static_cast<size_t>(std::countr_zero(ends)) / 8 >= kMaxVarintBytes) return false;
    open = ends == 0 ? open + 8 : static_cast<size_t>(std::countl_zero(ends)) / 8;
  }
  for (; next != end; ++next) {
    open = static_cast<uint8_t>(*next) < 0x80 ? 0 : open + 1;
    if (open == kMaxVarintBytes) return false;
  }
  return true;
}

bool IsUtf8(std::string_view text) {
  const char* next = text.data();
  const char* const end = next + text.size();
  while (next != end) {
    if (end - next >= 8 && (Load8(next) & kHighBits) == 0) {
      next += 8;
    } else if (static_cast<uint8_t>(*next) < 0x80) {
      ++next;
    } else {
      const size_t length =
          Utf8Length(reinterpret_cast<const uint8_t*>(next), static_cast<size_t>(end - next));
      if (length == 0) return false;
      next += length;
    }
  }
  return true;
}

ByteView MapEntry::Value(ByteBuffer* storage) const {
  if (pieces.empty()) return {};
  if (pieces.size() == 1) return pieces[0];
  size_t size = 0;
  for (const ByteView piece : pieces) size += piece.size();
  *storage = ByteBuffer::Allocate(size);
  if (!*storage) return {};
  char* to = storage->data();
  for (const ByteView piece : pieces) to = std::copy(piece.begin(), piece.end(), to);
  return storage->view();
}

MapEntry ReadMapEntry(WireReader& in) {
  MapEntry entry;
  while (in.Next()) {
    if (in.tag() == BytesTag(map_entry::kKey)) {
      entry.key = in.Text();
    } else if (in.tag() == BytesTag(map_entry::kValue)) {
      entry.pieces.push_back(in.Bytes());
    } else {
      in.Skip();
    }
  }
  return entry;
}

}  // namespace fastserve
