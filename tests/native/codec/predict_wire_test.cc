#include "codec/predict_wire.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "codec/wire_building.h"

namespace fastserve {
namespace {

std::string FloatTensor(std::initializer_list<float> values) {
  return TensorHead(1, {static_cast<int64_t>(values.size())}) + BytesField(5, Bits<float>(values));
}

std::string ModelSpec(const std::string& fields) { return BytesField(1, fields); }
std::string Version(const std::string& fields) { return BytesField(2, fields); }
std::string Label(const std::string& label) { return BytesField(4, label); }

// The request's bytes stay where they are while its view is looked at.
struct Parsed {
  explicit Parsed(std::string message)
      : bytes(std::move(message)), result(ParsePredictRequest(bytes)) {}

  bool ok() const { return result.ok(); }
  const PredictRequestView& view() const { return *result; }
  const ModelSpecView& spec() const { return view().model_spec; }

  std::string bytes;
  Result<PredictRequestView> result;
};

void ExpectInternal(const std::string& message, const std::string& what) {
  const Parsed parsed(message);
  ASSERT_FALSE(parsed.ok()) << what;
  EXPECT_EQ(parsed.result.status().code(), StatusCode::kInternal) << what;
  EXPECT_EQ(parsed.result.status().message(), "") << what;
}

struct Recorded {
  const char* what;
  const char* hex;
};

TEST(ParsePredictRequestTest, ReadsEveryField) {
  const Parsed parsed(
      ModelSpec(BytesField(1, "model") + Version(VarintField(1, 7)) + BytesField(3, "signature")) +
      MapEntryField(2, "x", FloatTensor({1})) + BytesField(3, "scores") + BytesField(3, "classes") +
      BytesField(5, VarintField(1, 1)) + BytesField(6, "client \xff") +
      BytesField(7, BytesField(4, Varint(300))));
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(parsed.view().has_model_spec);
  EXPECT_EQ(parsed.spec().name, "model");
  EXPECT_EQ(parsed.spec().version, 7);
  EXPECT_EQ(parsed.spec().version_label, std::nullopt);
  EXPECT_EQ(parsed.spec().signature_name, "signature");
  ASSERT_EQ(parsed.view().inputs.size(), 1u);
  EXPECT_EQ(parsed.view().inputs[0].first, "x");
  EXPECT_EQ(parsed.view().inputs[0].second, FloatTensor({1}));
  EXPECT_EQ(parsed.view().output_filter, (PooledVector<std::string_view>{"scores", "classes"}));
}

TEST(ParsePredictRequestTest, ViewsBorrowFromTheMessage) {
  const Parsed parsed(MapEntryField(2, "x", FloatTensor({1})));
  const ByteView value = parsed.view().inputs[0].second;
  EXPECT_GE(value.data(), parsed.bytes.data());
  EXPECT_LE(value.data() + value.size(), parsed.bytes.data() + parsed.bytes.size());
  EXPECT_TRUE(parsed.view().joined.empty());
}

TEST(ParsePredictRequestTest, EmptyMessageHasNothing) {
  const Parsed parsed("");
  ASSERT_TRUE(parsed.ok());
  EXPECT_FALSE(parsed.view().has_model_spec);
  EXPECT_TRUE(parsed.view().inputs.empty());
}

TEST(ParsePredictRequestTest, EmptyModelSpecIsPresent) {
  EXPECT_TRUE(Parsed(ModelSpec("")).view().has_model_spec);
}

TEST(ParsePredictRequestTest, VersionZeroIsAVersion) {
  EXPECT_EQ(Parsed(ModelSpec(Version(""))).spec().version, 0);
  EXPECT_EQ(Parsed(ModelSpec(Version(VarintField(1, 0)))).spec().version, 0);
  EXPECT_EQ(Parsed(ModelSpec("")).spec().version, std::nullopt);
}

TEST(ParsePredictRequestTest, LastOfVersionAndLabelCounts) {
  const Parsed label(ModelSpec(Version(VarintField(1, 5)) + Label("stable")));
  EXPECT_EQ(label.spec().version, std::nullopt);
  EXPECT_EQ(label.spec().version_label, "stable");
  const Parsed version(ModelSpec(Label("stable") + Version(VarintField(1, 5))));
  EXPECT_EQ(version.spec().version, 5);
  EXPECT_EQ(version.spec().version_label, std::nullopt);
  EXPECT_EQ(Parsed(ModelSpec(Label(""))).spec().version_label, "");
}

TEST(ParsePredictRequestTest, VersionThatComesTwiceIsMerged) {
  EXPECT_EQ(Parsed(ModelSpec(Version(VarintField(1, 5)) + Version(""))).spec().version, 5);
  const Parsed replaced(ModelSpec(Version(VarintField(1, 5)) + Label("a") + Version("")));
  EXPECT_EQ(replaced.spec().version, 0);
}

TEST(ParsePredictRequestTest, ModelSpecThatComesTwiceIsMerged) {
  const Parsed parsed(ModelSpec(BytesField(1, "old") + BytesField(3, "kept")) +
                      ModelSpec(BytesField(1, "new") + Version(VarintField(1, 2))));
  EXPECT_EQ(parsed.spec().name, "new");
  EXPECT_EQ(parsed.spec().signature_name, "kept");
  EXPECT_EQ(parsed.spec().version, 2);
}

TEST(ParsePredictRequestTest, InputsAreSortedAndTheLastOfAnAliasCounts) {
  const Parsed parsed(MapEntryField(2, "b", FloatTensor({1})) +
                      MapEntryField(2, "a", FloatTensor({2})) +
                      MapEntryField(2, "b", FloatTensor({3})));
  ASSERT_EQ(parsed.view().inputs.size(), 2u);
  EXPECT_EQ(parsed.view().inputs[0],
            std::pair(std::string_view("a"),
                      ByteView(parsed.bytes).substr(parsed.bytes.find(FloatTensor({2})), 14)));
  EXPECT_EQ(parsed.view().inputs[1].second, FloatTensor({3}));
}

TEST(ParsePredictRequestTest, InputWithoutKeyOrValueHasEmptyOnes) {
  const Parsed parsed(BytesField(2, ""));
  ASSERT_EQ(parsed.view().inputs.size(), 1u);
  EXPECT_EQ(parsed.view().inputs[0].first, "");
  EXPECT_EQ(parsed.view().inputs[0].second, "");
}

TEST(ParsePredictRequestTest, ValueInTwoPiecesIsMerged) {
  const std::string values = BytesField(5, Bits<float>({1, 2}));
  const Parsed parsed(BytesField(
      2, BytesField(1, "x") + BytesField(2, TensorHead(1, {2})) + BytesField(2, values)));
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed.view().inputs[0].second, TensorHead(1, {2}) + values);
  const ByteBuffer request = ByteBuffer::Copy(parsed.bytes);
  const Result<HostTensor> tensor = DecodeTensorProto(parsed.view().inputs[0].second, request);
  ASSERT_TRUE(tensor.ok());
  EXPECT_EQ(tensor->data, Bits<float>({1, 2}));
}

TEST(ParsePredictRequestTest, KnownFieldsOfAnotherWireTypeAreSkipped) {
  for (uint32_t field = 1; field < 20; ++field) {
    const Parsed parsed(VarintField(field, 5) + Varint(field << 3 | 5) + "1234" +
                        Varint(field << 3 | 1) + "12345678" +
                        BytesField(2, BytesField(2, VarintField(field, 1))) +
                        ModelSpec(VarintField(field, 1)));
    EXPECT_TRUE(parsed.ok()) << field;
  }
}

// Messages that were sent to TensorFlow Serving, and whether it parsed them.
TEST(ParsePredictRequestTest, RefusesWhatTensorFlowServingRefused) {
  const Recorded cases[] = {
      {"16 zero bytes", "00000000000000000000000000000000"},
      {"JSON", "7b22696e7374616e636573223a205b312e305d7d"},
      {"one byte short",
       "0a0b0a0968616c665f706c7573121b0a017812160801120812020802120208012a080000803f000000"},
      {"a tag and nothing after it",
       "0a0b0a0968616c665f706c7573121b0a017812160801120812020802120208012a080000803f00000040"
       "0a"},
      {"a length beyond the end", "0a7f616263"},
      {"a group that does not end",
       "0a0b0a0968616c665f706c7573121b0a017812160801120812020802120208012a080000803f00000040"
       "fb3f0801"},
      {"an end of no group",
       "0a0b0a0968616c665f706c7573121b0a017812160801120812020802120208012a080000803f00000040"
       "fc3f"},
      {"field number 0",
       "0a0b0a0968616c665f706c7573121b0a017812160801120812020802120208012a080000803f00000040"
       "0001"},
      {"a broken model_spec", "0a040a106162"},
      {"a broken tensor", "0a0b0a0968616c665f706c7573120a0a017812050a05616263"},
      {"packed floats of 5 bytes",
       "0a0b0a0968616c665f706c757312140a0178120f08011204120208012a056162636465"},
      {"an input name that is not UTF-8",
       "0a0b0a0968616c665f706c757312130a01ff120e08011204120208012a040000803f"},
      {"a signature name that is not UTF-8",
       "0a0b0a0968616c665f706c7573121b0a017812160801120812020802120208012a080000803f00000040"
       "0a031a01ff"},
  };
  for (const Recorded& recorded : cases) ExpectInternal(FromHex(recorded.hex), recorded.what);
}

TEST(ParsePredictRequestTest, TakesWhatTensorFlowServingTook) {
  const Recorded cases[] = {
      {"an unknown varint field",
       "0a0b0a0968616c665f706c7573121b0a017812160801120812020802120208012a080000803f00000040"
       "f83f05"},
      {"an unknown fixed32 field",
       "0a0b0a0968616c665f706c7573121b0a017812160801120812020802120208012a080000803f00000040"
       "fd3f01020304"},
      {"an unknown group",
       "0a0b0a0968616c665f706c7573121b0a017812160801120812020802120208012a080000803f00000040"
       "fb3f0801fc3f"},
      {"model_spec as a varint",
       "08010a0b0a0968616c665f706c7573121b0a017812160801120812020802120208012a080000803f0000"
       "0040"},
      {"an input without value", "0a0b0a0968616c665f706c757312030a0178"},
      {"one input twice: the last counts",
       "0a0b0a0968616c665f706c7573121b0a017812160801120812020802120208012a080000803f00000040"
       "12170a017812120801120812020801120208012a0400001041"},
      {"a tag in more bytes than it needs",
       "8a80000b0a0968616c665f706c7573121b0a017812160801120812020802120208012a080000803f0000"
       "0040"},
  };
  for (const Recorded& recorded : cases) {
    const Parsed parsed(FromHex(recorded.hex));
    ASSERT_TRUE(parsed.ok()) << recorded.what;
    EXPECT_EQ(parsed.spec().name, "half_plus") << recorded.what;
  }
}

TEST(ParsePredictRequestTest, RefusesBrokenMessagesDeepInside) {
  const auto tensor = [](const std::string& bytes) { return MapEntryField(2, "x", bytes); };
  ExpectInternal(tensor(BytesField(2, BytesField(2, FromHex("08")))), "dim");
  ExpectInternal(tensor(BytesField(2, BytesField(2, BytesField(2, "\xff")))), "dim name");
  ExpectInternal(tensor(BytesField(6, "1234567")), "doubles");
  ExpectInternal(tensor(BytesField(7, FromHex("8080"))), "varints");
  ExpectInternal(tensor(BytesField(10, std::string(10, '\x80') + '\1')), "a varint too long");
  ExpectInternal(tensor(BytesField(14, BytesField(1, "\xff"))), "device of a resource");
  ExpectInternal(tensor(BytesField(14, BytesField(6, BytesField(2, FromHex("12"))))), "its shape");
  ExpectInternal(tensor(BytesField(15, BytesField(1, "\xff"))), "type of a variant");
  ExpectInternal(tensor(BytesField(15, BytesField(3, FromHex("0a05")))), "tensor of a variant");
  ExpectInternal(BytesField(3, "\xff"), "output filter");
  ExpectInternal(BytesField(5, BytesField(2, BytesField(1, "\xff"))), "split dimension");
  ExpectInternal(BytesField(7, BytesField(4, FromHex("80"))), "stop tokens");
  ExpectInternal(ModelSpec(Version(FromHex("08"))), "version");
}

TEST(ParsePredictRequestTest, TakesAnyBytesWhereNoTextIsAskedFor) {
  const Parsed parsed(MapEntryField(2, "x", BytesField(8, "\xff") + BytesField(4, "\xff")) +
                      BytesField(6, "\xff") + BytesField(4, "\xff") +
                      BytesField(2, BytesField(2, BytesField(15, BytesField(2, "\xff")))));
  EXPECT_TRUE(parsed.ok());
}

TEST(ParsePredictRequestTest, NestedTensorsEndAtAHundredMessages) {
  const auto nested = [](int variants) {
    std::string tensor;
    for (int i = 0; i < variants; ++i) tensor = BytesField(15, BytesField(3, tensor));
    return MapEntryField(2, "x", tensor);
  };
  EXPECT_TRUE(Parsed(nested(49)).ok());
  ExpectInternal(nested(50), "an entry, a tensor, and two for each variant");
}

TEST(ParsePredictRequestTest, EveryCutIsRefusedOrHasWholeFields) {
  const std::string whole = ModelSpec(BytesField(1, "model")) +
                            MapEntryField(2, "x", FloatTensor({1, 2})) + BytesField(3, "y");
  const size_t spec = ModelSpec(BytesField(1, "model")).size();
  const size_t input = spec + MapEntryField(2, "x", FloatTensor({1, 2})).size();
  for (size_t size = 0; size < whole.size(); ++size) {
    const bool between_fields = size == 0 || size == spec || size == input;
    EXPECT_EQ(Parsed(whole.substr(0, size)).ok(), between_fields) << size;
  }
}

// The offset of `payload` in the message, which is asked for with the first bytes of it only.
void ExpectPayload(const std::string& message, const std::string& payload, size_t head) {
  EXPECT_EQ(PayloadOffset(ByteView(message).substr(0, head), message.size()), message.find(payload))
      << "head of " << head;
}

TEST(PayloadOffsetTest, FindsThePayloadOfEveryFieldThatIsUsedInPlace) {
  const std::string payload(64, 'p');
  for (const uint32_t field : {4, 5, 6, 9, 11, 12, 18}) {
    const std::string message =
        ModelSpec(BytesField(1, "model")) +
        MapEntryField(2, "x", TensorHead(1, {16}) + BytesField(field, payload));
    ExpectPayload(message, payload, message.size());
  }
}

TEST(PayloadOffsetTest, NeedsOnlyTheBytesBeforeThePayload) {
  const std::string payload(100000, 'p');
  const std::string message =
      ModelSpec(BytesField(1, "model")) +
      MapEntryField(2, "x", TensorHead(1, {25000}) + BytesField(5, payload));
  const size_t offset = message.find(payload);
  ExpectPayload(message, payload, offset);
  ExpectPayload(message, payload, offset + 10);
  EXPECT_EQ(PayloadOffset(ByteView(message).substr(0, offset - 1), message.size()), 0u);
}

TEST(PayloadOffsetTest, TakesTheFirstOfLargePayloads) {
  const std::string first(5000, '1'), second(9000, '2');
  const std::string message =
      MapEntryField(2, "a", BytesField(5, first)) + MapEntryField(2, "b", BytesField(5, second));
  ExpectPayload(message, first, message.size());
}

TEST(PayloadOffsetTest, PrefersALargePayloadToASmallOneBefore) {
  const std::string small(8, '1'), large(5000, '2');
  const std::string message = MapEntryField(2, "a", BytesField(5, small)) + BytesField(3, "y") +
                              MapEntryField(2, "b", BytesField(4, large));
  ExpectPayload(message, large, 200);
  ExpectPayload(message, small, 20);
}

TEST(PayloadOffsetTest, IsZeroWithoutPayload) {
  EXPECT_EQ(PayloadOffset("", 0), 0u);
  EXPECT_EQ(PayloadOffset("", 1000), 0u);
  const std::string strings = MapEntryField(2, "x", TensorHead(7, {1}) + BytesField(8, "text"));
  EXPECT_EQ(PayloadOffset(strings, strings.size()), 0u);
}

TEST(PayloadOffsetTest, StaysWithinTheMessageForAnyBytes) {
  const std::string payload(40, 'p');
  const std::string message =
      MapEntryField(2, "x", TensorHead(1, {10}) + BytesField(5, payload)) + BytesField(3, "y");
  for (size_t at = 0; at < message.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string broken = message;
      broken[at] = static_cast<char>(byte);
      for (const size_t head : {size_t{7}, size_t{20}, broken.size()}) {
        ASSERT_LE(PayloadOffset(ByteView(broken).substr(0, head), broken.size()), broken.size());
      }
    }
  }
}

HostTensor OneFloat(ByteView data) {
  HostTensor tensor;
  tensor.dtype = DataType::kFloat;
  tensor.dims = {1};
  tensor.data = data;
  return tensor;
}

TEST(PredictResponseWriterTest, WritesWhatTensorFlowServingAnswers) {
  const std::string data = FromHex("0000c03f000010c0c2160100");
  HostTensor tensor = OneFloat(data);
  tensor.dims = {3};
  ByteChain chain;
  PredictResponseWriter writer(chain, TensorEncoding::kTypedFields);
  ASSERT_TRUE(writer.AddOutput("y", tensor, nullptr).ok());
  writer.AddModelSpec("identity", 1, "float");
  // As recorded.
  EXPECT_EQ(ToHex(chain.Flatten()),
            "0a1b0a017912160801120412020803"
            "2a0c0000c03f000010c0c2160100"
            "12150a086964656e74697479120208011a05666c6f6174");
}

TEST(PredictResponseWriterTest, WritesTensorContentWhenAsked) {
  const std::string data = Bits<float>({7});
  ByteChain chain;
  PredictResponseWriter writer(chain, TensorEncoding::kTensorContent);
  ASSERT_TRUE(writer.AddOutput("y", OneFloat(data), nullptr).ok());
  EXPECT_EQ(chain.Flatten(), MapEntryField(1, "y", TensorHead(1, {1}) + BytesField(4, data)));
}

TEST(PredictResponseWriterTest, WritesOutputsOneAfterTheOther) {
  const std::string data = Bits<float>({7});
  const std::string tensor = TensorHead(1, {1}) + BytesField(5, data);
  const std::string long_alias(300, 'a');
  ByteChain chain;
  PredictResponseWriter writer(chain, TensorEncoding::kTypedFields);
  ASSERT_TRUE(writer.AddOutput(long_alias, OneFloat(data), nullptr).ok());
  ASSERT_TRUE(writer.AddOutput("", OneFloat(data), nullptr).ok());
  EXPECT_EQ(chain.Flatten(), MapEntryField(1, long_alias, tensor) + MapEntryField(1, "", tensor));
}

TEST(PredictResponseWriterTest, LengthsCountBorrowedBytes) {
  const auto data = std::make_shared<const std::string>(400000, 'f');
  HostTensor tensor = OneFloat(*data);
  tensor.dims = {100000};
  ByteChain chain;
  PredictResponseWriter writer(chain, TensorEncoding::kTypedFields);
  ASSERT_TRUE(writer.AddOutput("y", tensor, data).ok());
  EXPECT_EQ(chain.Slices()[1].bytes.data(), data->data());
  EXPECT_EQ(chain.Flatten(), MapEntryField(1, "y", TensorHead(1, {100000}) + BytesField(5, *data)));
}

TEST(PredictResponseWriterTest, ModelSpecLeavesOutEmptyTextsButNotTheVersion) {
  const auto spec = [](std::string_view name, int64_t version, std::string_view signature) {
    ByteChain chain;
    PredictResponseWriter(chain, TensorEncoding::kTypedFields)
        .AddModelSpec(name, version, signature);
    return ToHex(chain.Flatten());
  };
  EXPECT_EQ(spec("", 0, ""), "12021200");
  EXPECT_EQ(spec("m", 0, "s"), "12080a016d12001a0173");
  EXPECT_EQ(spec("m", 20260101, ""), "120a0a016d12050885cad409");
  EXPECT_EQ(spec("", -1, ""), "120d120b08ffffffffffffffffff01");
}

TEST(PredictResponseWriterTest, RefusesADtypeWithoutElementsAndWritesNothing) {
  HostTensor tensor = OneFloat({});
  tensor.dtype = DataType::kVariant;
  ByteChain chain;
  PredictResponseWriter writer(chain, TensorEncoding::kTypedFields);
  const Status status = writer.AddOutput("y", tensor, nullptr);
  EXPECT_EQ(status.code(), StatusCode::kInternal);
  EXPECT_EQ(status.message(), "Cannot write output \"y\" of dtype variant");
  EXPECT_TRUE(chain.empty());
}

}  // namespace
}  // namespace fastserve
