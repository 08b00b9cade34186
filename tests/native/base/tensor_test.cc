#include "base/tensor.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace fastserve {
namespace {

TEST(TensorTest, ElementSizesAreThoseOfTensorFlow) {
  EXPECT_EQ(ElementSize(DataType::kFloat), 4u);
  EXPECT_EQ(ElementSize(DataType::kDouble), 8u);
  EXPECT_EQ(ElementSize(DataType::kBool), 1u);
  EXPECT_EQ(ElementSize(DataType::kBfloat16), 2u);
  EXPECT_EQ(ElementSize(DataType::kComplex64), 8u);
  EXPECT_EQ(ElementSize(DataType::kComplex128), 16u);
  EXPECT_EQ(ElementSize(DataType::kQint32), 4u);
  EXPECT_EQ(ElementSize(DataType::kFloat8E5m2), 1u);
  EXPECT_EQ(ElementSize(DataType::kUint64), 8u);
}

TEST(TensorTest, TypesNarrowerThanAByteTakeOne) {
  for (DataType dtype : {DataType::kInt4, DataType::kUint4, DataType::kInt2, DataType::kUint2,
                         DataType::kFloat4E2m1fn}) {
    EXPECT_EQ(ElementSize(dtype), 1u) << DataTypeName(dtype);
  }
}

TEST(TensorTest, TypesWithoutLayoutHaveNoSize) {
  for (int dtype : {0, 7, 20, 21, 34, 101, 999, -1, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(ElementSize(static_cast<DataType>(dtype)), 0u) << dtype;
  }
}

TEST(TensorTest, NamesAreThoseOfErrorTexts) {
  EXPECT_EQ(DataTypeName(DataType::kFloat), "float");
  EXPECT_EQ(DataTypeName(DataType::kHalf), "half");
  EXPECT_EQ(DataTypeName(DataType::kQuint16), "quint16");
  EXPECT_EQ(DataTypeName(DataType::kVariant), "variant");
  EXPECT_EQ(DataTypeName(static_cast<DataType>(99)), "unknown dtype enum (99)");
  EXPECT_EQ(DataTypeName(static_cast<DataType>(-1)), "unknown dtype enum (-1)");
}

TEST(TensorTest, EnumNamesAreThoseOfProtobuf) {
  EXPECT_EQ(DataTypeEnumName(DataType::kInvalid), "DT_INVALID");
  EXPECT_EQ(DataTypeEnumName(DataType::kFloat), "DT_FLOAT");
  EXPECT_EQ(DataTypeEnumName(DataType::kBfloat16), "DT_BFLOAT16");
  EXPECT_EQ(DataTypeEnumName(DataType::kFloat8E4m3fn), "DT_FLOAT8_E4M3FN");
  EXPECT_EQ(DataTypeEnumName(static_cast<DataType>(101)), "101");
}

TEST(TensorTest, DimsAreShownAsTensorFlowDoes) {
  EXPECT_EQ(DimsText({}), "[]");
  EXPECT_EQ(DimsText({-1}), "[-1]");
  EXPECT_EQ(DimsText({2, 0, 3}), "[2,0,3]");
}

TEST(TensorTest, ElementCountIsTheProductOfTheExtents) {
  EXPECT_EQ(ElementCount({}), 1);
  EXPECT_EQ(ElementCount({2, 3, 4}), 24);
  EXPECT_EQ(ElementCount({2, 0, 4}), 0);
  EXPECT_EQ(ElementCount({INT64_MAX}), INT64_MAX);
}

TEST(TensorTest, ElementCountRefusesNegativeExtentsAndOverflow) {
  EXPECT_EQ(ElementCount({-1}), -1);
  EXPECT_EQ(ElementCount({-2, -2}), -1);
  EXPECT_EQ(ElementCount({INT64_MIN}), -1);
  EXPECT_EQ(ElementCount({int64_t{1} << 32, int64_t{1} << 32}), -1);
  EXPECT_EQ(ElementCount({0, -1}), -1);
}

TEST(TensorTest, ElementCountOverflowsBeforeALaterZeroButNotAfterOne) {
  const int64_t huge = int64_t{1} << 40;
  EXPECT_EQ(ElementCount({huge, huge, 0}), -1);
  EXPECT_EQ(ElementCount({0, huge, huge}), 0);
}

}  // namespace
}  // namespace fastserve
