#pragma once

#include <cstdint>

#include "base/tensor.h"

namespace fastserve {

// The field of tensorflow.TensorProto that carries the elements of a dtype, and how.
struct TensorField {
  enum class Form : uint8_t {
    kNone,     // no field that is supported
    kFixed32,  // repeated float: the bytes are the elements'
    kFixed64,  // repeated double: likewise
    kBytes,    // one bytes field: likewise
    kVarints,  // repeated integers or bool
    kStrings,  // repeated bytes, one for each element
  };
  uint32_t number = 0;
  Form form = Form::kNone;
};

// kNone for dtypes that TensorFlow does not know, and for kResource and kVariant.
constexpr TensorField TensorFieldOf(DataType dtype) {
  using Form = TensorField::Form;
  switch (dtype) {
    case DataType::kFloat:
      return {5, Form::kFixed32};
    case DataType::kDouble:
      return {6, Form::kFixed64};
    case DataType::kInt32:
    case DataType::kInt16:
    case DataType::kInt8:
    case DataType::kUint16:
    case DataType::kUint8:
    case DataType::kQint32:
    case DataType::kQint16:
    case DataType::kQint8:
    case DataType::kQuint16:
    case DataType::kQuint8:
    case DataType::kInt4:
    case DataType::kUint4:
    case DataType::kInt2:
    case DataType::kUint2:
      return {7, Form::kVarints};
    case DataType::kString:
      return {8, Form::kStrings};
    case DataType::kComplex64:
      return {9, Form::kFixed32};
    case DataType::kInt64:
      return {10, Form::kVarints};
    case DataType::kBool:
      return {11, Form::kVarints};
    case DataType::kComplex128:
      return {12, Form::kFixed64};
    case DataType::kHalf:
    case DataType::kBfloat16:
      return {13, Form::kVarints};
    case DataType::kUint32:
      return {16, Form::kVarints};
    case DataType::kUint64:
      return {17, Form::kVarints};
    case DataType::kFloat8E5m2:
    case DataType::kFloat8E4m3fn:
    case DataType::kFloat8E4m3fnuz:
    case DataType::kFloat8E4m3b11fnuz:
    case DataType::kFloat8E5m2fnuz:
    case DataType::kFloat4E2m1fn:
      return {18, Form::kBytes};
    case DataType::kInvalid:
    case DataType::kResource:
    case DataType::kVariant:
      break;
  }
  return {};
}

}  // namespace fastserve
