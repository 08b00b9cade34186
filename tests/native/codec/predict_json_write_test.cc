#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "codec/predict_json.h"

namespace fastserve {
namespace {

using Output = std::pair<std::string_view, HostTensor>;

template <class T>
HostTensor Tensor(DataType dtype, Dims dims, const std::vector<T>& elements) {
  HostTensor tensor;
  tensor.dtype = dtype;
  tensor.dims = std::move(dims);
  tensor.owner = ByteBuffer::Copy(
      {reinterpret_cast<const char*>(elements.data()), elements.size() * sizeof(T)});
  tensor.data = tensor.owner.view();
  return tensor;
}

HostTensor Floats(Dims dims, const std::vector<float>& elements) {
  return Tensor(DataType::kFloat, std::move(dims), elements);
}

HostTensor Strings(Dims dims, std::vector<std::string_view> strings) {
  HostTensor tensor;
  tensor.dtype = DataType::kString;
  tensor.dims = std::move(dims);
  tensor.strings = std::move(strings);
  return tensor;
}

std::string Write(JsonFormat format, const std::vector<Output>& outputs) {
  const Result<std::string> text = WritePredictJson(format, outputs);
  return text.ok() ? *text : text.status().ToString();
}

std::string Row(const std::vector<Output>& outputs) { return Write(JsonFormat::kRow, outputs); }

std::string Column(const std::vector<Output>& outputs) {
  return Write(JsonFormat::kColumn, outputs);
}

TEST(WritePredictJsonTest, RowsOfOneOutputAreBareAndOnOneLine) {
  EXPECT_EQ(Row({{"y", Floats({3}, {2.5, 3, 4.5})}}),
            "{\n    \"predictions\": [2.5, 3.0, 4.5\n    ]\n}");
  EXPECT_EQ(Row({{"y", Floats({2, 2}, {1, 2, 3, 4})}}),
            "{\n    \"predictions\": [[1.0, 2.0], [3.0, 4.0]\n    ]\n}");
  EXPECT_EQ(Row({{"y", Floats({1, 2, 2}, {1, 2, 3, 4})}}),
            "{\n    \"predictions\": [[[1.0, 2.0], [3.0, 4.0]]\n    ]\n}");
}

TEST(WritePredictJsonTest, RowsOfSeveralOutputsAreObjectsInTheOrderGiven) {
  EXPECT_EQ(Row({{"b", Floats({2}, {7, 8})}, {"a", Floats({2, 2}, {1, 2, 3, 4})}}),
            R"({
    "predictions": [
        {
            "b": 7.0,
            "a": [1.0, 2.0]
        },
        {
            "b": 8.0,
            "a": [3.0, 4.0]
        }
    ]
})");
}

TEST(WritePredictJsonTest, EmptyRowsAndNoRows) {
  EXPECT_EQ(Row({{"y", Floats({0}, {})}}), "{\n    \"predictions\": []\n}");
  EXPECT_EQ(Row({{"y", Floats({0, 3}, {})}, {"z", Floats({0}, {})}}),
            "{\n    \"predictions\": []\n}");
  EXPECT_EQ(Row({{"y", Floats({2, 0}, {})}}), "{\n    \"predictions\": [[], []\n    ]\n}");
}

TEST(WritePredictJsonTest, ColumnsHaveOneElementALine) {
  EXPECT_EQ(Column({{"y", Floats({1, 2}, {1, 2})}}), R"({
    "outputs": [
        [
            1.0,
            2.0
        ]
    ]
})");
  EXPECT_EQ(Column({{"x", Floats({2}, {1, 2})}, {"y", Floats({}, {3})}}), R"({
    "outputs": {
        "x": [
            1.0,
            2.0
        ],
        "y": 3.0
    }
})");
}

TEST(WritePredictJsonTest, ScalarAndEmptyColumns) {
  EXPECT_EQ(Column({{"y", Floats({}, {4.5})}}), "{\n    \"outputs\": 4.5\n}");
  EXPECT_EQ(Column({{"y", Floats({0}, {})}}), "{\n    \"outputs\": []\n}");
  EXPECT_EQ(Column({{"y", Floats({2, 0, 3}, {})}}),
            "{\n    \"outputs\": [\n        [],\n        []\n    ]\n}");
}

TEST(WritePredictJsonTest, EveryDtypeWithAJsonFormIsWritten) {
  EXPECT_EQ(Row({{"y", Tensor<double>(DataType::kDouble, {2}, {0.1, 1 / 3.0})}}),
            "{\n    \"predictions\": [0.1, 0.33333333333333331\n    ]\n}");
  EXPECT_EQ(Row({{"y", Tensor<int8_t>(DataType::kInt8, {2}, {-128, 65})}}),
            "{\n    \"predictions\": [-128, 65\n    ]\n}");
  EXPECT_EQ(Row({{"y", Tensor<uint8_t>(DataType::kUint8, {1}, {255})}}),
            "{\n    \"predictions\": [255\n    ]\n}");
  EXPECT_EQ(Row({{"y", Tensor<int16_t>(DataType::kInt16, {1}, {INT16_MIN})}}),
            "{\n    \"predictions\": [-32768\n    ]\n}");
  EXPECT_EQ(Row({{"y", Tensor<int32_t>(DataType::kInt32, {1}, {INT32_MIN})}}),
            "{\n    \"predictions\": [-2147483648\n    ]\n}");
  EXPECT_EQ(Row({{"y", Tensor<uint32_t>(DataType::kUint32, {1}, {UINT32_MAX})}}),
            "{\n    \"predictions\": [4294967295\n    ]\n}");
  EXPECT_EQ(Row({{"y", Tensor<int64_t>(DataType::kInt64, {1}, {INT64_MIN})}}),
            "{\n    \"predictions\": [-9223372036854775808\n    ]\n}");
  EXPECT_EQ(Row({{"y", Tensor<uint64_t>(DataType::kUint64, {1}, {UINT64_MAX})}}),
            "{\n    \"predictions\": [18446744073709551615\n    ]\n}");
  EXPECT_EQ(Row({{"y", Tensor<uint8_t>(DataType::kBool, {2}, {1, 0})}}),
            "{\n    \"predictions\": [true, false\n    ]\n}");
}

TEST(WritePredictJsonTest, OtherDtypesAreRefusedOnceTheyHaveElements) {
  EXPECT_EQ(Row({{"y", Tensor<uint16_t>(DataType::kHalf, {1}, {0})}}),
            "INVALID_ARGUMENT: Failed to write JSON value for tensor type: half");
  EXPECT_EQ(Column({{"y", Tensor<uint16_t>(DataType::kUint16, {}, {0})}}),
            "INVALID_ARGUMENT: Failed to write JSON value for tensor type: uint16");
  EXPECT_EQ(Column({{"y", Tensor<uint16_t>(DataType::kHalf, {0}, {})}}),
            "{\n    \"outputs\": []\n}");
}

TEST(WritePredictJsonTest, LongListsAreWrittenWhole) {
  std::vector<float> elements;
  std::string want = "{\n    \"predictions\": [";
  for (int i = 0; i < 1000; ++i) {
    elements.push_back(-1234.5625f);
    want += i ? ", -1234.5625" : "-1234.5625";
  }
  EXPECT_EQ(Row({{"y", Floats({1000}, elements)}}), want + "\n    ]\n}");
}

TEST(WritePredictJsonTest, StringsAreRawAndEscaped) {
  EXPECT_EQ(Row({{"y", Strings({3}, {"a\"\\\n", "é\xff", std::string_view("\0", 1)})}}),
            "{\n    \"predictions\": [\"a\\\"\\\\\\n\", \"é\xff\", \"\\u0000\"\n    ]\n}");
}

TEST(WritePredictJsonTest, StringsOfAnAliasThatEndsInBytesAreBase64Objects) {
  EXPECT_EQ(Row({{"out_bytes", Strings({2}, {"abc", ""})}}), R"({
    "predictions": [{
            "b64": "YWJj"
        }, {
            "b64": ""
        }
    ]
})");
  EXPECT_EQ(Row({{"y_bytes", Strings({1}, {"abc"})}, {"y_text", Strings({1}, {"abc"})}}), R"({
    "predictions": [
        {
            "y_bytes": {
                "b64": "YWJj"
            },
            "y_text": "abc"
        }
    ]
})");
  EXPECT_EQ(Column({{"_bytes", Strings({1}, {{"\0\0", 2}})}}), R"({
    "outputs": [
        {
            "b64": "AAA="
        }
    ]
})");
}

TEST(WritePredictJsonTest, NumbersOfAnAliasThatEndsInBytesAreNumbers) {
  EXPECT_EQ(Row({{"x_bytes", Floats({1}, {1})}}), "{\n    \"predictions\": [1.0\n    ]\n}");
}

TEST(WritePredictJsonTest, AliasesAreEscaped) {
  EXPECT_EQ(Column({{"a\n\"b\"", Floats({}, {1})}, {"c", Floats({}, {2})}}),
            "{\n    \"outputs\": {\n        \"a\\n\\\"b\\\"\": 1.0,\n        \"c\": 2.0\n    }\n}");
}

TEST(WritePredictJsonTest, RowsNeedACommonFirstExtent) {
  EXPECT_EQ(Row({{"y", Floats({2}, {1, 2})}, {"total", Floats({}, {3})}}),
            "INVALID_ARGUMENT: Tensor name: total has no shape information ");
  EXPECT_EQ(Row({{"y", Floats({2}, {1, 2})}, {"z", Floats({1}, {3})}}),
            "INVALID_ARGUMENT: Tensor name: z has inconsistent batch size: 1 expecting: 2");
}

TEST(WritePredictJsonTest, NoOutputsAreRefused) {
  EXPECT_EQ(Row({}), "INVALID_ARGUMENT: Cannot convert empty tensor map to JSON");
  EXPECT_EQ(Column({}), "INVALID_ARGUMENT: Cannot convert empty tensor map to JSON");
}

TEST(WriteErrorJsonTest, HasTheMessageEscaped) {
  EXPECT_EQ(WriteErrorJson("Servable not found for request: Latest(\"m\")\n"),
            "{\n    \"error\": \"Servable not found for request: Latest(\\\"m\\\")\\n\"\n}");
}

}  // namespace
}  // namespace fastserve
