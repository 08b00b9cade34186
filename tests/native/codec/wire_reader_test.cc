#include "codec/wire_reader.h"

#include <gtest/gtest.h>

#include <string>

#include "codec/wire_building.h"

namespace fastserve {
namespace {

bool SkipsAll(ByteView bytes) {
  WireReader in(bytes);
  while (in.Next()) in.Skip();
  return in.ok();
}

std::string Groups(int depth) {
  std::string bytes;
  for (int i = 0; i < depth; ++i) bytes += Varint(7 << 3 | 3);
  for (int i = 0; i < depth; ++i) bytes += Varint(7 << 3 | 4);
  return bytes;
}

TEST(WireReaderTest, WalksOverEveryWireType) {
  const std::string bytes = VarintField(1, 300) + FromHex("11") + Bits<double>({1.5}) +
                            BytesField(3, "abc") + FromHex("25") + Bits<float>({2.5f}) +
                            VarintField(100, 7);
  WireReader in(bytes);
  ASSERT_TRUE(in.Next());
  EXPECT_EQ(in.tag(), VarintTag(1));
  EXPECT_EQ(in.Varint(), 300u);
  ASSERT_TRUE(in.Next());
  EXPECT_EQ(in.type(), WireType::kFixed64);
  EXPECT_EQ(in.Value(), Bits<double>({1.5}));
  ASSERT_TRUE(in.Next());
  EXPECT_EQ(in.tag(), BytesTag(3));
  EXPECT_EQ(in.Bytes(), "abc");
  ASSERT_TRUE(in.Next());
  EXPECT_EQ(in.type(), WireType::kFixed32);
  EXPECT_EQ(in.Value(), Bits<float>({2.5f}));
  ASSERT_TRUE(in.Next());
  EXPECT_EQ(in.field(), 100u);
  EXPECT_EQ(in.Value(), FromHex("07"));
  EXPECT_FALSE(in.Next());
  EXPECT_TRUE(in.ok());
}

TEST(WireReaderTest, EmptyMessageIsFine) {
  EXPECT_TRUE(SkipsAll({}));
  EXPECT_TRUE(SkipsAll(""));
}

TEST(WireReaderTest, AnyCutOfAFieldIsAnError) {
  for (const std::string& field :
       {VarintField(1, 300), FromHex("11") + std::string(8, 'x'), BytesField(300, "abc"),
        FromHex("25") + std::string(4, 'x'), Groups(2)}) {
    ASSERT_TRUE(SkipsAll(field));
    for (size_t size = 1; size < field.size(); ++size) {
      EXPECT_FALSE(SkipsAll(field.substr(0, size))) << ToHex(field) << " cut at " << size;
    }
  }
}

TEST(WireReaderTest, OverlongTagsOfFiveBytesAreTagsAndLongerOnesErrors) {
  EXPECT_TRUE(SkipsAll(FromHex("888080800001")));
  EXPECT_TRUE(SkipsAll(FromHex("f8ffffff7f01")));  // bits beyond 32 are dropped
  EXPECT_FALSE(SkipsAll(FromHex("88808080800001")));
}

TEST(WireReaderTest, VarintsOfTenBytesDropBitsAndLongerOnesAreErrors) {
  const std::string nine(9, '\xff');
  WireReader in(ByteView{});
  const std::string ten = FromHex("08") + nine + '\x7f';
  in = WireReader(ten);
  ASSERT_TRUE(in.Next());
  EXPECT_EQ(in.Varint(), UINT64_MAX);
  EXPECT_FALSE(SkipsAll(FromHex("08") + nine + "\xff\x01"));
}

TEST(WireReaderTest, OverlongLengthsOfFiveBytesAreLengthsAndLongerOnesErrors) {
  EXPECT_TRUE(SkipsAll(FromHex("0a8180808000") + "x"));
  EXPECT_FALSE(SkipsAll(FromHex("0a818080808000") + "x"));
  EXPECT_FALSE(SkipsAll(FromHex("0affffffffffffffffff01")));
}

TEST(WireReaderTest, FieldZeroAndUnknownWireTypesAreErrors) {
  for (const char* hex : {"00", "0001", "020161", "0161616161616161", "0561616161", "0e", "0f"}) {
    EXPECT_FALSE(SkipsAll(FromHex(hex) + std::string(8, '\x01'))) << hex;
  }
}

TEST(WireReaderTest, GroupsAreSkippedWhenWellFormed) {
  EXPECT_TRUE(SkipsAll(FromHex("fb3f0801fc3f")));
  EXPECT_FALSE(SkipsAll(FromHex("fb3f0801")));    // does not end
  EXPECT_FALSE(SkipsAll(FromHex("fc3f")));        // ends what never began
  EXPECT_FALSE(SkipsAll(FromHex("fb3f8440")));    // ends another group
  EXPECT_FALSE(SkipsAll(FromHex("fb3f00fc3f")));  // with field 0 inside
}

TEST(WireReaderTest, NestingIsLimitedToAHundred) {
  EXPECT_TRUE(SkipsAll(Groups(100)));
  EXPECT_FALSE(SkipsAll(Groups(101)));
  std::string bytes;
  for (int i = 0; i < 101; ++i) bytes = BytesField(1, bytes);
  WireReader in(bytes);
  int depth = 0;
  while (in.Next()) {
    ++depth;
    const WireReader inner = in.Message();
    if (!in.ok()) break;
    in = inner;
  }
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(depth, 101);
}

TEST(WireReaderTest, ReadsNothingAfterAnError) {
  const std::string bytes = VarintField(1, 1) + VarintField(2, 2);
  WireReader in(bytes);
  ASSERT_TRUE(in.Next());
  in.Require(false);
  EXPECT_FALSE(in.ok());
  EXPECT_FALSE(in.Next());
  EXPECT_EQ(in.Varint(), 0u);
  EXPECT_EQ(in.Bytes(), "");
}

TEST(WireReaderTest, TextMustBeUtf8) {
  for (const auto& [text, valid] : {std::pair("plain", true), std::pair("\xff", false)}) {
    const std::string bytes = BytesField(1, text);
    WireReader in(bytes);
    ASSERT_TRUE(in.Next());
    EXPECT_EQ(in.Text(), valid ? text : "");
    EXPECT_EQ(in.ok(), valid);
  }
}

TEST(IsUtf8Test, TakesEveryLengthOfCharacter) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8(std::string_view("\0", 1)));
  EXPECT_TRUE(IsUtf8("aé€😀 and more than eight bytes of é"));
  EXPECT_TRUE(IsUtf8("\xf4\x8f\xbf\xbf"));
  EXPECT_TRUE(IsUtf8("\xed\x9f\xbf\xee\x80\x80"));
}

TEST(IsUtf8Test, RefusesWhatIsNotACharacter) {
  for (const char* text : {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf",
                           "\xed\xa0\x80", "\xed\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                           "\xe2\x82", "\xe2\x28\xa1", "\xf0\x9f\x98", "12345678\xff"}) {
    EXPECT_FALSE(IsUtf8(text)) << ToHex(text);
  }
}

TEST(IsPackedVarintsTest, FindsOverlongAndOpenVarintsAtEveryPosition) {
  for (size_t before = 0; before < 20; ++before) {
    for (size_t after = 0; after < 20; ++after) {
      const std::string head(before, '\x01');
      const std::string tail(after, '\x02');
      EXPECT_TRUE(IsPackedVarints(head + std::string(9, '\x80') + '\x01' + tail));
      EXPECT_FALSE(IsPackedVarints(head + std::string(10, '\x80') + '\x01' + tail));
      EXPECT_FALSE(IsPackedVarints(head + tail + '\x80'));
    }
  }
  EXPECT_TRUE(IsPackedVarints(""));
}

TEST(HasNoBitsTest, LooksAtEveryByte) {
  for (size_t size = 1; size < 200; ++size) {
    std::string bytes(size, '\x7f');
    EXPECT_TRUE(HasNoBits(bytes, 0x80));
    for (size_t i = 0; i < size; ++i) {
      bytes[i] = '\x80';
      ASSERT_FALSE(HasNoBits(bytes, 0x80)) << i << " of " << size;
      bytes[i] = '\x7f';
    }
  }
}

TEST(MapEntryTest, LastKeyCountsAndPiecesOfTheValueAreJoined) {
  const std::string bytes = BytesField(1, "first") + BytesField(2, "abc") + VarintField(1, 5) +
                            BytesField(1, "last") + BytesField(2, "de");
  WireReader in(bytes);
  const MapEntry entry = ReadMapEntry(in);
  ASSERT_TRUE(in.ok());
  EXPECT_EQ(entry.key, "last");
  ByteBuffer storage;
  EXPECT_EQ(entry.Value(&storage), "abcde");
  EXPECT_TRUE(storage);
}

TEST(MapEntryTest, OnePieceStaysWhereItIs) {
  const std::string bytes = BytesField(2, "abc");
  WireReader in(bytes);
  const MapEntry entry = ReadMapEntry(in);
  EXPECT_EQ(entry.key, "");
  ByteBuffer storage;
  EXPECT_EQ(entry.Value(&storage).data(), bytes.data() + 2);
  EXPECT_FALSE(storage);
}

}  // namespace
}  // namespace fastserve
