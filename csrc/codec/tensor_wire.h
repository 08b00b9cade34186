#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/byte_buffer.h"
#include "base/byte_chain.h"
#include "base/status.h"
#include "base/tensor.h"
#include "codec/tensor_field.h"

namespace fastserve {

// A few bytes of wire can promise any number of elements, the last value being repeated. A tensor
// takes at most this much memory, or 8 times the bytes of its message where that is more: enough
// for every value that a message can hold, one by one. (Strings count as 16 bytes each.)
inline constexpr size_t kMaxFilledBytes = size_t{1} << 31;

// Decodes a TensorProto by the rules of TensorFlow's Tensor::FromProto (dtype, shape,
// tensor_content or typed fields with the last value repeated). Where the wire already has the
// native layout (tensor_content, one packed run of float_val/double_val/... of full length, 1-byte
// types) the result borrows from `owner`, if that holds `proto`; strings always do. A `proto`
// elsewhere is copied first. Otherwise the tensor is decoded into a buffer of its own, aligned to
// kTensorAlignment. kResource and kVariant decode to the dims with no data. Answers
// kInvalidArgument with an empty message when it does not decode (the caller names the alias), and
// when memory is short, as TensorFlow does.
Result<HostTensor> DecodeTensorProto(ByteView proto, const ByteBuffer& owner);

// How response tensors are written.
enum class TensorEncoding {
  kTypedFields,    // float_val, ... : TensorFlow Serving's default
  kTensorContent,  // --enable_serialization_as_tensor_content
};

// Writes one TensorProto: dtype, tensor_shape, then every element, as TensorFlow's
// Tensor::AsProtoField and AsProtoTensorContent do. The size is known before anything is written.
// Threads: one at a time.
class TensorProtoWriter {
 public:
  // `tensor` must outlive this.
  TensorProtoWriter(const HostTensor& tensor, TensorEncoding encoding);

  // False for a dtype without elements to write (kResource, kVariant) or unknown.
  // Nothing else may be called then.
  bool can_write() const { return field_.form != TensorField::Form::kNone; }
  size_t size() const { return head_size_ + values_size_; }
  // Element bytes that need no re-coding are borrowed with `owner`; see ByteChain::Borrow().
  void Write(ByteChain* out, const std::shared_ptr<const void>& owner) const;

 private:
  size_t PayloadSize() const;
  void WriteStringFields(ByteChain* out, const std::shared_ptr<const void>& owner) const;
  void WriteStringList(ByteChain* out, const std::shared_ptr<const void>& owner) const;

  const HostTensor& tensor_;
  TensorField field_;        // its form is kBytes where the values need no re-coding
  size_t shape_size_ = 0;    // of the TensorShapeProto
  size_t payload_size_ = 0;  // of the bytes of the one field of values; 0 with kStrings
  size_t head_size_ = 0;     // up to the values, with their field's tag and length
  size_t values_size_ = 0;
};

}  // namespace fastserve
