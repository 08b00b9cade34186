#include "codec/signature_text.h"

#include <gtest/gtest.h>

namespace fastserve {
namespace {

constexpr char kMark[] = "goo.gle/debugproto  \n";

TEST(SignatureTextTest, ShowsTensorsAndMethodAsProtobufDoes) {
  const Signature signature{
      .name = "not shown",
      .method_name = "tensorflow/serving/classify",
      .inputs = {{.alias = "inputs",
                  .tensor_name = "in:0",
                  .dtype = DataType::kString,
                  .dims = {-1, 0, 3}}},
      .outputs = {{.alias = "any",
                   .tensor_name = "o:0",
                   .dtype = DataType::kBfloat16,
                   .unknown_rank = true}},
  };
  EXPECT_EQ(SignatureText(signature), std::string(kMark) +
                                          "inputs {\n"
                                          "  key: \"inputs\"\n"
                                          "  value {\n"
                                          "    name: \"in:0\"\n"
                                          "    dtype: DT_STRING\n"
                                          "    tensor_shape {\n"
                                          "      dim {\n"
                                          "        size: -1\n"
                                          "      }\n"
                                          "      dim {\n"
                                          "      }\n"
                                          "      dim {\n"
                                          "        size: 3\n"
                                          "      }\n"
                                          "    }\n"
                                          "  }\n"
                                          "}\n"
                                          "outputs {\n"
                                          "  key: \"any\"\n"
                                          "  value {\n"
                                          "    name: \"o:0\"\n"
                                          "    dtype: DT_BFLOAT16\n"
                                          "    tensor_shape {\n"
                                          "      unknown_rank: true\n"
                                          "    }\n"
                                          "  }\n"
                                          "}\n"
                                          "method_name: \"tensorflow/serving/classify\"\n");
}

TEST(SignatureTextTest, EscapesWhatIsNotPlainAscii) {
  const Signature signature{.method_name = "a\"'\\\n\r\t\x01\x7f\xc3\xbc"};
  EXPECT_EQ(SignatureText(signature),
            std::string(kMark) + "method_name: \"a\\\"\\'\\\\\\n\\r\\t\\001\\177\\303\\274\"\n");
}

TEST(SignatureTextTest, LeavesOutWhatIsNotSet) { EXPECT_EQ(SignatureText({}), kMark); }

}  // namespace
}  // namespace fastserve
