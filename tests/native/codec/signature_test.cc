#include "codec/signature.h"

#include <gtest/gtest.h>

#include <string>

#include "codec/wire_building.h"

namespace fastserve {
namespace {

constexpr uint32_t kInputs = 1, kOutputs = 2, kDefaults = 4;

std::string Shape(std::initializer_list<int64_t> dims) {
  std::string shape;
  for (const int64_t size : dims) {
    shape += BytesField(2, VarintField(1, static_cast<uint64_t>(size)));
  }
  return shape;
}

std::string Info(const std::string& name, int dtype, const std::string& shape) {
  return BytesField(1, name) + VarintField(2, static_cast<uint64_t>(dtype)) + BytesField(3, shape);
}

std::string SignatureEntry(uint32_t field, const std::string& name, const std::string& signature) {
  return MapEntryField(field, name, signature);
}

MetaGraphSignatures Parse(const std::string& meta_graph) {
  Result<MetaGraphSignatures> parsed = ParseMetaGraphSignatures(meta_graph);
  EXPECT_TRUE(parsed.ok());
  return parsed.ok() ? *std::move(parsed) : MetaGraphSignatures();
}

Signature ParseOne(const std::string& signature) {
  return Parse(SignatureEntry(5, "s", signature)).signatures["s"];
}

TEST(SignatureTest, ReadsInputsOutputsMethodAndDefaults) {
  const std::string preset = TensorHead(1, {}) + BytesField(5, Bits<float>({2}));
  const Signature signature =
      ParseOne(MapEntryField(kInputs, "y", Info("y:0", 9, Shape({-1, 3}))) +
               MapEntryField(kInputs, "x", Info("x:0", 1, Shape({}))) +
               MapEntryField(kOutputs, "scores", Info("softmax:0", 2, Shape({-1, 0}))) +
               BytesField(3, "tensorflow/serving/predict") + MapEntryField(kDefaults, "x", preset));
  EXPECT_EQ(signature.name, "s");
  EXPECT_EQ(signature.method_name, "tensorflow/serving/predict");
  ASSERT_EQ(signature.inputs.size(), 2u);
  EXPECT_EQ(signature.inputs[0].alias, "x");
  EXPECT_EQ(signature.inputs[0].tensor_name, "x:0");
  EXPECT_EQ(signature.inputs[0].dtype, DataType::kFloat);
  EXPECT_FALSE(signature.inputs[0].unknown_rank);
  EXPECT_TRUE(signature.inputs[0].dims.empty());
  EXPECT_EQ(signature.inputs[1].alias, "y");
  EXPECT_EQ(signature.inputs[1].dims, Dims({-1, 3}));
  ASSERT_EQ(signature.outputs.size(), 1u);
  EXPECT_EQ(signature.outputs[0].dims, Dims({-1, 0}));
  ASSERT_EQ(signature.defaults.size(), 1u);
  EXPECT_EQ(signature.defaults.at("x"), preset);
}

TEST(SignatureTest, FindsByAlias) {
  const Signature signature = ParseOne(MapEntryField(kInputs, "b", Info("b:0", 1, "")) +
                                       MapEntryField(kInputs, "a", Info("a:0", 1, "")) +
                                       MapEntryField(kInputs, "c", Info("c:0", 1, "")) +
                                       MapEntryField(kOutputs, "out", Info("out:0", 1, "")));
  for (const std::string alias : {"a", "b", "c"}) {
    ASSERT_NE(signature.FindInput(alias), nullptr);
    EXPECT_EQ(signature.FindInput(alias)->tensor_name, alias + ":0");
  }
  EXPECT_EQ(signature.FindInput("out"), nullptr);
  EXPECT_EQ(signature.FindInput(""), nullptr);
  EXPECT_EQ(signature.FindOutput("out")->tensor_name, "out:0");
  EXPECT_EQ(signature.FindOutput("a"), nullptr);
}

TEST(SignatureTest, UnknownRankHasNoDims) {
  const Signature signature =
      ParseOne(MapEntryField(kInputs, "x", Info("x:0", 1, VarintField(3, 1) + Shape({2}))));
  EXPECT_TRUE(signature.inputs[0].unknown_rank);
  EXPECT_TRUE(signature.inputs[0].dims.empty());
}

TEST(SignatureTest, SparseAndCompositeTensorsHaveNoPlainName) {
  for (const uint32_t encoding : {4, 5}) {
    const std::string other = BytesField(encoding, BytesField(1, "values:0"));
    const Signature signature = ParseOne(MapEntryField(kInputs, "x", other + VarintField(2, 1)) +
                                         MapEntryField(kInputs, "y", BytesField(1, "y:0") + other) +
                                         MapEntryField(kInputs, "z", other + BytesField(1, "z:0")));
    EXPECT_EQ(signature.FindInput("x")->tensor_name, "");
    EXPECT_EQ(signature.FindInput("x")->dtype, DataType::kFloat);
    EXPECT_EQ(signature.FindInput("y")->tensor_name, "");  // the last of the oneof counts
    EXPECT_EQ(signature.FindInput("z")->tensor_name, "z:0");
  }
}

TEST(SignatureTest, LastEntryOfAKeyCounts) {
  const Signature signature = ParseOne(MapEntryField(kInputs, "x", Info("old:0", 1, "")) +
                                       MapEntryField(kInputs, "x", Info("new:0", 2, "")) +
                                       MapEntryField(kDefaults, "x", VarintField(1, 1)) +
                                       MapEntryField(kDefaults, "x", VarintField(1, 2)));
  ASSERT_EQ(signature.inputs.size(), 1u);
  EXPECT_EQ(signature.inputs[0].tensor_name, "new:0");
  EXPECT_EQ(signature.defaults.at("x"), VarintField(1, 2));
}

TEST(SignatureTest, EntryWithoutValueIsAnEmptySignature) {
  const MetaGraphSignatures parsed = Parse(BytesField(5, BytesField(1, "empty")));
  ASSERT_EQ(parsed.signatures.count("empty"), 1u);
  EXPECT_TRUE(parsed.signatures.at("empty").inputs.empty());
}

TEST(SignatureTest, OtherFieldsOfTheMetaGraphAreSkippedWithoutALook) {
  const MetaGraphSignatures parsed =
      Parse(BytesField(1, "\xff meta info") + BytesField(2, std::string(1000, '\xff')) +
            SignatureEntry(5, "s", BytesField(3, "method")) + BytesField(7, "objects"));
  EXPECT_EQ(parsed.signatures.size(), 1u);
}

TEST(SignatureTest, SignatureDefMapHasTheSameSignaturesSortedByName) {
  const std::string first = BytesField(3, "first");
  const std::string second =
      BytesField(3, "second") + MapEntryField(kInputs, "x", Info("x:0", 1, Shape({1})));
  const MetaGraphSignatures parsed = Parse(
      SignatureEntry(5, "b", "") + SignatureEntry(5, "a", first) + SignatureEntry(5, "b", second));
  EXPECT_EQ(parsed.signature_def_map,
            SignatureEntry(1, "a", first) + SignatureEntry(1, "b", second));
  EXPECT_EQ(parsed.signatures.at("b").method_name, "second");
}

TEST(SignatureTest, NoSignaturesIsAnEmptyMap) {
  const MetaGraphSignatures parsed = Parse(BytesField(2, "graph"));
  EXPECT_TRUE(parsed.signatures.empty());
  EXPECT_EQ(parsed.signature_def_map, "");
}

TEST(SignatureTest, BrokenBytesAreDataLoss) {
  for (const std::string& broken :
       {FromHex("2a"), FromHex("00"), BytesField(5, FromHex("0a05")), SignatureEntry(5, "\xff", ""),
        SignatureEntry(5, "s", FromHex("0a")),
        SignatureEntry(5, "s", MapEntryField(kInputs, "x", FromHex("1a05"))),
        SignatureEntry(5, "s", MapEntryField(kOutputs, "x", BytesField(3, FromHex("12"))))}) {
    const Result<MetaGraphSignatures> parsed = ParseMetaGraphSignatures(broken);
    ASSERT_FALSE(parsed.ok()) << ToHex(broken);
    EXPECT_EQ(parsed.status().code(), StatusCode::kDataLoss);
  }
}

}  // namespace
}  // namespace fastserve
