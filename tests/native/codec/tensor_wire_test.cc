#include "codec/tensor_wire.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/byte_chain.h"
#include "codec/wire_building.h"

namespace fastserve {
namespace {

constexpr int kFloat = 1, kDouble = 2, kInt32 = 3, kUint8 = 4, kInt16 = 5, kInt8 = 6, kString = 7,
              kComplex64 = 8, kInt64 = 9, kBool = 10, kUint16 = 17, kComplex128 = 18, kHalf = 19,
              kUint32 = 22, kUint64 = 23, kFloat8 = 24;

// A decoded tensor with the buffer that held its message.
struct Decoded {
  explicit Decoded(const std::string& proto)
      : owner(ByteBuffer::Copy(proto)), result(DecodeTensorProto(owner.view(), owner)) {}

  bool ok() const { return result.ok(); }
  bool IsBorrowed() const {
    return result->data.data() >= owner.data() &&
           result->data.data() + result->data.size() <= owner.data() + owner.size();
  }
  template <class T>
  std::vector<T> As() const {
    std::vector<T> values(result->data.size() / sizeof(T));
    std::copy(result->data.begin(), result->data.end(), reinterpret_cast<char*>(values.data()));
    return values;
  }
  std::vector<uint8_t> Bytes() const { return As<uint8_t>(); }
  std::vector<std::string> Strings() const {
    return {result->strings.begin(), result->strings.end()};
  }

  ByteBuffer owner;
  Result<HostTensor> result;
};

void ExpectParseError(const std::string& proto) {
  const Decoded tensor(proto);
  ASSERT_FALSE(tensor.ok()) << ToHex(proto);
  EXPECT_EQ(tensor.result.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(tensor.result.status().message(), "");
}

std::string Encode(const HostTensor& tensor, TensorEncoding encoding) {
  const TensorProtoWriter writer(tensor, encoding);
  EXPECT_TRUE(writer.can_write());
  ByteChain chain;
  writer.Write(&chain, nullptr);
  const std::string bytes = chain.Flatten();
  EXPECT_EQ(bytes.size(), writer.size());
  return bytes;
}

HostTensor TensorOf(DataType dtype, Dims dims, ByteView data) {
  HostTensor tensor;
  tensor.dtype = dtype;
  tensor.dims = dims;
  tensor.data = data;
  return tensor;
}

// Two elements of each dtype and the two forms in which TensorFlow 2.21 serializes them
// (Tensor::AsProtoField and AsProtoTensorContent).
struct Fixture {
  DataType dtype;
  const char* data;
  const char* typed;
  const char* content;
};

const Fixture kFixtures[] = {
    {DataType::kFloat, "05000000edecebea", "08011204120208022a0805000000edecebea",
     "0801120412020802220805000000edecebea"},
    {DataType::kDouble, "0500000000000000e9e8e7e6e5e4e3e2",
     "080212041202080232100500000000000000e9e8e7e6e5e4e3e2",
     "080212041202080222100500000000000000e9e8e7e6e5e4e3e2"},
    {DataType::kInt32, "05000000edecebea", "08031204120208023a0b05edd9afd7feffffffff01",
     "0803120412020802220805000000edecebea"},
    {DataType::kUint8, "05f0", "08041204120208023a0305f001", "0804120412020802220205f0"},
    {DataType::kInt16, "0500efee", "08051204120208023a0b05efddffffffffffffff01",
     "080512041202080222040500efee"},
    {DataType::kInt8, "05f0", "08061204120208023a0b05f0ffffffffffffffff01",
     "0806120412020802220205f0"},
    {DataType::kComplex64, "0500000000000000e9e8e7e6e5e4e3e2",
     "08081204120208024a100500000000000000e9e8e7e6e5e4e3e2",
     "080812041202080222100500000000000000e9e8e7e6e5e4e3e2"},
    {DataType::kInt64, "0500000000000000e9e8e7e6e5e4e3e2",
     "0809120412020802520b05e9d19fb7de9cf9f1e201",
     "080912041202080222100500000000000000e9e8e7e6e5e4e3e2"},
    {DataType::kBool, "0001", "080a1204120208025a020001", "080a12041202080222020001"},
    {DataType::kQint8, "05f0", "080b1204120208023a0b05f0ffffffffffffffff01",
     "080b120412020802220205f0"},
    {DataType::kQuint8, "05f0", "080c1204120208023a0305f001", "080c120412020802220205f0"},
    {DataType::kQint32, "05000000edecebea", "080d1204120208023a0b05edd9afd7feffffffff01",
     "080d120412020802220805000000edecebea"},
    {DataType::kBfloat16, "0500efee", "080e1204120208026a0405efdd03",
     "080e12041202080222040500efee"},
    {DataType::kQint16, "0500efee", "080f1204120208023a0b05efddffffffffffffff01",
     "080f12041202080222040500efee"},
    {DataType::kQuint16, "0500efee", "08101204120208023a0405efdd03",
     "081012041202080222040500efee"},
    {DataType::kUint16, "0500efee", "08111204120208023a0405efdd03", "081112041202080222040500efee"},
    {DataType::kComplex128, "05000000000000000000000000000000e1e0dfdedddcdbdad9d8d7d6d5d4d3d2",
     "0812120412020802622005000000000000000000000000000000e1e0dfdedddcdbdad9d8d7d6d5d4d3d2",
     "0812120412020802222005000000000000000000000000000000e1e0dfdedddcdbdad9d8d7d6d5d4d3d2"},
    {DataType::kHalf, "0500efee", "08131204120208026a0405efdd03", "081312041202080222040500efee"},
    {DataType::kUint32, "05000000edecebea", "081612041202080282010605edd9afd70e",
     "0816120412020802220805000000edecebea"},
    {DataType::kUint64, "0500000000000000e9e8e7e6e5e4e3e2",
     "08171204120208028a010b05e9d19fb7de9cf9f1e201",
     "081712041202080222100500000000000000e9e8e7e6e5e4e3e2"},
    {DataType::kFloat8E5m2, "05f0", "081812041202080292010205f0", "0818120412020802220205f0"},
    {DataType::kFloat8E4m3fn, "05f0", "081912041202080292010205f0", "0819120412020802220205f0"},
    {DataType::kFloat8E4m3fnuz, "05f0", "081a12041202080292010205f0", "081a120412020802220205f0"},
    {DataType::kFloat8E4m3b11fnuz, "05f0", "081b12041202080292010205f0",
     "081b120412020802220205f0"},
    {DataType::kFloat8E5m2fnuz, "05f0", "081c12041202080292010205f0", "081c120412020802220205f0"},
    {DataType::kInt4, "03f9", "081d1204120208023a0b03f9ffffffffffffffff01",
     "081d120412020802220203f9"},
    {DataType::kUint4, "030f", "081e1204120208023a02030f", "081e1204120208022202030f"},
    {DataType::kInt2, "01fe", "081f1204120208023a0b01feffffffffffffffff01",
     "081f120412020802220201fe"},
    {DataType::kUint2, "0103", "08201204120208023a020103", "082012041202080222020103"},
    {DataType::kFloat4E2m1fn, "05f0", "082112041202080292010205f0", "0821120412020802220205f0"},
};

TEST(TensorWireTest, WritesEveryDtypeInItsFieldAsTensorFlowDoes) {
  for (const Fixture& fixture : kFixtures) {
    const std::string data = FromHex(fixture.data);
    const HostTensor tensor = TensorOf(fixture.dtype, {2}, data);
    EXPECT_EQ(ToHex(Encode(tensor, TensorEncoding::kTypedFields)), fixture.typed)
        << DataTypeName(fixture.dtype);
  }
}

TEST(TensorWireTest, WritesEveryDtypeAsTensorContentAsTensorFlowDoes) {
  for (const Fixture& fixture : kFixtures) {
    const std::string data = FromHex(fixture.data);
    const HostTensor tensor = TensorOf(fixture.dtype, {2}, data);
    EXPECT_EQ(ToHex(Encode(tensor, TensorEncoding::kTensorContent)), fixture.content)
        << DataTypeName(fixture.dtype);
  }
}

TEST(TensorWireTest, ReadsBackWhatTensorFlowWritesOfEveryDtype) {
  for (const Fixture& fixture : kFixtures) {
    for (const char* proto : {fixture.typed, fixture.content}) {
      const Decoded tensor(FromHex(proto));
      ASSERT_TRUE(tensor.ok()) << proto;
      EXPECT_EQ(tensor.result->dtype, fixture.dtype);
      EXPECT_EQ(tensor.result->dims, Dims({2}));
      EXPECT_EQ(ToHex(tensor.result->data), fixture.data) << proto;
    }
  }
}

TEST(DecodeTensorProtoTest, BorrowsFromTheMessageWhereTheWireHasTheNativeLayout) {
  const std::string floats = Bits<float>({1, 2, 3});
  for (const std::string& proto :
       {TensorHead(kFloat, {3}) + BytesField(4, floats),
        TensorHead(kFloat, {3}) + BytesField(5, floats),
        TensorHead(kFloat, {2}) + BytesField(5, floats),  // more values than elements
        TensorHead(kComplex64, {1}) + BytesField(9, floats),
        TensorHead(kDouble, {2}) + BytesField(6, Bits<double>({1, 2})),
        TensorHead(kComplex128, {1}) + BytesField(12, Bits<double>({1, 2})),
        TensorHead(kBool, {3}) + BytesField(11, FromHex("010001")),
        TensorHead(kUint8, {3}) + BytesField(7, FromHex("01007f")),
        TensorHead(kFloat8, {2}) + BytesField(18, FromHex("8142"))}) {
    const Decoded tensor(proto);
    ASSERT_TRUE(tensor.ok()) << ToHex(proto);
    EXPECT_TRUE(tensor.IsBorrowed()) << ToHex(proto);
    EXPECT_EQ(tensor.result->owner.data(), tensor.owner.data());
  }
}

TEST(DecodeTensorProtoTest, DecodesIntoAlignedMemoryOfItsOwnOtherwise) {
  for (const std::string& proto :
       {TensorHead(kInt64, {3}) + BytesField(10, FromHex("010203")),
        TensorHead(kUint8, {2}) + BytesField(7, FromHex("01ff01")),
        TensorHead(kBool, {2}) + BytesField(11, FromHex("0102")),
        TensorHead(kFloat, {3}) + BytesField(5, Bits<float>({1, 2})), TensorHead(kFloat, {3})}) {
    const Decoded tensor(proto);
    ASSERT_TRUE(tensor.ok()) << ToHex(proto);
    EXPECT_FALSE(tensor.IsBorrowed()) << ToHex(proto);
    const HostTensor& host = *tensor.result;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(host.data.data()) % kTensorAlignment, 0u);
    EXPECT_EQ(host.data.data(), host.owner.data());
  }
}

TEST(DecodeTensorProtoTest, CopiesAMessageThatTheOwnerDoesNotHold) {
  std::string proto = TensorHead(kFloat, {1}) + BytesField(5, Bits<float>({7}));
  std::string strings = TensorHead(kString, {1}) + BytesField(8, "abc");
  const Result<HostTensor> tensor = DecodeTensorProto(proto, ByteBuffer());
  const Result<HostTensor> string = DecodeTensorProto(strings, ByteBuffer::Copy("another"));
  proto.assign(proto.size(), 'x');
  strings.assign(strings.size(), 'x');
  ASSERT_TRUE(tensor.ok() && string.ok());
  EXPECT_EQ(tensor->data, Bits<float>({7}));
  EXPECT_EQ(string->strings[0], "abc");
}

TEST(DecodeTensorProtoTest, RepeatsTheLastValueUpToTheShape) {
  EXPECT_EQ(Decoded(TensorHead(kFloat, {2, 3}) + BytesField(5, Bits<float>({1, 2}))).As<float>(),
            (std::vector<float>{1, 2, 2, 2, 2, 2}));
  EXPECT_EQ(Decoded(TensorHead(kInt16, {7}) + BytesField(7, Varint(5))).As<int16_t>(),
            std::vector<int16_t>(7, 5));
  EXPECT_EQ(Decoded(TensorHead(kFloat8, {3}) + BytesField(18, "a")).Bytes(),
            std::vector<uint8_t>(3, 'a'));
  EXPECT_EQ(Decoded(TensorHead(kString, {3}) + BytesField(8, "a") + BytesField(8, "b")).Strings(),
            (std::vector<std::string>{"a", "b", "b"}));
}

TEST(DecodeTensorProtoTest, RepeatsAWholeComplexNumberAndIgnoresAHalfOne) {
  const std::string values = Bits<float>({1, 2, 9});
  EXPECT_EQ(Decoded(TensorHead(kComplex64, {3}) + BytesField(9, values)).As<float>(),
            (std::vector<float>{1, 2, 1, 2, 1, 2}));
  EXPECT_EQ(Decoded(TensorHead(kComplex64, {1}) + BytesField(9, values)).As<float>(),
            (std::vector<float>{1, 2}));
  EXPECT_EQ(Decoded(TensorHead(kComplex64, {1}) + BytesField(9, Bits<float>({5}))).As<float>(),
            (std::vector<float>{0, 0}));
}

TEST(DecodeTensorProtoTest, IsZeroWithoutValues) {
  EXPECT_EQ(Decoded(TensorHead(kInt32, {2})).As<int32_t>(), (std::vector<int32_t>{0, 0}));
  EXPECT_EQ(Decoded(TensorHead(kBool, {2})).Bytes(), (std::vector<uint8_t>{0, 0}));
  EXPECT_EQ(Decoded(TensorHead(kString, {2})).Strings(), (std::vector<std::string>{"", ""}));
}

TEST(DecodeTensorProtoTest, IgnoresValuesInTheFieldOfAnotherDtype) {
  EXPECT_EQ(Decoded(TensorHead(kFloat, {2}) + BytesField(7, FromHex("0102"))).As<float>(),
            (std::vector<float>{0, 0}));
  EXPECT_EQ(Decoded(TensorHead(kFloat, {1}) + BytesField(6, Bits<double>({1}))).As<float>(),
            (std::vector<float>{0}));
}

TEST(DecodeTensorProtoTest, IgnoresValuesInExcess) {
  EXPECT_EQ(Decoded(TensorHead(kInt64, {2}) + BytesField(10, FromHex("010203"))).As<int64_t>(),
            (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(Decoded(TensorHead(kString, {1}) + BytesField(8, "a") + BytesField(8, "b")).Strings(),
            (std::vector<std::string>{"a"}));
}

TEST(DecodeTensorProtoTest, JoinsPackedAndSinglePieces) {
  const std::string floats = FromHex("2d") + Bits<float>({1}) + BytesField(5, Bits<float>({2, 3})) +
                             BytesField(5, "") + FromHex("2d") + Bits<float>({4});
  EXPECT_EQ(Decoded(TensorHead(kFloat, {4}) + floats).As<float>(),
            (std::vector<float>{1, 2, 3, 4}));
  const std::string ints =
      VarintField(10, 4) + BytesField(10, FromHex("0506")) + VarintField(10, UINT64_MAX);
  EXPECT_EQ(Decoded(TensorHead(kInt64, {4}) + ints).As<int64_t>(),
            (std::vector<int64_t>{4, 5, 6, -1}));
}

TEST(DecodeTensorProtoTest, TruncatesIntegersToTheirType) {
  const auto packed = [](uint64_t a, uint64_t b) { return BytesField(7, Varint(a) + Varint(b)); };
  const auto minus_one = static_cast<uint64_t>(-1);
  EXPECT_EQ(Decoded(TensorHead(kUint8, {2}) + packed(300, minus_one)).As<uint8_t>(),
            (std::vector<uint8_t>{44, 255}));
  EXPECT_EQ(Decoded(TensorHead(kInt8, {2}) + packed(200, 300)).As<int8_t>(),
            (std::vector<int8_t>{-56, 44}));
  EXPECT_EQ(Decoded(TensorHead(kUint16, {2}) + packed(minus_one, 65537)).As<uint16_t>(),
            (std::vector<uint16_t>{65535, 1}));
  EXPECT_EQ(Decoded(TensorHead(kInt32, {2}) + packed(uint64_t{1} << 32, minus_one)).As<int32_t>(),
            (std::vector<int32_t>{0, -1}));
  EXPECT_EQ(Decoded(TensorHead(kHalf, {1}) + BytesField(13, Varint(0x13c00))).As<uint16_t>(),
            (std::vector<uint16_t>{0x3c00}));
  EXPECT_EQ(Decoded(TensorHead(kUint32, {1}) + BytesField(16, Varint(minus_one))).As<uint32_t>(),
            (std::vector<uint32_t>{UINT32_MAX}));
}

TEST(DecodeTensorProtoTest, ReadsVarintsOfEveryLength) {
  std::string packed;
  std::vector<uint64_t> expected;
  for (int bits = 0; bits < 64; ++bits) {
    for (const uint64_t value : {(uint64_t{1} << bits) - 1, uint64_t{1} << bits}) {
      packed += Varint(value);
      expected.push_back(value);
    }
  }
  EXPECT_EQ(Decoded(TensorHead(kUint64, {128}) + BytesField(17, packed)).As<uint64_t>(), expected);
}

TEST(DecodeTensorProtoTest, AnyVarintButZeroIsTrue) {
  const std::string packed = FromHex("80808080802000027f808001");
  EXPECT_EQ(Decoded(TensorHead(kBool, {5}) + BytesField(11, packed)).Bytes(),
            (std::vector<uint8_t>{1, 0, 1, 1, 1}));
}

TEST(DecodeTensorProtoTest, TensorContentMustHaveTheExactSize) {
  const std::string floats = Bits<float>({1, 2, 3});
  ExpectParseError(TensorHead(kFloat, {2}) + BytesField(4, floats));
  ExpectParseError(TensorHead(kFloat, {3}) + BytesField(4, floats.substr(1)));
  ExpectParseError(TensorHead(kFloat, {4}) + BytesField(4, floats));
  // And wins over values.
  EXPECT_EQ(Decoded(TensorHead(kFloat, {1}) + BytesField(5, Bits<float>({9})) +
                    BytesField(4, Bits<float>({7})))
                .As<float>(),
            (std::vector<float>{7}));
}

TEST(DecodeTensorProtoTest, LastTensorContentCounts) {
  const std::string floats = Bits<float>({1});
  EXPECT_EQ(Decoded(TensorHead(kFloat, {1}) + BytesField(4, "longer") + BytesField(4, floats))
                .As<float>(),
            (std::vector<float>{1}));
}

TEST(DecodeTensorProtoTest, LastEmptyTensorContentGivesWayToValues) {
  const std::string floats = Bits<float>({1});
  EXPECT_EQ(Decoded(TensorHead(kFloat, {1}) + BytesField(4, Bits<float>({7})) + BytesField(4, "") +
                    BytesField(5, floats))
                .As<float>(),
            (std::vector<float>{1}));
}

TEST(DecodeTensorProtoTest, FieldsComeInAnyOrder) {
  const std::string content = BytesField(4, Bits<float>({1}));
  EXPECT_EQ(Decoded(content + TensorHead(kFloat, {1})).As<float>(), (std::vector<float>{1}));
  const std::string values = BytesField(5, Bits<float>({2}));
  EXPECT_EQ(Decoded(values + TensorHead(kFloat, {1})).As<float>(), (std::vector<float>{2}));
}

TEST(DecodeTensorProtoTest, BoolContentHoldsOnlyZeroAndOne) {
  ExpectParseError(TensorHead(kBool, {2}) + BytesField(4, FromHex("0200")));
  EXPECT_TRUE(Decoded(TensorHead(kBool, {2}) + BytesField(4, FromHex("0100"))).ok());
}

TEST(DecodeTensorProtoTest, StringContentIsAllLengthsThenAllBytes) {
  const auto with = [](int64_t count, const std::string& content) {
    return TensorHead(kString, {count}) + BytesField(4, content);
  };
  EXPECT_EQ(Decoded(with(3, FromHex("01000361ff0062"))).Strings(),
            (std::vector<std::string>{"a", "", std::string("\xff\0b", 3)}));
  EXPECT_EQ(Decoded(with(1, FromHex("8380808010") + "abc")).Strings(),  // bits beyond 32 drop
            (std::vector<std::string>{"abc"}));
  ExpectParseError(with(3, FromHex("01000361ff00")));          // a byte is missing
  ExpectParseError(with(1, FromHex("01616263")));              // bytes are left over
  ExpectParseError(with(3, FromHex("0000")));                  // a length is missing
  ExpectParseError(with(1, FromHex("838080808000") + "abc"));  // a length of six bytes
  ExpectParseError(with(1, FromHex("80")));                    // half a length
  ExpectParseError(with(int64_t{1} << 27, FromHex("0361")));   // nothing is allocated
}

TEST(DecodeTensorProtoTest, EmptyTensorIgnoresItsValues) {
  for (const std::string& values :
       {std::string(), BytesField(4, "abc"), BytesField(5, Bits<float>({1}))}) {
    const Decoded tensor(TensorHead(kFloat, {0, 3}) + values);
    ASSERT_TRUE(tensor.ok());
    EXPECT_EQ(tensor.result->dims, Dims({0, 3}));
    EXPECT_TRUE(tensor.result->data.empty());
  }
  EXPECT_TRUE(Decoded(TensorHead(kString, {0})).result->strings.empty());
}

TEST(DecodeTensorProtoTest, ShapeThatIsMissingOrOfUnknownRankIsAScalars) {
  const std::string values = BytesField(5, Bits<float>({7, 8}));
  for (const std::string& shape : {std::string(), BytesField(2, ""), FromHex("12021801")}) {
    const Decoded tensor(VarintField(1, kFloat) + shape + values);
    ASSERT_TRUE(tensor.ok());
    EXPECT_TRUE(tensor.result->dims.empty());
    EXPECT_EQ(tensor.As<float>(), (std::vector<float>{7}));
  }
}

TEST(DecodeTensorProtoTest, UnknownRankBesideDimsChangesNothing) {
  const Decoded tensor(VarintField(1, kFloat) + FromHex("1206120208021801"));
  EXPECT_EQ(tensor.result->dims, Dims({2}));
}

TEST(DecodeTensorProtoTest, ShapeThatComesTwiceIsMerged) {
  const Decoded tensor(TensorHead(kFloat, {2}) + TensorHead(kFloat, {3}));
  EXPECT_EQ(tensor.result->dims, Dims({2, 3}));
}

TEST(DecodeTensorProtoTest, RefusesShapesThatAreNone) {
  const int64_t huge = int64_t{1} << 40;
  ExpectParseError(TensorHead(kFloat, {-1}));
  ExpectParseError(TensorHead(kFloat, {std::numeric_limits<int64_t>::min()}));
  ExpectParseError(TensorHead(kFloat, {-2, -2}));
  ExpectParseError(TensorHead(kFloat, {huge, huge}));
  ExpectParseError(TensorHead(kFloat, {huge, huge, 0}));
  EXPECT_TRUE(Decoded(TensorHead(kFloat, {0, huge, huge})).ok());
}

TEST(DecodeTensorProtoTest, RankEndsAt254) {
  const auto of_rank = [](int rank) {
    std::string shape;
    for (int i = 0; i < rank; ++i) shape += FromHex("12020801");
    return VarintField(1, kFloat) + BytesField(2, shape);
  };
  const Decoded highest(of_rank(254));
  ASSERT_TRUE(highest.ok());
  EXPECT_EQ(highest.result->dims.size(), 254u);
  ExpectParseError(of_rank(255));
}

TEST(DecodeTensorProtoTest, RefusesUnknownDtypes) {
  for (const int64_t dtype : {0, 34, 99, 101, 121, 999, -1}) {
    ExpectParseError(TensorHead(static_cast<int>(dtype), {1}));
    ExpectParseError(TensorHead(static_cast<int>(dtype), {0}));
  }
  ExpectParseError("");
  EXPECT_TRUE(Decoded(VarintField(1, (uint64_t{1} << 32) + kFloat)).ok());  // 32 bits count
}

TEST(DecodeTensorProtoTest, ResourcesAndVariantsHaveDimsAndNoData) {
  for (const int dtype : {20, 21}) {
    const Decoded tensor(TensorHead(dtype, {2}));
    ASSERT_TRUE(tensor.ok());
    EXPECT_EQ(tensor.result->dims, Dims({2}));
    EXPECT_TRUE(tensor.result->data.empty());
    EXPECT_TRUE(tensor.result->strings.empty());
  }
}

TEST(DecodeTensorProtoTest, FewBytesCannotClaimMoreMemoryThanTheLimit) {
  ExpectParseError(TensorHead(kFloat, {(int64_t{1} << 29) + 1}));
  ExpectParseError(TensorHead(kFloat, {int64_t{1} << 62}));
  ExpectParseError(TensorHead(kComplex128, {std::numeric_limits<int64_t>::max()}));
  ExpectParseError(TensorHead(kString, {int64_t{1} << 40}));
  ExpectParseError(TensorHead(21, {int64_t{1} << 40}));
}

TEST(DecodeTensorProtoTest, RefusesBrokenWireAnywhere) {
  const std::string proto = TensorHead(kInt64, {2}) + BytesField(10, FromHex("ac02ac02"));
  ASSERT_TRUE(Decoded(proto).ok());
  ExpectParseError(proto + FromHex("0a"));
  ExpectParseError(TensorHead(kInt64, {2}) + BytesField(10, FromHex("ac02ac")));
  ExpectParseError(TensorHead(kInt64, {2}) + BytesField(2, FromHex("1205")));
  ExpectParseError(TensorHead(kInt64, {2}) + BytesField(2, BytesField(2, FromHex("08"))));
}

TEST(TensorProtoWriterTest, ScalarHasAnEmptyShape) {
  const std::string data = Bits<float>({7});
  EXPECT_EQ(ToHex(Encode(TensorOf(DataType::kFloat, {}, data), TensorEncoding::kTypedFields)),
            "080112002a040000e040");
}

TEST(TensorProtoWriterTest, EmptyTensorHasNoValues) {
  for (const TensorEncoding encoding :
       {TensorEncoding::kTypedFields, TensorEncoding::kTensorContent}) {
    EXPECT_EQ(ToHex(Encode(TensorOf(DataType::kFloat, {0, 3}, {}), encoding)),
              "080112061200"
              "12020803");
    EXPECT_EQ(ToHex(Encode(TensorOf(DataType::kString, {0}, {}), encoding)), "080712021200");
    EXPECT_EQ(ToHex(Encode(TensorOf(DataType::kInt8, {0}, {}), encoding)), "080612021200");
    EXPECT_EQ(ToHex(Encode(TensorOf(DataType::kFloat8E5m2, {0}, {}), encoding)), "081812021200");
  }
}

TEST(TensorProtoWriterTest, StringsAreFieldsOrLengthsThenBytes) {
  HostTensor tensor = TensorOf(DataType::kString, {3}, {});
  const std::string large(200, 'x');
  tensor.strings = {"a", "", large};
  EXPECT_EQ(
      Encode(tensor, TensorEncoding::kTypedFields),
      TensorHead(kString, {3}) + BytesField(8, "a") + BytesField(8, "") + BytesField(8, large));
  EXPECT_EQ(Encode(tensor, TensorEncoding::kTensorContent),
            TensorHead(kString, {3}) + BytesField(4, FromHex("0100c801") + "a" + large));
}

TEST(TensorProtoWriterTest, BoolsAreZeroOrOneWhateverTheMemoryHolds) {
  EXPECT_EQ(ToHex(Encode(TensorOf(DataType::kBool, {3}, FromHex("8000ff")),
                         TensorEncoding::kTypedFields)),
            "080a1204120208035a03010001");
}

TEST(TensorProtoWriterTest, WritesVarintsOfEveryLength) {
  std::string data, packed;
  for (int bits = 0; bits < 64; ++bits) {
    for (const uint64_t value : {(uint64_t{1} << bits) - 1, uint64_t{1} << bits}) {
      data += Bits<uint64_t>({value});
      packed += Varint(value);
    }
  }
  EXPECT_EQ(Encode(TensorOf(DataType::kUint64, {128}, data), TensorEncoding::kTypedFields),
            TensorHead(kUint64, {128}) + BytesField(17, packed));
}

TEST(TensorProtoWriterTest, BorrowsLargeDataThatNeedsNoRecoding) {
  const auto small_bytes = std::make_shared<const std::string>(8192, '\x01');
  for (const DataType dtype : {DataType::kFloat, DataType::kDouble, DataType::kComplex128,
                               DataType::kBool, DataType::kUint8, DataType::kFloat8E4m3fn}) {
    const auto count = static_cast<int64_t>(8192 / ElementSize(dtype));
    const HostTensor tensor = TensorOf(dtype, {count}, *small_bytes);
    const TensorProtoWriter writer(tensor, TensorEncoding::kTypedFields);
    ByteChain chain;
    writer.Write(&chain, small_bytes);
    const auto slices = chain.Slices();
    ASSERT_EQ(slices.size(), 2u) << DataTypeName(dtype);
    EXPECT_EQ(slices[1].bytes.data(), small_bytes->data());
    EXPECT_EQ(slices[1].owner, small_bytes);
    EXPECT_EQ(chain.size(), writer.size());
  }
}

TEST(TensorProtoWriterTest, BorrowsLargeStrings) {
  const auto large = std::make_shared<const std::string>(5000, 's');
  HostTensor tensor = TensorOf(DataType::kString, {2}, {});
  tensor.strings = {*large, "small"};
  const TensorProtoWriter writer(tensor, TensorEncoding::kTypedFields);
  ByteChain chain;
  writer.Write(&chain, large);
  const auto slices = chain.Slices();
  ASSERT_EQ(slices.size(), 3u);
  EXPECT_EQ(slices[1].bytes.data(), large->data());
  EXPECT_EQ(slices[2].bytes, BytesField(8, "small"));
}

TEST(TensorProtoWriterTest, CannotWriteWhatHasNoElements) {
  for (const DataType dtype : {DataType::kInvalid, DataType::kResource, DataType::kVariant,
                               static_cast<DataType>(99), static_cast<DataType>(101)}) {
    for (const TensorEncoding encoding :
         {TensorEncoding::kTypedFields, TensorEncoding::kTensorContent}) {
      const HostTensor tensor = TensorOf(dtype, {1}, {});
      EXPECT_FALSE(TensorProtoWriter(tensor, encoding).can_write()) << DataTypeName(dtype);
    }
  }
}

}  // namespace
}  // namespace fastserve
