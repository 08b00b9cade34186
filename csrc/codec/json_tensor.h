#pragma once

#include <rapidjson/document.h>

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/byte_buffer.h"
#include "base/status.h"
#include "base/tensor.h"

namespace fastserve {

// One buffer for the string bytes of all tensors of a request, allocated with the first of them.
class StringPool {
 public:
  // `capacity`: no less than all bytes that will be asked for.
  explicit StringPool(size_t capacity) : capacity_(capacity) {}

  // Room for `size` bytes, to be claimed by Commit(). Null when memory is short.
  char* Reserve(size_t size);
  std::string_view Commit(size_t size);
  const ByteBuffer& buffer() const { return buffer_; }

 private:
  size_t capacity_;
  size_t used_ = 0;
  ByteBuffer buffer_;
};

// {"b64": "<text>"} and nothing else: how JSON carries bytes.
bool IsBase64Object(const rapidjson::Value& value);

// One input tensor, built from one JSON value (column format) or from one value a row, all of the
// same shape. Elements go straight into the tensor's memory. Nothing here recurses, whatever the
// nesting. Messages are those of util/json_tensor.cc, without the prefix that names the row.
// Threads: one at a time.
class JsonTensor {
 public:
  // max_elements: no document of this size holds more; bounds the memory that a list can claim by
  // the shape of its first elements. `strings` outlives this.
  JsonTensor(DataType dtype, size_t rows, size_t max_elements, StringPool* strings)
      : dtype_(dtype), expected_rows_(rows), max_elements_(max_elements), strings_(strings) {}

  // Adds one more value. kInvalidArgument, or kUnimplemented for a dtype without JSON form.
  Status Add(const rapidjson::Value& value);
  size_t rows() const { return rows_; }

  // Both end the building. TakeRows() has the number of rows as first dimension.
  HostTensor TakeRows() &&;
  // REQUIRES: rows() == 1
  HostTensor TakeOnly() &&;

 private:
  using Value = rapidjson::Value;
  struct List {
    const Value* next;
    const Value* end;
  };

  Status Allocate();
  Status CheckShape(const Dims& shape, size_t size) const;
  Status Fill(const Value& value, const Dims& shape);
  Status Enter(const Value& value, const Dims& shape);
  Status AppendLeaves(const Value* next, const Value* end, size_t level);
  template <class T>
  const Value* AppendNumbers(const Value* next, const Value* end);
  Status AppendStrings(const Value* next, const Value* end, size_t level);
  Status AppendString(const Value& value);
  Status LeafError(const Value& value, size_t level) const;
  HostTensor Take(Dims dims) &&;

  const DataType dtype_;
  const size_t expected_rows_;
  const size_t max_elements_;
  StringPool* const strings_;

  size_t rows_ = 0;
  Dims shape_;           // of each row
  size_t row_size_ = 0;  // elements of each row
  // Elements so far. Those beyond `capacity_` are checked but not kept: their row is in error.
  size_t size_ = 0;
  size_t capacity_ = 0;
  ByteBuffer data_;
  std::vector<std::string_view> string_views_;
  std::vector<List> lists_;  // the walk's position, outermost first; kept for its memory
};

}  // namespace fastserve
