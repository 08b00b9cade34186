#pragma once

#include <rapidjson/document.h>
#include <rapidjson/internal/pow10.h>

#include <cstdint>

namespace fastserve {

inline bool IsJsonDigit(char c) { return c >= '0' && c <= '9'; }

// Where the text from `at` on has something else than white space, or `end`.
inline const char* SkipJsonSpace(const char* at, const char* end) {
  while (at != end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) ++at;
  return at;
}

// Reads a number of up to 18 digits before the point and without an exponent, as most are, in a
// fraction of the time that RapidJSON takes for one of any form, and to the same value: its way of
// rounding (GenericReader::ParseNumber, without full precision) decides a value's last bits.
// Returns the end, or null where there is no such number.
inline const char* ReadPlainNumber(const char* at, const char* end, rapidjson::Value* number) {
  constexpr int kMaxWholeDigits = 18;
  constexpr uint64_t kMaxExact = (uint64_t{1} << 53) - 1;  // from there on it counts in doubles
  constexpr int kMaxSignificant = 17;
  constexpr int kMaxPlaces = 300;
  const bool is_negative = at != end && *at == '-';
  if (is_negative) ++at;
  if (at == end || !IsJsonDigit(*at)) return nullptr;
  const char* const first = at;
  uint64_t digits = static_cast<uint64_t>(*at++ - '0');
  if (digits != 0) {
    for (; at != end && IsJsonDigit(*at); ++at) {
      if (at - first == kMaxWholeDigits) return nullptr;
      digits = digits * 10 + static_cast<uint64_t>(*at - '0');
    }
  }
  if (at == end || *at != '.') {
    const auto whole = static_cast<int64_t>(digits);
    *number = rapidjson::Value(is_negative ? -whole : whole);
    return at;
  }
  int significant = static_cast<int>(at - first) - 1;
  const char* const fraction = ++at;
  for (; at != end && IsJsonDigit(*at) && digits <= kMaxExact; ++at) {
    digits = digits * 10 + static_cast<uint64_t>(*at - '0');
    significant += digits != 0;
  }
  auto value = static_cast<double>(digits);
  const char* counted = at;  // digits behind it do not
  for (; at != end && IsJsonDigit(*at); ++at) {
    if (significant == kMaxSignificant) continue;
    value = value * 10.0 + (*at - '0');
    ++significant;
    counted = at + 1;
  }
  const auto places = counted - fraction;
  if (at == fraction || places > kMaxPlaces) return nullptr;
  value /= rapidjson::internal::Pow10(static_cast<int>(places));
  *number = rapidjson::Value(is_negative ? -value : value);
  return at;
}

}  // namespace fastserve
