#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/byte_buffer.h"

namespace fastserve {

// How tensors travel in the body of a REST predict. JSON is TensorFlow Serving's form.
enum class RestFormat { kJson, kProtobuf, kNpy };

// A REST request's body while it comes in: one block of memory, placed so that the payload of a
// PredictRequest or of an npy file lies where TensorFlow uses it in place. Room that is not written
// to costs no memory. Threads: one at a time; movable between threads.
class RestBody {
 public:
  // `expected_size`: of the whole body; nothing where that is not known, which costs copies and,
  // for a PredictRequest, the placement.
  RestBody(RestFormat format, std::optional<size_t> expected_size)
      : format_(format), expected_size_(expected_size) {}
  // A body that is there already; copied.
  RestBody(RestFormat format, ByteView body) : RestBody(format, body.size()) { Append(body); }

  // Adds a piece; false when memory is short.
  bool Append(ByteView piece);
  ByteView view() const { return buffer_.view().substr(0, size_); }
  // The bytes as a message of their own; ends the collecting.
  ByteBuffer Take() &&;
  // Ends it all. A large body's memory goes back to the system, not to the heap, which would keep
  // it while the answer takes as much again.
  void Drop() &&;

 private:
  bool Grow(ByteView piece);

  const RestFormat format_;
  const std::optional<size_t> expected_size_;
  ByteBuffer buffer_;
  size_t payload_offset_ = 0;
  size_t size_ = 0;
};

}  // namespace fastserve
