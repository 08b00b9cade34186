#include "codec/json_tensor.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

#include "codec/base64.h"
#include "codec/json_debug.h"
#include "codec/json_number.h"
#include "codec/json_plain_number.h"

namespace fastserve {
namespace {

using rapidjson::Value;

template <class T>
bool Convert(const Value& value, T* element) {
  if constexpr (std::is_same_v<T, bool>) {
    if (!value.IsBool()) return false;
    *element = value.GetBool();
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!value.IsNumber()) return false;
    *element = FlushDenormal(static_cast<T>(value.GetDouble()));
  } else if constexpr (std::is_same_v<T, int64_t>) {
    if (!value.IsInt64()) return false;
    *element = value.GetInt64();
  } else if constexpr (std::is_same_v<T, uint64_t>) {
    if (!value.IsUint64()) return false;
    *element = value.GetUint64();
  } else if constexpr (std::is_same_v<T, uint32_t>) {
    if (!value.IsUint()) return false;
    *element = value.GetUint();
  } else {  // int32, and the narrower types, which keep the low bits
    if (!value.IsInt()) return false;
    *element = static_cast<T>(value.GetInt());
  }
  return true;
}

// Calls `visit` with a zero of the C++ type of a dtype that JSON's numbers and booleans become.
// False for other dtypes.
template <class Visit>
bool VisitType(DataType dtype, Visit visit) {
  switch (dtype) {
    case DataType::kFloat:
      visit(float{});
      return true;
    case DataType::kDouble:
      visit(double{});
      return true;
    case DataType::kInt32:
      visit(int32_t{});
      return true;
    case DataType::kInt16:
      visit(int16_t{});
      return true;
    case DataType::kInt8:
      visit(int8_t{});
      return true;
    case DataType::kUint8:
      visit(uint8_t{});
      return true;
    case DataType::kInt64:
      visit(int64_t{});
      return true;
    case DataType::kUint32:
      visit(uint32_t{});
      return true;
    case DataType::kUint64:
      visit(uint64_t{});
      return true;
    case DataType::kBool:
      visit(bool{});
      return true;
    default:
      return false;
  }
}

}  // namespace

bool JsonTensor::BeginElement() {
  if (ignored_lists_ > 0) return false;
  if (!sizes_.empty()) ++sizes_.back();
  return !failed_;
}

bool JsonTensor::OpenList() {
  const size_t level = sizes_.size();
  if (BeginElement() && level >= rank_) {
    Fail(Status::InvalidArgument("Encountered list at unexpected level: " + std::to_string(level) +
                                 " expected < " + std::to_string(level)));
  }
  if (!failed_ && level == kMaxTensorRank) {
    too_deep_ = true;
    Fail(Status::InvalidArgument("more than " + std::to_string(kMaxTensorRank) + " dimensions"));
  }
  if (failed_) {
    ++ignored_lists_;
    return false;
  }
  if (rank_ == kUnknown) value_shape_.push_back(kOpen);
  sizes_.push_back(0);
  return false;
}

bool JsonTensor::CloseList() {
  if (ignored_lists_ > 0) {
    --ignored_lists_;
    return AtEnd();
  }
  const size_t level = sizes_.size() - 1;
  const int64_t size = sizes_.back();
  sizes_.pop_back();
  if (value_shape_[level] == kOpen) {
    value_shape_[level] = size;
    if (rank_ == kUnknown) rank_ = level + 1;  // an empty list, or the error's first one
  } else {
    CheckListSize(level, size);
  }
  return AtEnd();
}

// Also after an error, which came from within the list and gives way.
void JsonTensor::CheckListSize(size_t level, int64_t size) {
  if (size == value_shape_[level]) return;
  Fail(Status::InvalidArgument("Encountered list at unexpected size: " + std::to_string(size) +
                               " at level: " + std::to_string(level) +
                               " expected size: " + std::to_string(value_shape_[level])));
}

template <class Shown>
bool JsonTensor::BeginLeaf(const Shown& shown) {
  if (!BeginElement()) return false;
  const size_t level = sizes_.size();
  if (rank_ == kUnknown) rank_ = level;
  if (level == rank_) return true;
  Fail(JsonValueError(shown, "found at incorrect level: " + std::to_string(level + 1) +
                                 " in the JSON DOM. Expected at level: " + std::to_string(rank_)));
  return false;
}

bool JsonTensor::Scalar(const Value& value) {
  if (BeginLeaf(value)) Append(value);
  return AtEnd();
}

bool JsonTensor::Base64(ByteView object, char* text, size_t size) {
  if (BeginLeaf(object)) {
    if (DecodeBase64({text, size}, text, &size)) {
      AppendString({text, size});
    } else {
      Fail(Status::InvalidArgument("Unable to base64 decode"));
    }
  }
  return AtEnd();
}

bool JsonTensor::Object(ByteView object) {
  if (BeginLeaf(object)) {
    Fail(JsonValueError(object,
                        dtype_ == DataType::kString
                            ? "not formatted correctly for base64 data"
                            : "Type: Object is not of expected type: " + DataTypeName(dtype_)));
  }
  return AtEnd();
}

void JsonTensor::Append(const Value& value) {
  if (VisitType(dtype_, [&]<class T>(T) { AppendNumber<T>(value); })) return;
  if (dtype_ != DataType::kString) {
    return Fail(Status::Unimplemented("Conversion of JSON Value: " + JsonDebugText(value) +
                                      " to type: " + DataTypeName(dtype_)));
  }
  if (!value.IsString()) return Fail(WrongType(value));
  AppendString({value.GetString(), value.GetStringLength()});
}

template <class T>
inline void JsonTensor::AppendNumber(const Value& value) {
  T element;
  if (!Convert(value, &element)) return Fail(WrongType(value));
  Store(element);
}

template <class T>
inline void JsonTensor::Store(T element) {
  if (size_ == capacity_ && !Grow(sizeof(T))) return;
  std::memcpy(elements_ + size_ * sizeof(T), &element, sizeof(T));
  ++size_;
}

ByteView JsonTensor::TakeNumbers(ByteView text) {
  if (failed_ || sizes_.empty() || sizes_.size() != rank_) return text;
  VisitType(dtype_, [&]<class T>(T) { text = TakeNumbersOf<T>(text); });
  return text;
}

template <class T>
ByteView JsonTensor::TakeNumbersOf(ByteView text) {
  const char* taken = text.data();
  const char* const end = taken + text.size();
  while (!failed_) {
    const char* at = SkipJsonSpace(taken, end);
    if (at == end || *at != ',') break;
    Value number;
    at = ReadPlainNumber(SkipJsonSpace(at + 1, end), end, &number);
    if (at == nullptr) break;
    const char* const next = SkipJsonSpace(at, end);
    T element;
    if (next == end || (*next != ',' && *next != ']') || !Convert(number, &element)) break;
    ++sizes_.back();
    Store(element);
    taken = at;
  }
  return {taken, static_cast<size_t>(end - taken)};
}

void JsonTensor::AppendString(std::string_view bytes) {
  if (strings_.empty()) strings_.reserve(expected_elements_);
  strings_.push_back(bytes);
  ++size_;
}

// Makes room for more elements. False when memory is short.
bool JsonTensor::Grow(size_t element_size) {
  const size_t capacity = capacity_ == 0 ? std::max<size_t>(expected_elements_, 1) : 2 * capacity_;
  ByteBuffer larger = ByteBuffer::Allocate(capacity * element_size);
  if (!larger) {
    Fail(Status::ResourceExhausted("No memory for the tensors of the request"));
    return false;
  }
  if (size_ > 0) std::memcpy(larger.data(), elements_, size_ * element_size);
  data_ = std::move(larger);
  elements_ = data_.data();
  capacity_ = capacity;
  return true;
}

Status JsonTensor::WrongType(const Value& value) const {
  return JsonValueError(value, std::string("Type: ") + JsonTypeName(value) +
                                   " is not of expected type: " + DataTypeName(dtype_));
}

void JsonTensor::Fail(Status status) {
  error_ = std::move(status);
  failed_ = true;
}

Status JsonTensor::EndValue() {
  if (!failed_) CheckShape();
  if (failed_) return error_;
  ++rows_;
  row_size_ = size_ / rows_;
  value_shape_.clear();
  rank_ = kUnknown;
  return Status();
}

// Whether the value is shaped as the first one.
void JsonTensor::CheckShape() {
  const size_t size = size_ - rows_ * row_size_;
  if (rows_ == 0) {
    shape_ = value_shape_;
  } else if (size != row_size_) {
    Fail(Status::InvalidArgument("Expecting tensor size: " + std::to_string(row_size_) +
                                 " but got: " + std::to_string(size)));
  } else if (!(value_shape_ == shape_)) {
    Fail(Status::InvalidArgument("Expecting shape " + DimsText(shape_) +
                                 " but got: " + DimsText(value_shape_)));
  }
}

HostTensor JsonTensor::TakeRows(const ByteBuffer& strings) && {
  Dims dims{static_cast<int64_t>(rows_)};
  for (const int64_t extent : shape_) dims.push_back(extent);
  return std::move(*this).Take(std::move(dims), strings);
}

HostTensor JsonTensor::TakeOnly(const ByteBuffer& strings) && {
  return std::move(*this).Take(std::move(shape_), strings);
}

HostTensor JsonTensor::Take(Dims dims, const ByteBuffer& strings) && {
  HostTensor tensor;
  tensor.dtype = dtype_;
  tensor.dims = std::move(dims);
  if (dtype_ == DataType::kString) {
    tensor.strings = std::move(strings_);
    tensor.owner = strings;
    return tensor;
  }
  tensor.data = data_.view().substr(0, size_ * ElementSize(dtype_));
  tensor.owner = std::move(data_);
  return tensor;
}

}  // namespace fastserve
