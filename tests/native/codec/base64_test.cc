#include "codec/base64.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace fastserve {
namespace {

std::string Encode(ByteView bytes) {
  std::string text;
  AppendBase64(&text, bytes);
  return text;
}

std::optional<std::string> Decode(std::string_view text) {
  std::string bytes(MaxBase64Bytes(text.size()), '\0');
  size_t size = 0;
  if (!DecodeBase64(text, bytes.data(), &size)) return std::nullopt;
  bytes.resize(size);
  return bytes;
}

TEST(Base64Test, EncodesWithPadding) {
  EXPECT_EQ(Encode(""), "");
  EXPECT_EQ(Encode("f"), "Zg==");
  EXPECT_EQ(Encode("fo"), "Zm8=");
  EXPECT_EQ(Encode("foo"), "Zm9v");
  EXPECT_EQ(Encode("foob"), "Zm9vYg==");
  EXPECT_EQ(Encode({"\xff\x00\xfe", 3}), "/wD+");
}

TEST(Base64Test, DecodesWhatItEncodesForEveryByteAtEveryPosition) {
  for (int byte = 0; byte < 256; ++byte) {
    for (size_t before = 0; before < 5; ++before) {
      const std::string bytes = std::string(before, 'x') + static_cast<char>(byte) + "yz";
      EXPECT_EQ(Decode(Encode(bytes)), bytes);
    }
  }
}

TEST(Base64Test, AcceptsPaddingLeftOutOrWrittenAsDots) {
  EXPECT_EQ(Decode("aGVsbG8="), "hello");
  EXPECT_EQ(Decode("aGVsbG8"), "hello");
  EXPECT_EQ(Decode("aGVsbG8."), "hello");
  EXPECT_EQ(Decode("Zg"), "f");
  EXPECT_EQ(Decode(""), "");
}

TEST(Base64Test, RefusesPaddingOfTheWrongLength) {
  for (const char* text : {"aGVsbG8==", "Zg=", "Zm9v=", "=", "Zg===", "Z=g="}) {
    EXPECT_EQ(Decode(text), std::nullopt) << text;
  }
}

TEST(Base64Test, AcceptsEitherAlphabetButNotBothInOneText) {
  EXPECT_EQ(Decode("/+8="), "\xff\xef");
  EXPECT_EQ(Decode("_-8="), "\xff\xef");
  EXPECT_EQ(Decode("_-8"), "\xff\xef");
  EXPECT_EQ(Decode("AAAA AAAA _-8"), std::string(6, '\0') + "\xff\xef");
  for (const char* text : {"/-8=", "_+8=", "AAAA+AAA_AAA", "-AAAAAA/"}) {
    EXPECT_EQ(Decode(text), std::nullopt) << text;
  }
}

TEST(Base64Test, DecodesInPlace) {
  std::string text = "aGVs bG8gd29ybGQ";
  size_t size = 0;
  ASSERT_TRUE(DecodeBase64(text, text.data(), &size));
  EXPECT_EQ(text.substr(0, size), "hello world");
}

TEST(Base64Test, IgnoresWhiteSpaceAnywhere) {
  EXPECT_EQ(Decode(" aG\tVs\nbG\r8\v=\f"), "hello");
  EXPECT_EQ(Decode("Z g = ="), "f");
  EXPECT_EQ(Decode("  "), "");
}

TEST(Base64Test, RefusesOtherCharactersAndTheUrlSafeAlphabet) {
  for (const char* text : {"aGV*bG8=", "Zg==Zg==", "Zm9v\x80", "Zm9vé", "Zg!="}) {
    EXPECT_EQ(Decode(text), std::nullopt) << text;
  }
  EXPECT_EQ(Decode(std::string_view("Zm9v\0", 5)), std::nullopt);
}

TEST(Base64Test, RefusesASingleLeftOverCharacter) { EXPECT_EQ(Decode("Zm9vZ"), std::nullopt); }

TEST(Base64Test, IgnoresBitsAfterTheLastByte) { EXPECT_EQ(Decode("aGVsbG9="), "hello"); }

}  // namespace
}  // namespace fastserve
