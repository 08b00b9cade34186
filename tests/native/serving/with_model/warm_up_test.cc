#include "serving/warm_up.h"

#include <gtest/gtest.h>

#include "codec/wire_building.h"
#include "serving/with_model/load_servable.h"

namespace fastserve {
namespace {

constexpr int kFloat = 1;
constexpr int kInt32 = 3;

// A PredictRequest of one input.
std::string Request(std::string_view spec, std::string_view alias, int dtype) {
  const std::string tensor = TensorHead(dtype, {1}) + BytesField(4, std::string(4, '\0'));
  return BytesField(1, spec) + MapEntryField(2, alias, tensor);
}

Status WarmUpHalfPlusTwo(std::string_view method, const std::string& request,
                         const InferenceOptions& options = {}) {
  return WarmUp(*LoadServable("half_plus_two"), method, ByteBuffer::Copy(request), options);
}

TEST(WarmUpTest, APredictRequestRuns) {
  const Status status = WarmUpHalfPlusTwo("predict", Request("", "x", kFloat));
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(WarmUpTest, AnyModelNameAndVersionWillDo) {
  const std::string spec = BytesField(1, "another") + BytesField(2, VarintField(1, 99));
  const Status status = WarmUpHalfPlusTwo("predict", Request(spec, "x", kFloat));
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(WarmUpTest, AnUnknownSignatureFailsAsForAClient) {
  EXPECT_EQ(WarmUpHalfPlusTwo("predict", Request(BytesField(3, "no"), "x", kFloat)).ToString(),
            "FAILED_PRECONDITION: Serving signature key \"no\" not found.");
}

TEST(WarmUpTest, AWrongInputFailsAsForAClient) {
  EXPECT_EQ(WarmUpHalfPlusTwo("predict", Request("", "z", kFloat)).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(WarmUpHalfPlusTwo("predict", Request("", "x", kInt32)).code(),
            StatusCode::kInvalidArgument);
}

TEST(WarmUpTest, MethodNamesAreCheckedWhereTheServerChecksThem) {
  constexpr InferenceOptions kChecked{.check_method_names = true};
  const std::string init = Request(BytesField(3, "__saved_model_init_op"), "x", kFloat);
  EXPECT_EQ(WarmUpHalfPlusTwo("predict", init).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(
      WarmUpHalfPlusTwo("predict", init, kChecked).ToString(),
      "INTERNAL: Expected prediction signature method_name to be one of "
      "{tensorflow/serving/predict, tensorflow/serving/classify, tensorflow/serving/regress}. "
      "Was: ");
  const Status status = WarmUpHalfPlusTwo("predict", Request("", "x", kFloat), kChecked);
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(WarmUpTest, BytesThatAreNoRequestFail) {
  EXPECT_EQ(WarmUpHalfPlusTwo("predict", "\xff").code(), StatusCode::kInternal);
}

TEST(WarmUpTest, AnUnknownMethodIsUnimplemented) {
  EXPECT_EQ(WarmUpHalfPlusTwo("session_run", "").ToString(),
            "UNIMPLEMENTED: no warm-up by method session_run");
}

}  // namespace
}  // namespace fastserve
