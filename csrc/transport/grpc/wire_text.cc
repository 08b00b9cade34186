#include "transport/grpc/wire_text.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace fastserve {
namespace {

using std::chrono::nanoseconds;

constexpr size_t kMaxTimeoutDigits = 8;
constexpr nanoseconds kMaxTimeout = std::chrono::hours(24 * 365 * 30);
constexpr size_t kMaxStatusMessage = 1024;
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Zero for a letter that is no unit.
nanoseconds TimeoutUnit(char unit) {
  switch (unit) {
    case 'H':
      return std::chrono::hours(1);
    case 'M':
      return std::chrono::minutes(1);
    case 'S':
      return std::chrono::seconds(1);
    case 'm':
      return std::chrono::milliseconds(1);
    case 'u':
      return std::chrono::microseconds(1);
    case 'n':
      return nanoseconds(1);
    default:
      return nanoseconds(0);
  }
}

bool IsPrintable(char c) { return c >= 0x20 && c <= 0x7e; }

bool IsKeyCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

constexpr std::array<int8_t, 256> MakeBase64Values() {
  std::array<int8_t, 256> values{};
  for (int8_t& value : values) value = -1;
  for (size_t i = 0; i < kBase64.size(); ++i) {
    values[static_cast<uint8_t>(kBase64[i])] = static_cast<int8_t>(i);
  }
  return values;
}

constexpr std::array<int8_t, 256> kBase64Values = MakeBase64Values();

}  // namespace

std::optional<nanoseconds> ParseTimeout(std::string_view text) {
  if (text.size() < 2 || text.size() > kMaxTimeoutDigits + 1) return std::nullopt;
  const nanoseconds unit = TimeoutUnit(text.back());
  if (unit == nanoseconds(0)) return std::nullopt;
  int64_t count = 0;
  for (const char digit : text.substr(0, text.size() - 1)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    count = count * 10 + (digit - '0');
  }
  return count > kMaxTimeout / unit ? kMaxTimeout : count * unit;
}

bool IsGrpcContentType(std::string_view content_type) {
  constexpr std::string_view kPrefix = "application/grpc";
  if (content_type.substr(0, kPrefix.size()) != kPrefix) return false;
  if (content_type.size() == kPrefix.size()) return true;
  const char next = content_type[kPrefix.size()];
  return next == '+' || next == ';';
}

std::string PercentEncode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    if (IsPrintable(c) && c != '%') {
      encoded.push_back(c);
    } else {
      const auto byte = static_cast<uint8_t>(c);
      encoded.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return encoded;
}

std::string_view CutStatusMessage(std::string_view message, std::string& storage) {
  if (message.size() <= kMaxStatusMessage) return message;
  storage.assign(message.substr(0, kMaxStatusMessage)).append("...TRUNCATED");
  return storage;
}

std::string Base64Encode(ByteView bytes) {
  std::string text;
  text.reserve((bytes.size() * 4 + 2) / 3);
  uint32_t bits = 0;
  int count = 0;  // of bits not yet written
  for (const char byte : bytes) {
    bits = bits << 8 | static_cast<uint8_t>(byte);
    for (count += 8; count >= 6;) {
      count -= 6;
      text.push_back(kBase64[bits >> count & 63]);
    }
  }
  if (count > 0) text.push_back(kBase64[bits << (6 - count) & 63]);
  return text;
}

std::optional<std::string> Base64Decode(std::string_view text) {
  for (int padding = 0; padding < 2 && !text.empty() && text.back() == '='; ++padding) {
    text.remove_suffix(1);
  }
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int8_t value = kBase64Values[static_cast<uint8_t>(c)];
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes.push_back(static_cast<char>(bits >> count & 255));
    }
  }
  return bytes;
}

bool IsBinaryKey(std::string_view key) {
  return key.size() >= 4 && key.substr(key.size() - 4) == "-bin";
}

bool IsCustomKey(std::string_view key) {
  constexpr std::string_view kOwn[] = {"te", "content-type", "grpc-timeout", "grpc-encoding",
                                       "grpc-accept-encoding"};
  return !key.empty() && key.front() != ':' &&
         std::find(std::begin(kOwn), std::end(kOwn), key) == std::end(kOwn);
}

Status CheckMetadata(const Metadata& metadata) {
  for (const auto& [key, value] : metadata) {
    const bool key_ok = !key.empty() && std::all_of(key.begin(), key.end(), IsKeyCharacter);
    if (!key_ok) return Status::Internal("illegal metadata key \"" + key + "\"");
    if (!IsBinaryKey(key) && !std::all_of(value.begin(), value.end(), IsPrintable)) {
      return Status::Internal("illegal characters in the metadata value of \"" + key + "\"");
    }
  }
  return {};
}

}  // namespace fastserve
