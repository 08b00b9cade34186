#include <algorithm>

#include "codec/predict_wire.h"
#include "codec/wire_reader.h"

namespace fastserve {
namespace {

// From here on a payload is taken without a look at those after it.
constexpr size_t kLargePayload = 4096;

// Walks over a PredictRequest of which only the beginning is there. Whatever is odd ends the walk:
// the answer is a hint, and the parser will judge the message.
class PayloadFinder {
 public:
  PayloadFinder(ByteView head, size_t message_size) : head_(head), message_size_(message_size) {}

  size_t Find() {
    Walk(kRequest, 0, message_size_);
    return offset_;
  }

 private:
  // Inputs are messages in messages: the request, an entry of its map, the tensor in that.
  enum Level { kRequest, kEntry, kTensor };
  static constexpr uint32_t kInputs = 2;

  static bool IsPayload(uint32_t field) {
    // tensor_content, float_val, double_val, scomplex_val, bool_val, dcomplex_val, float8_val
    constexpr uint32_t kFields =
        1u << 4 | 1u << 5 | 1u << 6 | 1u << 9 | 1u << 11 | 1u << 12 | 1u << 18;
    return field < 32 && (kFields >> field & 1) != 0;
  }

  // Walks over the message from `at` to `end`. False when nothing more is to be looked at.
  bool Walk(Level level, size_t at, size_t end);
  bool ReadVarintAt(size_t* at, uint64_t* value) const;
  bool Note(size_t offset, size_t size);

  const ByteView head_;
  const size_t message_size_;
  size_t offset_ = 0;
  size_t size_ = 0;
};

bool PayloadFinder::ReadVarintAt(size_t* at, uint64_t* value) const {
  if (*at >= head_.size()) return false;
  const char* const first = head_.data() + *at;
  const char* const next = ReadVarint(first, head_.data() + head_.size(), value);
  if (next == nullptr) return false;
  *at += static_cast<size_t>(next - first);
  return true;
}

// Keeps the largest. False once one is large.
bool PayloadFinder::Note(size_t offset, size_t size) {
  if (size > size_) {
    offset_ = offset;
    size_ = size;
  }
  return size_ < kLargePayload;
}

bool PayloadFinder::Walk(Level level, size_t at, size_t end) {
  while (at < end) {
    uint64_t tag = 0;
    uint64_t value = 0;
    if (!ReadVarintAt(&at, &tag)) return false;
    const auto field = static_cast<uint32_t>(tag >> 3);
    switch (static_cast<WireType>(tag & 7)) {
      case WireType::kVarint:
        if (!ReadVarintAt(&at, &value)) return false;
        break;
      case WireType::kFixed32:
        at += 4;
        break;
      case WireType::kFixed64:
        at += 8;
        break;
      case WireType::kBytes: {
        if (!ReadVarintAt(&at, &value) || at > end || value > end - at) return false;
        const size_t size = value;
        if (level == kTensor && IsPayload(field) && !Note(at, size)) return false;
        const bool has_tensor = level != kTensor && field == kInputs;
        if (has_tensor && !Walk(static_cast<Level>(level + 1), at, at + size)) return false;
        at += size;
        break;
      }
      default:
        return false;
    }
  }
  return at == end;
}

}  // namespace

size_t PayloadOffset(ByteView head, size_t message_size) {
  return PayloadFinder(head, message_size).Find();
}

}  // namespace fastserve
