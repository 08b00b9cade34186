#pragma once

#include <rapidjson/document.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/byte_buffer.h"
#include "base/status.h"
#include "base/tensor.h"

namespace fastserve {

// The most dimensions that TensorFlow gives a tensor.
inline constexpr size_t kMaxTensorRank = 254;

// One input tensor, built from the events of one JSON value (column format) or of one value a row,
// all of the same shape. Elements go straight into the tensor's memory, which grows with them.
// Messages are those of util/json_tensor.cc, without the prefix that names the row. Upstream looks
// at a list's size before it looks into the list, so an error in a list waits for that list's end.
// Threads: one at a time.
class JsonTensor {
 public:
  // `expected_elements`: what to make room for at first.
  JsonTensor(DataType dtype, size_t expected_elements)
      : dtype_(dtype), expected_elements_(expected_elements) {}

  // One event of a value; true with the value's last one, which EndValue() must follow.
  bool OpenList();
  bool CloseList();
  // A null, boolean, number or string; the bytes of a string stay where they are.
  bool Scalar(const rapidjson::Value& value);
  // {"b64": "<text>"}, of a tensor that takes_base64(); decodes `text` in place. `object`: the JSON
  // text from there on.
  bool Base64(ByteView object, char* text, size_t size);
  // Any other object, as a whole.
  bool Object(ByteView object);
  // Takes the numbers that follow in the list that is open, ", 1, 2.5", as far as they are plain
  // and of the dtype, without an event for each. Returns the text behind them.
  ByteView TakeNumbers(ByteView text);

  bool takes_base64() const { return dtype_ == DataType::kString; }
  // The outcome of the value that has ended: kInvalidArgument, kUnimplemented for a dtype without
  // JSON form, or kResourceExhausted. After an error there is no further value.
  Status EndValue();
  // Whether it failed because more than kMaxTensorRank lists are in each other.
  bool too_deep() const { return too_deep_; }
  size_t rows() const { return rows_; }

  // Both end the building. `strings` owns the bytes of the strings that were given. TakeRows() has
  // the number of rows as first dimension.
  HostTensor TakeRows(const ByteBuffer& strings) &&;
  // REQUIRES: rows() == 1
  HostTensor TakeOnly(const ByteBuffer& strings) &&;

 private:
  using Value = rapidjson::Value;
  static constexpr size_t kUnknown = SIZE_MAX;
  static constexpr int64_t kOpen = -1;  // the size of a list that is the first of its level

  bool AtEnd() const { return sizes_.empty() && ignored_lists_ == 0; }
  // Counts what comes as an element of the innermost open list. False when it is to be passed over,
  // for there is an error already.
  bool BeginElement();
  // The same of what is no list: `shown`, in the message when its level is a wrong one.
  template <class Shown>
  bool BeginLeaf(const Shown& shown);
  void CheckListSize(size_t level, int64_t size);
  void CheckShape();
  void Append(const Value& value);
  template <class T>
  void AppendNumber(const Value& value);
  template <class T>
  void Store(T element);
  template <class T>
  ByteView TakeNumbersOf(ByteView text);
  void AppendString(std::string_view bytes);
  bool Grow(size_t element_size);
  Status WrongType(const Value& value) const;
  void Fail(Status status);
  HostTensor Take(Dims dims, const ByteBuffer& strings) &&;

  const DataType dtype_;
  const size_t expected_elements_;

  size_t rows_ = 0;
  Dims shape_;  // of each row
  size_t row_size_ = 0;
  // Elements of all rows, and how many `data_` has room for.
  size_t size_ = 0;
  size_t capacity_ = 0;
  ByteBuffer data_;
  char* elements_ = nullptr;  // data_.data()
  std::vector<std::string_view> strings_;

  // Of the value under way: the sizes so far of the lists that are open, outermost first; the shape
  // along its first elements; its rank, as soon as that is seen.
  std::vector<int64_t> sizes_;
  Dims value_shape_;
  size_t rank_ = kUnknown;
  Status error_;
  bool failed_ = false;
  bool too_deep_ = false;
  size_t ignored_lists_ = 0;  // opened after the error, and still open
};

}  // namespace fastserve
