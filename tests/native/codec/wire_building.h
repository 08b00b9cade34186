#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fastserve {

// Wire bytes for tests, built by hand and not by the code under test.

inline std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

inline std::string VarintField(uint32_t field, uint64_t value) {
  return Varint(field << 3) + Varint(value);
}

inline std::string BytesField(uint32_t field, std::string_view bytes) {
  return Varint(field << 3 | 2) + Varint(bytes.size()) + std::string(bytes);
}

inline std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

inline std::string ToHex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char byte : bytes) {
    hex += kDigits[static_cast<uint8_t>(byte) >> 4];
    hex += kDigits[byte & 0xf];
  }
  return hex;
}

// The memory of a list of numbers.
template <class T>
std::string Bits(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)};
}

inline std::string MapEntryField(uint32_t field, std::string_view key, std::string_view value) {
  return BytesField(field, BytesField(1, key) + BytesField(2, value));
}

// The dtype and tensor_shape of a TensorProto.
inline std::string TensorHead(int dtype, std::initializer_list<int64_t> dims) {
  std::string shape;
  for (const int64_t size : dims) {
    shape += BytesField(2, VarintField(1, static_cast<uint64_t>(size)));
  }
  return VarintField(1, static_cast<uint64_t>(dtype)) + BytesField(2, shape);
}

}  // namespace fastserve
