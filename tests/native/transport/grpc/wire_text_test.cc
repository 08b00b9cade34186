#include "transport/grpc/wire_text.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace fastserve {
namespace {

using std::chrono::hours;
using std::chrono::nanoseconds;

TEST(ParseTimeoutTest, KnowsEveryUnit) {
  constexpr std::pair<const char*, nanoseconds> kCases[] = {
      {"2H", hours(2)},
      {"3M", std::chrono::minutes(3)},
      {"4S", std::chrono::seconds(4)},
      {"5m", std::chrono::milliseconds(5)},
      {"6u", std::chrono::microseconds(6)},
      {"7n", nanoseconds(7)},
      {"0S", nanoseconds(0)},
      {"00000010m", std::chrono::milliseconds(10)},
      {"99999999n", nanoseconds(99'999'999)},
      {"99999999S", std::chrono::seconds(99'999'999)},
  };
  for (const auto& [text, expected] : kCases) EXPECT_EQ(ParseTimeout(text), expected) << text;
}

TEST(ParseTimeoutTest, LongTimesAreCutToThirtyYears) {
  constexpr nanoseconds kThirtyYears = hours(24 * 365 * 30);
  EXPECT_EQ(ParseTimeout("99999999H"), kThirtyYears);
  EXPECT_EQ(ParseTimeout("99999999M"), kThirtyYears);
  EXPECT_EQ(ParseTimeout("262800H"), kThirtyYears);
  EXPECT_EQ(ParseTimeout("262799H"), hours(262'799));
}

TEST(ParseTimeoutTest, RefusesWhatIsNotANumberAndAUnit) {
  for (const char* text : {"", "S", "1", "1s", "1h", "-1S", "+1S", "1.5S", " 1S", "1S ", "1 S",
                           "0x1S", "100000000S", "SS", "1\xc2\xb5"}) {
    EXPECT_EQ(ParseTimeout(text), std::nullopt) << text;
  }
}

TEST(IsGrpcContentTypeTest, TakesCodecsAndParametersButNoOtherType) {
  for (const char* type : {"application/grpc", "application/grpc+proto", "application/grpc;a=b"}) {
    EXPECT_TRUE(IsGrpcContentType(type)) << type;
  }
  for (const char* type : {"", "application/grp", "application/grpc-web", "application/grpcx",
                           "application/json", "text/application/grpc"}) {
    EXPECT_FALSE(IsGrpcContentType(type)) << type;
  }
}

TEST(PercentEncodeTest, LeavesPrintableAsciiAlone) {
  std::string printable;
  for (char c = 0x20; c < 0x7f; ++c) {
    if (c != '%') printable += c;
  }
  EXPECT_EQ(PercentEncode(printable), printable);
  EXPECT_EQ(PercentEncode(""), "");
}

TEST(PercentEncodeTest, EncodesEveryOtherByte) {
  EXPECT_EQ(PercentEncode("100%"), "100%25");
  EXPECT_EQ(PercentEncode("a\r\n\tb"), "a%0D%0A%09b");
  EXPECT_EQ(PercentEncode("é€"), "%C3%A9%E2%82%AC");
  EXPECT_EQ(PercentEncode(std::string_view("\0\x7f\xff", 3)), "%00%7F%FF");
}

TEST(CutStatusMessageTest, KeepsUpTo1024BytesAndMarksTheCut) {
  std::string storage;
  const std::string longest(1024, 'm');
  EXPECT_EQ(CutStatusMessage(longest, storage).data(), longest.data());
  EXPECT_EQ(CutStatusMessage(longest + "x", storage), longest + "...TRUNCATED");
}

TEST(Base64Test, EncodesWithoutPadding) {
  constexpr std::pair<const char*, const char*> kCases[] = {
      // RFC 4648, section 10
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : kCases) {
    EXPECT_EQ(Base64Encode(bytes), text);
    EXPECT_EQ(Base64Decode(text), bytes);
  }
}

TEST(Base64Test, DecodesWithPaddingToo) {
  EXPECT_EQ(Base64Decode("Zg=="), "f");
  EXPECT_EQ(Base64Decode("Zm8="), "fo");
}

TEST(Base64Test, EveryByteValueSurvives) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  EXPECT_EQ(Base64Decode(Base64Encode(bytes)), bytes);
  EXPECT_EQ(Base64Encode("\xfb\xff\xfe"), "+//+");
}

TEST(Base64Test, RefusesWhatIsNotBase64) {
  for (const char* text : {"Z", "Zm9vY", "Zm 9", "Zm9v\n", "Zm-_", "====", "Z=g=", "Zm8\xff"}) {
    EXPECT_EQ(Base64Decode(text), std::nullopt) << text;
  }
}

TEST(MetadataKeyTest, BinaryKeysEndInBin) {
  EXPECT_TRUE(IsBinaryKey("trace-bin"));
  EXPECT_TRUE(IsBinaryKey("-bin"));
  EXPECT_FALSE(IsBinaryKey("bin"));
  EXPECT_FALSE(IsBinaryKey("trace-bin-x"));
}

TEST(MetadataKeyTest, FieldsOfHttpAndGrpcAreNotCustom) {
  for (const char* key : {"", ":path", "te", "content-type", "grpc-timeout", "grpc-encoding",
                          "grpc-accept-encoding"}) {
    EXPECT_FALSE(IsCustomKey(key)) << key;
  }
  for (const char* key : {"x", "user-agent", "grpc-trace-bin", "content-type-x"}) {
    EXPECT_TRUE(IsCustomKey(key)) << key;
  }
}

TEST(CheckMetadataTest, TakesLegalKeysAndValuesAndAnyBinaryValue) {
  EXPECT_TRUE(CheckMetadata({}).ok());
  EXPECT_TRUE(
      CheckMetadata({{"a-z_0.9", "printable ~"}, {"b-bin", std::string("\0\xff", 2)}}).ok());
}

TEST(CheckMetadataTest, RefusesIllegalOnesAndNamesTheKey) {
  for (const char* key : {"", "Upper", "with space", ":status", "é"}) {
    const Status status = CheckMetadata({{"fine", "x"}, {key, "x"}});
    EXPECT_EQ(status.code(), StatusCode::kInternal);
    EXPECT_EQ(status.message(), "illegal metadata key \"" + std::string(key) + "\"");
  }
  for (const char* value : {"a\nb", "\x7f", "é"}) {
    EXPECT_EQ(CheckMetadata({{"key", value}}).message(),
              "illegal characters in the metadata value of \"key\"");
  }
}

}  // namespace
}  // namespace fastserve
