#include "codec/json_number.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>

namespace fastserve {
namespace {

template <class T>
std::string Text(T value) {
  char text[kMaxJsonNumberSize];
  return {text, FormatJsonNumber(value, text)};
}

// The rule as upstream states it, by way of the C library.
std::string Expected(float value) {
  char text[64];
  std::snprintf(text, sizeof text, "%g", static_cast<double>(value));
  if (std::strtof(text, nullptr) != value) {
    std::snprintf(text, sizeof text, "%.9g", static_cast<double>(value));
  }
  const std::string result = text;
  return result.find_first_of(".e") == std::string::npos ? result + ".0" : result;
}

std::string Expected(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%g", value);
  if (std::strtod(text, nullptr) != value) std::snprintf(text, sizeof text, "%.17g", value);
  const std::string result = text;
  return result.find_first_of(".e") == std::string::npos ? result + ".0" : result;
}

TEST(JsonNumberTest, FloatsHaveSixDigitsWhereTheyReadBackAndNineElsewhere) {
  EXPECT_EQ(Text(2.0f), "2.0");
  EXPECT_EQ(Text(0.2f), "0.2");
  EXPECT_EQ(Text(1 / 3.0f), "0.333333343");
  EXPECT_EQ(Text(1234567.0f), "1234567.0");
  EXPECT_EQ(Text(16777216.0f), "16777216.0");
  EXPECT_EQ(Text(4294967296.0f), "4.2949673e+09");
  EXPECT_EQ(Text(std::numeric_limits<float>::max()), "3.40282347e+38");
}

TEST(JsonNumberTest, DoublesHaveSixDigitsWhereTheyReadBackAndSeventeenElsewhere) {
  EXPECT_EQ(Text(0.1), "0.1");
  EXPECT_EQ(Text(1 / 3.0), "0.33333333333333331");
  EXPECT_EQ(Text(-1234567.5), "-1234567.5");
  EXPECT_EQ(Text(123456789.123), "123456789.123");
  EXPECT_EQ(Text(9007199254740992.0), "9007199254740992.0");
  EXPECT_EQ(Text(18446744073709551616.0), "1.8446744073709552e+19");
  EXPECT_EQ(Text(3.4028235e38), "3.4028234999999999e+38");
  EXPECT_EQ(Text(-std::numeric_limits<double>::max()), "-1.7976931348623157e+308");
}

TEST(JsonNumberTest, SmallAndLargeNumbersHaveAnExponentOfTwoDigitsAtLeast) {
  EXPECT_EQ(Text(100000.0f), "100000.0");
  EXPECT_EQ(Text(999999.0f), "999999.0");
  EXPECT_EQ(Text(1e6f), "1e+06");
  EXPECT_EQ(Text(9e6f), "9e+06");
  EXPECT_EQ(Text(1e20f), "1e+20");
  EXPECT_EQ(Text(0.0001f), "0.0001");
  EXPECT_EQ(Text(0.00003f), "3e-05");
  EXPECT_EQ(Text(1.5e-5), "1.5e-05");
  EXPECT_EQ(Text(1e300), "1e+300");
}

TEST(JsonNumberTest, DenormalNumbersAreWritten) {
  EXPECT_EQ(Text(1e-45f), "1.4013e-45");
  EXPECT_EQ(Text(5e-324), "4.94066e-324");
}

TEST(JsonNumberTest, SignsOfZeroAndWordsForTheRest) {
  EXPECT_EQ(Text(0.0f), "0.0");
  EXPECT_EQ(Text(-0.0f), "-0.0");
  EXPECT_EQ(Text(-0.0), "-0.0");
  EXPECT_EQ(Text(std::numeric_limits<float>::quiet_NaN()), "NaN");
  EXPECT_EQ(Text(-std::numeric_limits<double>::quiet_NaN()), "NaN");
  EXPECT_EQ(Text(std::numeric_limits<float>::infinity()), "Infinity");
  EXPECT_EQ(Text(-std::numeric_limits<double>::infinity()), "-Infinity");
}

TEST(JsonNumberTest, AgreesWithTheCLibraryForRandomBitPatterns) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    const uint64_t bits = random();
    const auto narrow = std::bit_cast<float>(static_cast<uint32_t>(bits));
    const auto wide = std::bit_cast<double>(bits);
    if (std::isfinite(narrow)) {
      ASSERT_EQ(Text(narrow), Expected(narrow));
    }
    if (std::isfinite(wide)) {
      ASSERT_EQ(Text(wide), Expected(wide));
    }
  }
}

TEST(JsonNumberTest, AgreesWithTheCLibraryForShortDecimals) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 20000; ++i) {
    const auto digits = static_cast<double>(random() % 2'000'000);
    const double value = digits * std::pow(10, static_cast<int>(random() % 80) - 40);
    ASSERT_EQ(Text(value), Expected(value));
    const auto narrow = static_cast<float>(value);
    if (std::isfinite(narrow)) {
      ASSERT_EQ(Text(narrow), Expected(narrow));
    }
  }
}

TEST(JsonNumberTest, AgreesWithTheCLibraryAroundPowersOfTwoAndTen) {
  for (int power = -1074; power < 1024; ++power) {
    const double value = std::ldexp(1.0, power);
    for (const double near : {value, std::nextafter(value, 0), std::nextafter(value, HUGE_VAL)}) {
      ASSERT_EQ(Text(near), Expected(near));
      const auto narrow = static_cast<float>(near);
      if (std::isfinite(narrow)) {
        ASSERT_EQ(Text(narrow), Expected(narrow));
      }
    }
  }
  for (int power = -45; power < 39; ++power) {
    const auto value = static_cast<float>(std::pow(10, power));
    for (const float near : {value, std::nextafterf(value, 0), std::nextafterf(value, 1e38f)}) {
      ASSERT_EQ(Text(near), Expected(near));
      ASSERT_EQ(Text(static_cast<double>(near)), Expected(static_cast<double>(near)));
    }
  }
}

}  // namespace
}  // namespace fastserve
