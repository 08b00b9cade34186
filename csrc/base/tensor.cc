#include "base/tensor.h"

#include <string>

namespace fastserve {
namespace {

struct TypeRow {
  const char* name;
  size_t size;
};

// Indexed by DataType; names are those of TensorFlow's DataTypeString().
constexpr TypeRow kTypes[] = {
    {"INVALID", 0},
    {"float", 4},
    {"double", 8},
    {"int32", 4},
    {"uint8", 1},
    {"int16", 2},
    {"int8", 1},
    {"string", 0},
    {"complex64", 8},
    {"int64", 8},
    {"bool", 1},
    {"qint8", 1},
    {"quint8", 1},
    {"qint32", 4},
    {"bfloat16", 2},
    {"qint16", 2},
    {"quint16", 2},
    {"uint16", 2},
    {"complex128", 16},
    {"half", 2},
    {"resource", 0},
    {"variant", 0},
    {"uint32", 4},
    {"uint64", 8},
    {"float8_e5m2", 1},
    {"float8_e4m3fn", 1},
    {"float8_e4m3fnuz", 1},
    {"float8_e4m3b11fnuz", 1},
    {"float8_e5m2fnuz", 1},
    {"int4", 1},
    {"uint4", 1},
    {"int2", 1},
    {"uint2", 1},
    {"float4_e2m1fn", 1},
};

const TypeRow* FindType(DataType dtype) {
  const auto index = static_cast<size_t>(dtype);
  return index < std::size(kTypes) ? &kTypes[index] : nullptr;
}

}  // namespace

size_t ElementSize(DataType dtype) {
  const TypeRow* row = FindType(dtype);
  return row ? row->size : 0;
}

std::string DataTypeName(DataType dtype) {
  if (const TypeRow* row = FindType(dtype)) return row->name;
  return "unknown dtype enum (" + std::to_string(static_cast<int32_t>(dtype)) + ")";
}

std::string DataTypeEnumName(DataType dtype) {
  const TypeRow* row = FindType(dtype);
  if (row == nullptr) return std::to_string(static_cast<int32_t>(dtype));
  std::string name = "DT_";
  for (const char* letter = row->name; *letter != 0; ++letter) {
    name += static_cast<char>(*letter >= 'a' && *letter <= 'z' ? *letter - 'a' + 'A' : *letter);
  }
  return name;
}

int64_t ElementCount(const Dims& dims) {
  int64_t count = 1;
  for (const int64_t extent : dims) {
    if (extent < 0 || __builtin_mul_overflow(count, extent, &count)) return -1;
  }
  return count;
}

std::string DimsText(const Dims& dims) {
  std::string text = "[";
  for (const int64_t extent : dims) {
    if (text.size() > 1) text += ',';
    text += std::to_string(extent);
  }
  return text + "]";
}

}  // namespace fastserve
