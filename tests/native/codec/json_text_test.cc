#include "codec/json_text.h"

#include <gtest/gtest.h>

#include <string>

namespace fastserve {
namespace {

std::string Quoted(std::string_view text) {
  std::string result;
  AppendJsonString(&result, text);
  return result;
}

TEST(JsonTextTest, EscapesQuoteBackslashAndControlBytes) {
  EXPECT_EQ(Quoted("a\"\\\b\f\n\r\tz"), R"("a\"\\\b\f\n\r\tz")");
  EXPECT_EQ(Quoted({"\x00\x01\x1f", 3}), R"("\u0000\u0001\u001F")");
}

TEST(JsonTextTest, LeavesSlashDelAndBytesThatAreNotUtf8) {
  EXPECT_EQ(Quoted("/\x7f"), "\"/\x7f\"");
  EXPECT_EQ(Quoted("é中😀"), "\"é中😀\"");
  EXPECT_EQ(Quoted("\xff\xc3"), "\"\xff\xc3\"");
  EXPECT_EQ(Quoted(""), "\"\"");
}

TEST(JsonTextTest, AppendsToWhatIsThere) {
  std::string text = "x: ";
  AppendJsonString(&text, "y");
  EXPECT_EQ(text, "x: \"y\"");
}

}  // namespace
}  // namespace fastserve
