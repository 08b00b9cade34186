#include "codec/json_plain_number.h"

#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <cstring>
#include <random>
#include <string>

namespace fastserve {
namespace {

using rapidjson::Value;

// A number as RapidJSON reads it the way upstream has it.
rapidjson::Document Reference(const std::string& text) {
  rapidjson::Document document;
  document.Parse<rapidjson::kParseNanAndInfFlag>(text.c_str());
  return document;
}

bool Same(const Value& a, const Value& b) {
  if (a.IsDouble() != b.IsDouble()) return false;
  if (!a.IsDouble()) return a == b && a.IsInt() == b.IsInt() && a.IsUint() == b.IsUint();
  const double x = a.GetDouble();
  const double y = b.GetDouble();
  return std::memcmp(&x, &y, sizeof x) == 0;
}

// Whether the whole text is read, to what RapidJSON reads.
void ExpectPlain(const std::string& text) {
  Value number;
  const char* const end = text.data() + text.size();
  ASSERT_EQ(ReadPlainNumber(text.data(), end, &number), end) << text;
  EXPECT_TRUE(Same(number, Reference(text))) << text;
}

TEST(ReadPlainNumberTest, ValuesAreRapidJsonsToTheLastBit) {
  for (const char* text :
       {"0", "-0", "7", "-2147483648", "4294967295", "4294967296", "999999999999999999",
        "-999999999999999999", "0.1", "-0.0", "1.50", "0.30000000000000004", "0.10000000149011612",
        "9007199254740993.25", "123456789012345678.9", "3.141592653589793238462643383279",
        "0.000000000000000000000000000012345678901234567890"}) {
    ExpectPlain(text);
  }
  std::mt19937_64 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string text = random() % 2 ? "-" : "";
    text += std::to_string(random() % (uint64_t{1} << random() % 60));
    if (random() % 4 != 0) {
      text += '.' + std::string(random() % 8, '0') + std::to_string(random() >> random() % 64);
    }
    ExpectPlain(text);
  }
}

TEST(ReadPlainNumberTest, EndsBehindTheNumber) {
  const std::string text = "-1.25]";
  Value number;
  EXPECT_EQ(*ReadPlainNumber(text.data(), text.data() + text.size(), &number), ']');
  EXPECT_EQ(number.GetDouble(), -1.25);
}

TEST(ReadPlainNumberTest, LeavesOtherNumbersToRapidJson) {
  for (const std::string text :
       {"", "-", "NaN", "-Infinity", "+1", ".5", "1.", "1.]", "1234567890123456789", "x"}) {
    Value number;
    EXPECT_EQ(ReadPlainNumber(text.data(), text.data() + text.size(), &number), nullptr) << text;
  }
  const std::string tiny = "0." + std::string(301, '0') + "1";
  Value number;
  EXPECT_EQ(ReadPlainNumber(tiny.data(), tiny.data() + tiny.size(), &number), nullptr);
  for (const std::string text : {"1e5", "01", "1.5E3"}) {  // it stops within
    EXPECT_NE(ReadPlainNumber(text.data(), text.data() + text.size(), &number),
              text.data() + text.size());
  }
}

}  // namespace
}  // namespace fastserve
