#include "codec/json_number.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>
#include <type_traits>

namespace fastserve {
namespace {

using Wide = unsigned __int128;

constexpr int kShortDigits = 6;  // what %g shows

// mantissa * 2^exponent, exactly.
struct Binary {
  uint64_t mantissa;
  int exponent;
};

// d.ddd * 10^exponent, where the digits of `digits` (as many as were asked for) are the d.
struct Decimal {
  uint64_t digits;
  int exponent;
};

constexpr int kMaxPowerOfFive = 55;  // the highest that fits in Wide

constexpr std::array<Wide, kMaxPowerOfFive + 1> MakePowersOfFive() {
  std::array<Wide, kMaxPowerOfFive + 1> powers{};
  Wide power = 1;
  for (Wide& entry : powers) {
    entry = power;
    power *= 5;
  }
  return powers;
}

constexpr std::array<uint64_t, 20> MakePowersOfTen() {
  std::array<uint64_t, 20> powers{};
  uint64_t power = 1;
  for (uint64_t& entry : powers) {
    entry = power;
    power *= 10;
  }
  return powers;
}

constexpr auto kPowersOfFive = MakePowersOfFive();
constexpr auto kPowersOfTen = MakePowersOfTen();

int BitWidth(Wide value) {
  const auto high = static_cast<uint64_t>(value >> 64);
  return high ? 64 + std::bit_width(high) : std::bit_width(static_cast<uint64_t>(value));
}

Binary Split(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const int biased = static_cast<int>(bits >> 23);
  const uint32_t fraction = bits & 0x7fffff;
  if (biased == 0) return {fraction, -149};
  return {fraction | 0x800000, biased - 150};
}

Binary Split(double value) {
  const auto bits = std::bit_cast<uint64_t>(value);
  const int biased = static_cast<int>(bits >> 52);
  const uint64_t fraction = bits & 0xfffffffffffff;
  if (biased == 0) return {fraction, -1074};
  return {fraction | 0x10000000000000, biased - 1075};
}

// numerator / 2^down to the nearest integer, ties to even.
uint64_t ShiftAndRound(Wide numerator, int down) {
  const Wide whole = numerator >> down;
  const Wide rest = numerator - (whole << down);
  const Wide half = Wide{1} << (down - 1);
  const auto result = static_cast<uint64_t>(whole);
  return result + (rest > half || (rest == half && (result & 1)));
}

uint64_t DivideAndRound(Wide numerator, Wide denominator) {
  const Wide whole = numerator / denominator;
  const Wide rest = numerator - whole * denominator;
  const Wide missing = denominator - rest;  // compared so, nothing overflows
  const auto result = static_cast<uint64_t>(whole);
  return result + (rest > missing || (rest == missing && (result & 1)));
}

// binary * 10^power rounded to an integer, exactly; false when that needs more than 128 bits.
// REQUIRES: the result is at least 1 and below 2^63, so no shift below reaches 128.
bool Scale(Binary binary, int power, uint64_t* result) {
  const int magnitude = power < 0 ? -power : power;
  if (magnitude > kMaxPowerOfFive) return false;
  const Wide five = kPowersOfFive[magnitude];
  const int shift = binary.exponent + power;  // 10^p = 5^p * 2^p
  const int mantissa_bits = std::bit_width(binary.mantissa);
  if (power >= 0) {
    if (BitWidth(five) + mantissa_bits > 128) return false;
    const Wide scaled = five * binary.mantissa;
    *result = shift < 0 ? ShiftAndRound(scaled, -shift) : static_cast<uint64_t>(scaled << shift);
    return true;
  }
  if (shift < 0) {
    *result = DivideAndRound(binary.mantissa, five << -shift);
    return true;
  }
  if (mantissa_bits + shift > 128) return false;
  *result = DivideAndRound(Wide{binary.mantissa} << shift, five);
  return true;
}

// Rounds to `precision` significant digits, as printf does: exactly, ties to even.
bool Round(Binary binary, int precision, Decimal* decimal) {
  const int log2 = std::bit_width(binary.mantissa) - 1 + binary.exponent;
  // log10(2) * 2^20 lies between the two factors, so this is the decimal exponent or one less.
  int exponent = (log2 * (log2 < 0 ? 315653 : 315652)) >> 20;
  uint64_t digits;
  if (!Scale(binary, precision - 1 - exponent, &digits)) return false;
  if (digits >= kPowersOfTen[precision]) {
    ++exponent;
    if (!Scale(binary, precision - 1 - exponent, &digits)) return false;
  }
  *decimal = {digits, exponent};
  return true;
}

char* PutText(std::string_view text, char* to) {
  std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

char* PutExponent(int exponent, char* to) {
  *to++ = 'e';
  *to++ = exponent < 0 ? '-' : '+';
  const int magnitude = exponent < 0 ? -exponent : exponent;
  if (magnitude < 10) *to++ = '0';
  return std::to_chars(to, to + 3, magnitude).ptr;
}

// printf's %.<precision>g of the rounded value, and ".0" after a bare integer.
char* PutDecimal(Decimal decimal, int precision, char* to) {
  char digits[20];
  std::to_chars(digits, digits + sizeof digits, decimal.digits);
  int count = precision;
  while (count > 1 && digits[count - 1] == '0') --count;
  const int exponent = decimal.exponent;
  if (exponent < -4 || exponent >= precision) {
    *to++ = digits[0];
    if (count > 1) {
      *to++ = '.';
      to = PutText({digits + 1, static_cast<size_t>(count - 1)}, to);
    }
    return PutExponent(exponent, to);
  }
  if (exponent < 0) {
    to = PutText({"0.000", static_cast<size_t>(1 - exponent)}, to);
    return PutText({digits, static_cast<size_t>(count)}, to);
  }
  const int whole = exponent + 1;  // digits before the point
  for (int i = 0; i < whole; ++i) *to++ = i < count ? digits[i] : '0';
  *to++ = '.';
  if (count <= whole) {
    *to++ = '0';
    return to;
  }
  return PutText({digits + whole, static_cast<size_t>(count - whole)}, to);
}

template <class T>
bool ReadsBack(const char* text, const char* end, T value) {
  T read;
  const auto [stop, error] = std::from_chars(text, end, read);
  return error == std::errc() && stop == end && read == value;
}

// Whether the short form reads back to `value`.
template <class T>
bool ReadsBack(Decimal decimal, T value) {
  // Digits and power being exact, one operation rounds as a correct reader does.
  constexpr int kMaxExactPower = std::is_same_v<T, float> ? 10 : 19;
  const int power = decimal.exponent - (kShortDigits - 1);
  const auto digits = static_cast<T>(decimal.digits);
  if (power < 0 && power >= -kMaxExactPower) {
    return digits / static_cast<T>(kPowersOfTen[-power]) == value;
  }
  if (power >= 0 && power <= kMaxExactPower) {
    return digits * static_cast<T>(kPowersOfTen[power]) == value;
  }
  char text[kMaxJsonNumberSize];
  return ReadsBack(text, PutDecimal(decimal, kShortDigits, text), value);
}

// For exponents so far out that 128 bits do not hold the number.
template <class T>
char* FormatSlowly(T value, char* to) {
  const auto format = [&](int precision) {
    return std::to_chars(to, to + kMaxJsonNumberSize, value, std::chars_format::general, precision)
        .ptr;
  };
  char* end = format(kShortDigits);
  if (!ReadsBack(to, end, value)) end = format(std::numeric_limits<T>::max_digits10);
  return end;  // never a bare integer: these have an exponent
}

// REQUIRES: value > 0 and finite.
template <class T>
char* FormatPositive(T value, char* to) {
  const Binary binary = Split(value);
  Decimal decimal;
  if (!Round(binary, kShortDigits, &decimal)) return FormatSlowly(value, to);
  if (ReadsBack(decimal, value)) return PutDecimal(decimal, kShortDigits, to);
  constexpr int kAllDigits = std::numeric_limits<T>::max_digits10;
  if (!Round(binary, kAllDigits, &decimal)) return FormatSlowly(value, to);
  return PutDecimal(decimal, kAllDigits, to);
}

template <class T>
char* Format(T value, char* to) {
  if (std::isnan(value)) return PutText("NaN", to);
  if (std::signbit(value)) {
    *to++ = '-';
    value = -value;
  }
  if (std::isinf(value)) return PutText("Infinity", to);
  if (value == 0) return PutText("0.0", to);
  return FormatPositive(value, to);
}

}  // namespace

char* FormatJsonNumber(float value, char* to) { return Format(value, to); }
char* FormatJsonNumber(double value, char* to) { return Format(value, to); }

}  // namespace fastserve
