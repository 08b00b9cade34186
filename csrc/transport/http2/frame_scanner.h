#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "base/byte_buffer.h"

namespace fastserve {

// Finds the frames in what a client sends, however its bytes are cut (RFC 9113, section 4.1).
class FrameScanner {
 public:
  static constexpr size_t kHeader = 9;

  struct Head {
    size_t length;
    uint8_t type;
    uint8_t flags;
    int32_t stream_id;
  };

  // Takes `bytes` up to the end of the next frame's header; all of them, and nothing is returned,
  // when that has not come yet. Payloads and the connection's preface are passed over.
  std::optional<Head> Next(ByteView& bytes) {
    const size_t passed = std::min(to_pass_, bytes.size());
    to_pass_ -= passed;
    bytes.remove_prefix(passed);
    const size_t taken = std::min(kHeader - filled_, bytes.size());
    std::memcpy(header_ + filled_, bytes.data(), taken);
    bytes.remove_prefix(taken);
    filled_ += taken;
    if (filled_ < kHeader) return std::nullopt;
    filled_ = 0;
    ++frames_;
    to_pass_ = Number(0, 3);
    last_ = Head{to_pass_, header_[3], header_[4], static_cast<int32_t>(Number(5, 4) & INT32_MAX)};
    return last_;
  }

  // Whose headers have come.
  uint64_t frames() const { return frames_; }

  // The last frame, when more of its payload is to come: `length` bytes. Not the preface.
  std::optional<Head> unfinished() const {
    if (!last_ || to_pass_ == 0) return std::nullopt;
    return Head{to_pass_, last_->type, last_->flags, last_->stream_id};
  }

 private:
  static constexpr size_t kPreface = 24;

  size_t Number(size_t at, size_t size) const {
    size_t value = 0;
    for (size_t i = at; i < at + size; ++i) value = value << 8 | header_[i];
    return value;
  }

  size_t to_pass_ = kPreface;
  size_t filled_ = 0;  // of header_
  std::optional<Head> last_;
  uint64_t frames_ = 0;
  uint8_t header_[kHeader];
};

}  // namespace fastserve
