#include "transport/grpc/compression.h"

#include <gtest/gtest.h>

#include <string>

#include "transport/grpc/grpc_wire.h"

namespace fastserve {
namespace {

constexpr Compression kBoth[] = {Compression::kDeflate, Compression::kGzip};
constexpr size_t kNoLimit = SIZE_MAX - 1;

std::string Text(size_t size) {
  std::string text;
  while (text.size() < size) text += "line " + std::to_string(text.size() / 3) + "\n";
  text.resize(size);
  return text;
}

TEST(CompressionTest, NamesAreThoseOfTheWire) {
  EXPECT_EQ(ParseCompression("identity"), Compression::kIdentity);
  EXPECT_EQ(ParseCompression("deflate"), Compression::kDeflate);
  EXPECT_EQ(ParseCompression("gzip"), Compression::kGzip);
  EXPECT_EQ(ParseCompression("br"), std::nullopt);
  EXPECT_EQ(ParseCompression(""), std::nullopt);
  for (const Compression each : kBoth) EXPECT_EQ(ParseCompression(CompressionName(each)), each);
}

TEST(CompressionTest, ListOfAcceptedOnesIsReadWithSpacesOrWithout) {
  for (const char* list : {"gzip", "identity,gzip", "identity, deflate , gzip", " gzip,br"}) {
    EXPECT_TRUE(AcceptsCompression(list, Compression::kGzip)) << list;
  }
  for (const char* list : {"", "identity", "xgzip", "gzip2", "gz,ip", ","}) {
    EXPECT_FALSE(AcceptsCompression(list, Compression::kGzip)) << list;
  }
}

TEST(CompressionTest, WhatIsCompressedComesBack) {
  for (const Compression each : kBoth) {
    for (const size_t size : {100u, 5'000u, 1'000'000u}) {
      const std::string text = Text(size);
      ByteChain chain;
      chain.Append(ByteView(text).substr(0, 50));
      chain.Borrow(ByteView(text).substr(50), std::make_shared<int>(0));
      const std::optional<ByteChain> packed = Compress(each, chain);
      ASSERT_TRUE(packed) << size;
      EXPECT_LT(packed->size(), size);
      const Result<std::string> plain = Decompress(each, packed->Flatten(), size);
      ASSERT_TRUE(plain.ok()) << plain.status().ToString();
      EXPECT_EQ(*plain, text);
    }
  }
}

TEST(CompressionTest, WhatWouldGrowIsLeftAlone) {
  for (const Compression each : kBoth) {
    for (const char* text : {"", "x", "a few words"}) {
      EXPECT_FALSE(Compress(each, Chain(text))) << text;
    }
  }
}

TEST(CompressionTest, LimitHoldsForThePlainBytes) {
  const std::string packed = Compress(Compression::kGzip, Chain(Text(100'000)))->Flatten();
  EXPECT_TRUE(Decompress(Compression::kGzip, packed, 100'000).ok());
  EXPECT_EQ(Decompress(Compression::kGzip, packed, 99'999).status().code(),
            StatusCode::kResourceExhausted);
  EXPECT_EQ(Decompress(Compression::kGzip, packed, 0).status().code(),
            StatusCode::kResourceExhausted);
}

TEST(CompressionTest, BytesThatAreNoWholeMessageAreAnError) {
  for (const Compression each : kBoth) {
    const std::string packed = Compress(each, Chain(Text(1000)))->Flatten();
    std::string damaged = packed;
    damaged[packed.size() / 2] = static_cast<char>(damaged[packed.size() / 2] ^ 0x55);
    for (const std::string& bytes : {std::string(), packed.substr(0, packed.size() - 1),
                                     packed + "x", damaged, std::string("not compressed at all")}) {
      const Status status = Decompress(each, bytes, kNoLimit).status();
      EXPECT_EQ(status.code(), StatusCode::kInternal);
      EXPECT_EQ(status.message(),
                "a message cannot be decompressed as " + std::string(CompressionName(each)));
    }
  }
}

TEST(CompressionTest, OneFormatIsNotTakenForTheOther) {
  const std::string gzip = Compress(Compression::kGzip, Chain(Text(1000)))->Flatten();
  EXPECT_FALSE(Decompress(Compression::kDeflate, gzip, kNoLimit).ok());
}

}  // namespace
}  // namespace fastserve
