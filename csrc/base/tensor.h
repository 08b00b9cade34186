#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/byte_buffer.h"
#include "base/inline_vector.h"

namespace fastserve {

// tensorflow.DataType, by its numbers (tensorflow/core/framework/types.proto).
enum class DataType : int32_t {
  kInvalid = 0,
  kFloat = 1,
  kDouble = 2,
  kInt32 = 3,
  kUint8 = 4,
  kInt16 = 5,
  kInt8 = 6,
  kString = 7,
  kComplex64 = 8,
  kInt64 = 9,
  kBool = 10,
  kQint8 = 11,
  kQuint8 = 12,
  kQint32 = 13,
  kBfloat16 = 14,
  kQint16 = 15,
  kQuint16 = 16,
  kUint16 = 17,
  kComplex128 = 18,
  kHalf = 19,
  kResource = 20,
  kVariant = 21,
  kUint32 = 22,
  kUint64 = 23,
  kFloat8E5m2 = 24,
  kFloat8E4m3fn = 25,
  kFloat8E4m3fnuz = 26,
  kFloat8E4m3b11fnuz = 27,
  kFloat8E5m2fnuz = 28,
  kInt4 = 29,
  kUint4 = 30,
  kInt2 = 31,
  kUint2 = 32,
  kFloat4E2m1fn = 33,
};

// Bytes of one element in memory; 0 for types without a fixed native layout (string, resource,
// variant, invalid, reference types). The types narrower than a byte take one byte each.
size_t ElementSize(DataType dtype);

// The name inside TensorFlow's error texts: "float", "int32", ... "unknown dtype enum (99)" for
// others.
std::string DataTypeName(DataType dtype);

// The name of the enum value, as protobuf shows it: "DT_FLOAT"; the number for one outside the
// enum.
std::string DataTypeEnumName(DataType dtype);

// Extents, outermost first.
using Dims = InlineVector<int64_t, 6>;

// The product of the extents (1 for a scalar), or -1 when one is negative or the product overflows.
int64_t ElementCount(const Dims& dims);

// "[2,3]", as TensorFlow shows a shape.
std::string DimsText(const Dims& dims);

// A dense row-major tensor in host memory, as the codecs read and write it.
// Exactly one of `data` and `strings` carries the elements: `strings` for kString, else `data`,
// little-endian, ElementCount(dims) * ElementSize(dtype) bytes.
struct HostTensor {
  DataType dtype = DataType::kInvalid;
  Dims dims;
  ByteView data;
  std::vector<std::string_view> strings;
  ByteBuffer owner;  // keeps what the views show, where a request's buffer owns it; else empty
};

}  // namespace fastserve
