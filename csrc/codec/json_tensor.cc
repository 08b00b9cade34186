#include "codec/json_tensor.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <type_traits>

#include "codec/base64.h"
#include "codec/json_debug.h"
#include "codec/json_document.h"
#include "codec/json_number.h"

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

bool HasJsonForm(DataType dtype) {
  switch (dtype) {
    case DataType::kFloat:
    case DataType::kDouble:
    case DataType::kInt32:
    case DataType::kInt16:
    case DataType::kInt8:
    case DataType::kUint8:
    case DataType::kInt64:
    case DataType::kUint32:
    case DataType::kUint64:
    case DataType::kBool:
    case DataType::kString:
      return true;
    default:
      return false;
  }
}

// The shape along the first elements; Fill() finds the lists that do not follow it.
Dims ShapeOf(const Value& value) {
  Dims shape;
  for (const Value* list = &value; list->IsArray(); list = list->Begin()) {
    shape.push_back(list->Size());
    if (list->Empty()) break;
  }
  return shape;
}

}  // namespace

char* StringPool::Reserve(size_t size) {
  if (!buffer_) buffer_ = ByteBuffer::Allocate(capacity_);
  if (!buffer_ || size > capacity_ - used_) return nullptr;
  return buffer_.data() + used_;
}

std::string_view StringPool::Commit(size_t size) {
  const std::string_view bytes(buffer_.data() + used_, size);
  used_ += size;
  return bytes;
}

bool IsBase64Object(const Value& value) {
  if (!value.IsObject() || value.MemberCount() != 1) return false;
  const auto member = value.MemberBegin();
  return member->value.IsString() && member->name == "b64";
}

Status JsonTensor::Add(const Value& value) {
  const Dims shape = ShapeOf(value);
  if (rows_ == 0) {
    shape_ = shape;
    FASTSERVE_RETURN_IF_ERROR(Allocate());
  }
  const size_t before = size_;
  FASTSERVE_RETURN_IF_ERROR(Fill(value, shape));
  const size_t added = size_ - before;
  if (rows_ == 0) row_size_ = added;
  FASTSERVE_RETURN_IF_ERROR(CheckShape(shape, added));
  ++rows_;
  return Status();
}

// Room for as many rows of the first one's shape as are expected. A shape that overflows or exceeds
// the document is ragged, which Fill() will find.
Status JsonTensor::Allocate() {
  const int64_t row_size = ElementCount(shape_);
  size_t wanted;
  if (row_size < 0 || __builtin_mul_overflow(row_size, expected_rows_, &wanted)) {
    wanted = max_elements_;
  }
  capacity_ = std::min(wanted, max_elements_);
  if (dtype_ == DataType::kString) {
    string_views_.reserve(capacity_);
    return Status();
  }
  if (!HasJsonForm(dtype_)) capacity_ = 0;
  data_ = ByteBuffer::Allocate(capacity_ * ElementSize(dtype_));
  return data_ ? Status() : Status::ResourceExhausted("No memory for the tensors of the request");
}

Status JsonTensor::CheckShape(const Dims& shape, size_t size) const {
  if (size != row_size_) {
    return Status::InvalidArgument("Expecting tensor size: " + std::to_string(row_size_) +
                                   " but got: " + std::to_string(size));
  }
  if (!(shape == shape_)) {
    return Status::InvalidArgument("Expecting shape " + DimsText(shape_) +
                                   " but got: " + DimsText(shape));
  }
  return Status();
}

Status JsonTensor::Fill(const Value& value, const Dims& shape) {
  const size_t rank = shape.size();
  if (rank == 0) return AppendLeaves(&value, &value + 1, 0);
  lists_.clear();
  FASTSERVE_RETURN_IF_ERROR(Enter(value, shape));
  while (!lists_.empty()) {
    List& list = lists_.back();
    if (lists_.size() == rank) {
      FASTSERVE_RETURN_IF_ERROR(AppendLeaves(list.next, list.end, rank));
      lists_.pop_back();
    } else if (list.next == list.end) {
      lists_.pop_back();
    } else {
      const Value& child = *list.next++;
      FASTSERVE_RETURN_IF_ERROR(Enter(child, shape));
    }
  }
  return Status();
}

Status JsonTensor::Enter(const Value& value, const Dims& shape) {
  const size_t level = lists_.size();
  if (!value.IsArray()) {
    return Status::InvalidArgument(
        "JSON Value: " + JsonDebugText(value) +
        " found at incorrect level: " + std::to_string(level + 1) +
        " in the JSON DOM. Expected at level: " + std::to_string(shape.size()));
  }
  if (value.Size() != shape[level]) {
    return Status::InvalidArgument(
        "Encountered list at unexpected size: " + std::to_string(value.Size()) +
        " at level: " + std::to_string(level) + " expected size: " + std::to_string(shape[level]));
  }
  lists_.push_back({value.Begin(), value.End()});
  return Status();
}

Status JsonTensor::AppendLeaves(const Value* next, const Value* end, size_t level) {
  switch (dtype_) {
    case DataType::kFloat:
      next = AppendNumbers<float>(next, end);
      break;
    case DataType::kDouble:
      next = AppendNumbers<double>(next, end);
      break;
    case DataType::kInt32:
      next = AppendNumbers<int32_t>(next, end);
      break;
    case DataType::kInt16:
      next = AppendNumbers<int16_t>(next, end);
      break;
    case DataType::kInt8:
      next = AppendNumbers<int8_t>(next, end);
      break;
    case DataType::kUint8:
      next = AppendNumbers<uint8_t>(next, end);
      break;
    case DataType::kInt64:
      next = AppendNumbers<int64_t>(next, end);
      break;
    case DataType::kUint32:
      next = AppendNumbers<uint32_t>(next, end);
      break;
    case DataType::kUint64:
      next = AppendNumbers<uint64_t>(next, end);
      break;
    case DataType::kBool:
      next = AppendNumbers<bool>(next, end);
      break;
    case DataType::kString:
      return AppendStrings(next, end, level);
    default:
      break;
  }
  return next == end ? Status() : LeafError(*next, level);
}

// Returns the first value that does not fit, or `end`.
template <class T>
const Value* JsonTensor::AppendNumbers(const Value* next, const Value* end) {
  char* const elements = data_.data();
  for (; next != end; ++next) {
    T element;
    if (!Convert(*next, &element)) break;
    if (size_ < capacity_) std::memcpy(elements + size_ * sizeof(T), &element, sizeof(T));
    ++size_;
  }
  return next;
}

Status JsonTensor::AppendStrings(const Value* next, const Value* end, size_t level) {
  for (; next != end; ++next) {
    if (!next->IsString() && !next->IsObject()) return LeafError(*next, level);
    FASTSERVE_RETURN_IF_ERROR(AppendString(*next));
  }
  return Status();
}

Status JsonTensor::AppendString(const Value& value) {
  const bool is_text = value.IsString();
  if (!is_text && !IsBase64Object(value)) {
    return Status::InvalidArgument("JSON Value: " + JsonDebugText(value) +
                                   " not formatted correctly for base64 data");
  }
  const Value& holder = is_text ? value : value.MemberBegin()->value;
  const std::string_view text(holder.GetString(), holder.GetStringLength());
  size_t size = text.size();
  char* to = strings_->Reserve(is_text ? size : MaxBase64Bytes(size));
  if (to == nullptr) return Status::ResourceExhausted("No memory for the strings of the request");
  if (is_text) {
    std::memcpy(to, text.data(), size);
  } else if (!DecodeBase64(text, to, &size)) {
    return Status::InvalidArgument("Unable to base64 decode");
  }
  const std::string_view bytes = strings_->Commit(size);
  if (size_ < capacity_) string_views_.push_back(bytes);
  ++size_;
  return Status();
}

// Why `value`, at the depth of the elements, is none of them.
Status JsonTensor::LeafError(const Value& value, size_t level) const {
  if (value.IsArray()) {
    return Status::InvalidArgument("Encountered list at unexpected level: " +
                                   std::to_string(level) + " expected < " + std::to_string(level));
  }
  if (!value.IsObject() && !HasJsonForm(dtype_)) {
    return Status::Unimplemented("Conversion of JSON Value: " + JsonDebugText(value) +
                                 " to type: " + DataTypeName(dtype_));
  }
  return Status::InvalidArgument("JSON Value: " + JsonDebugText(value) +
                                 " Type: " + JsonTypeName(value) +
                                 " is not of expected type: " + DataTypeName(dtype_));
}

HostTensor JsonTensor::TakeRows() && {
  Dims dims{static_cast<int64_t>(rows_)};
  for (const int64_t extent : shape_) dims.push_back(extent);
  return std::move(*this).Take(std::move(dims));
}

HostTensor JsonTensor::TakeOnly() && { return std::move(*this).Take(std::move(shape_)); }

HostTensor JsonTensor::Take(Dims dims) && {
  HostTensor tensor;
  tensor.dtype = dtype_;
  tensor.dims = std::move(dims);
  if (dtype_ == DataType::kString) {
    tensor.strings = std::move(string_views_);
    tensor.owner = strings_->buffer();
    return tensor;
  }
  tensor.data = data_.view().substr(0, size_ * ElementSize(dtype_));
  tensor.owner = std::move(data_);
  return tensor;
}

}  // namespace fastserve
