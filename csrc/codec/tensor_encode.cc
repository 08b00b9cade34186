#include <cstring>
#include <type_traits>

#include "codec/tensor_wire.h"
#include "codec/wire_format.h"
#include "codec/wire_reader.h"

namespace fastserve {
namespace {

using Form = TensorField::Form;

// Calls visit(value) with every element of `data` as the 64-bit value of its varint; a negative
// int32 is one of ten bytes.
template <class T, class Widen, class Visit>
void VisitAs(ByteView data, Widen widen, Visit visit) {
  for (size_t at = 0; at + sizeof(T) <= data.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, data.data() + at, sizeof value);
    visit(static_cast<uint64_t>(widen(value)));
  }
}

template <class T, class Visit>
void VisitAs(ByteView data, Visit visit) {
  using Wide = std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>;
  VisitAs<T>(data, [](T value) { return static_cast<Wide>(value); }, visit);
}

// Types narrower than a byte lie in the low bits of one.
template <int kBits, class Visit>
void VisitSignedBits(ByteView data, Visit visit) {
  constexpr int kSpare = 64 - kBits;
  const auto widen = [](uint8_t value) {
    return static_cast<int64_t>(uint64_t{value} << kSpare) >> kSpare;
  };
  VisitAs<uint8_t>(data, widen, visit);
}

template <int kBits, class Visit>
void VisitUnsignedBits(ByteView data, Visit visit) {
  VisitAs<uint8_t>(data, [](uint8_t value) { return value & ((1u << kBits) - 1); }, visit);
}

// REQUIRES: the dtype's form is kVarints.
template <class Visit>
void VisitVarints(const HostTensor& tensor, Visit visit) {
  switch (tensor.dtype) {
    case DataType::kInt32:
    case DataType::kQint32:
      return VisitAs<int32_t>(tensor.data, visit);
    case DataType::kInt16:
    case DataType::kQint16:
      return VisitAs<int16_t>(tensor.data, visit);
    case DataType::kInt8:
    case DataType::kQint8:
      return VisitAs<int8_t>(tensor.data, visit);
    case DataType::kUint8:
    case DataType::kQuint8:
      return VisitAs<uint8_t>(tensor.data, visit);
    case DataType::kUint16:
    case DataType::kQuint16:
    case DataType::kHalf:
    case DataType::kBfloat16:
      return VisitAs<uint16_t>(tensor.data, visit);
    case DataType::kUint32:
      return VisitAs<uint32_t>(tensor.data, visit);
    case DataType::kInt64:
    case DataType::kUint64:
      return VisitAs<uint64_t>(tensor.data, visit);
    case DataType::kBool:
      return VisitAs<uint8_t>(tensor.data, [](uint8_t value) { return value != 0; }, visit);
    case DataType::kInt4:
      return VisitSignedBits<4>(tensor.data, visit);
    case DataType::kUint4:
      return VisitUnsignedBits<4>(tensor.data, visit);
    case DataType::kInt2:
      return VisitSignedBits<2>(tensor.data, visit);
    case DataType::kUint2:
      return VisitUnsignedBits<2>(tensor.data, visit);
    default:
      return;
  }
}

// Whether each element's byte is its varint, so that the tensor's memory is what the wire wants.
bool IsOwnVarints(const HostTensor& tensor) {
  if (ElementSize(tensor.dtype) != 1) return false;
  switch (tensor.dtype) {
    case DataType::kBool:
      return HasNoBits(tensor.data, 0xfe);
    case DataType::kInt4:
    case DataType::kUint4:
    case DataType::kInt2:
    case DataType::kUint2:
      return false;
    default:
      return HasNoBits(tensor.data, 0x80);
  }
}

size_t VarintsSize(const HostTensor& tensor) {
  size_t size = 0;
  VisitVarints(tensor, [&size](uint64_t value) { size += VarintSize(value); });
  return size;
}

// The form of TensorFlow's port::EncodeStringList(): the lengths as varints, then the bytes.
size_t StringListSize(const HostTensor& tensor) {
  size_t size = 0;
  for (const std::string_view string : tensor.strings) {
    size += VarintSize(string.size()) + string.size();
  }
  return size;
}

size_t DimSize(int64_t extent) {
  return extent == 0 ? 0 : 1 + VarintSize(static_cast<uint64_t>(extent));
}

size_t ShapeSize(const Dims& dims) {
  size_t size = 0;
  for (const int64_t extent : dims) {
    size += BytesFieldSize(tensor_proto::kDim, DimSize(extent));
  }
  return size;
}

char* WriteShape(char* to, const Dims& dims) {
  for (const int64_t extent : dims) {
    to = WriteBytesHeader(to, tensor_proto::kDim, DimSize(extent));
    if (extent == 0) continue;
    to = WriteVarint(to, VarintTag(tensor_proto::kDimSize));
    to = WriteVarint(to, static_cast<uint64_t>(extent));
  }
  return to;
}

}  // namespace

TensorProtoWriter::TensorProtoWriter(const HostTensor& tensor, TensorEncoding encoding)
    : tensor_(tensor), field_(TensorFieldOf(tensor.dtype)) {
  if (!can_write()) return;
  if (encoding == TensorEncoding::kTensorContent) field_ = {tensor_proto::kContent, Form::kBytes};
  if (field_.form == Form::kVarints && IsOwnVarints(tensor)) field_.form = Form::kBytes;
  shape_size_ = ShapeSize(tensor.dims);
  head_size_ = 1 + VarintSize(static_cast<uint64_t>(tensor.dtype)) +
               BytesFieldSize(tensor_proto::kShape, shape_size_);
  if (field_.form == Form::kStrings) {
    for (const std::string_view string : tensor.strings) {
      values_size_ += BytesFieldSize(field_.number, string.size());
    }
    return;
  }
  payload_size_ = PayloadSize();
  if (payload_size_ == 0) return;
  head_size_ += BytesHeaderSize(field_.number, payload_size_);
  values_size_ = payload_size_;
}

size_t TensorProtoWriter::PayloadSize() const {
  if (tensor_.dtype == DataType::kString) return StringListSize(tensor_);
  return field_.form == Form::kVarints ? VarintsSize(tensor_) : tensor_.data.size();
}

void TensorProtoWriter::Write(ByteChain* out, const std::shared_ptr<const void>& owner) const {
  char* to = Extend(&out->tail(), head_size_);
  to = WriteVarint(to, VarintTag(tensor_proto::kDtype));
  to = WriteVarint(to, static_cast<uint64_t>(tensor_.dtype));
  to = WriteBytesHeader(to, tensor_proto::kShape, shape_size_);
  to = WriteShape(to, tensor_.dims);
  if (payload_size_ != 0) WriteBytesHeader(to, field_.number, payload_size_);
  if (field_.form == Form::kStrings) {
    WriteStringFields(out, owner);
  } else if (tensor_.dtype == DataType::kString) {
    WriteStringList(out, owner);
  } else if (field_.form == Form::kVarints) {
    to = Extend(&out->tail(), payload_size_);
    VisitVarints(tensor_, [&to](uint64_t value) { to = WriteVarint(to, value); });
  } else {
    out->Borrow(tensor_.data, owner);
  }
}

void TensorProtoWriter::WriteStringFields(ByteChain* out,
                                          const std::shared_ptr<const void>& owner) const {
  for (const std::string_view string : tensor_.strings) {
    char* const header = Extend(&out->tail(), BytesHeaderSize(field_.number, string.size()));
    WriteBytesHeader(header, field_.number, string.size());
    out->Borrow(string, owner);
  }
}

void TensorProtoWriter::WriteStringList(ByteChain* out,
                                        const std::shared_ptr<const void>& owner) const {
  for (const std::string_view string : tensor_.strings) {
    WriteVarint(Extend(&out->tail(), VarintSize(string.size())), string.size());
  }
  for (const std::string_view string : tensor_.strings) out->Borrow(string, owner);
}

}  // namespace fastserve
