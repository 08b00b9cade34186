#include "codec/signature_hint.h"

#include <gtest/gtest.h>

#include <vector>

namespace fastserve {
namespace {

Signature TwoInputs() {
  Signature signature;
  signature.name = "serving_default";
  signature.inputs = {
      {.alias = "images", .tensor_name = "i:0", .dtype = DataType::kFloat, .dims = {-1, 784}},
      {.alias = "text", .tensor_name = "t:0", .dtype = DataType::kString, .unknown_rank = true},
  };
  return signature;
}

HostTensor Tensor(DataType dtype, Dims dims) { return {.dtype = dtype, .dims = std::move(dims)}; }

std::string Misfits(const HostTensor& images, const HostTensor& text) {
  const std::vector<std::pair<std::string_view, const HostTensor*>> inputs = {{"images", &images},
                                                                              {"text", &text}};
  return DescribeMisfits(TwoInputs(), inputs);
}

TEST(DescribeInputsTest, NamesDtypesAndShapes) {
  EXPECT_EQ(DescribeInputs(TwoInputs()),
            "signature serving_default expects images: float [-1,784]; text: string of any shape");
  Signature none;
  none.name = "init";
  EXPECT_EQ(DescribeInputs(none), "signature init expects no inputs");
}

TEST(DescribeInputsTest, IsCutWhereTheSignatureIsLong) {
  Signature signature = TwoInputs();
  signature.inputs[0].alias = std::string(5000, 'x');
  const std::string hint = DescribeInputs(signature);
  EXPECT_EQ(hint.size(), kMaxHintBytes);
  EXPECT_TRUE(hint.ends_with("x..."));
}

TEST(DescribeMisfitsTest, NamesOnlyTheInputsThatDoNotFit) {
  const HostTensor good = Tensor(DataType::kFloat, {3, 784});
  const HostTensor text = Tensor(DataType::kString, {1, 2, 3});
  EXPECT_EQ(Misfits(good, text), "");
  EXPECT_EQ(Misfits(Tensor(DataType::kInt32, {1, 784}), text),
            "signature serving_default expects images: float [-1,784], got int32 [1,784]");
  EXPECT_EQ(Misfits(Tensor(DataType::kFloat, {784}), text),
            "signature serving_default expects images: float [-1,784], got float [784]");
  EXPECT_EQ(Misfits(Tensor(DataType::kFloat, {2, 783}), Tensor(DataType::kHalf, {})),
            "signature serving_default expects images: float [-1,784], got float [2,783]; text: "
            "string of any shape, got half []");
}

TEST(DescribeMisfitsTest, PassesOverNamesThatTheSignatureLacks) {
  const HostTensor tensor = Tensor(DataType::kInt32, {});
  const std::pair<std::string_view, const HostTensor*> input = {"other", &tensor};
  EXPECT_EQ(DescribeMisfits(TwoInputs(), {&input, 1}), "");
}

}  // namespace
}  // namespace fastserve
