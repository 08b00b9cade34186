#include "batching/row_tensors.h"

#include <gtest/gtest.h>

#include <string>

namespace fastserve {
namespace {

// A float tensor; keeps its elements.
struct Floats {
  Floats(Dims dims, std::vector<float> values) : elements(std::move(values)) {
    tensor.dtype = DataType::kFloat;
    tensor.dims = dims;
    tensor.data = {reinterpret_cast<const char*>(elements.data()), elements.size() * sizeof(float)};
  }
  std::vector<float> elements;
  HostTensor tensor;
};

HostTensor Strings(Dims dims, std::vector<std::string_view> strings) {
  HostTensor tensor;
  tensor.dtype = DataType::kString;
  tensor.dims = dims;
  tensor.strings = std::move(strings);
  return tensor;
}

std::vector<float> Values(const HostTensor& tensor) {
  std::vector<float> values(tensor.data.size() / sizeof(float));
  std::copy(tensor.data.begin(), tensor.data.end(), reinterpret_cast<char*>(values.data()));
  return values;
}

TEST(CountRowsTest, IsTheCommonFirstExtent) {
  const std::vector<HostTensor> inputs{Floats({2, 3}, {}).tensor, Floats({2}, {}).tensor};
  EXPECT_EQ(*CountRows(inputs), 2);
}

TEST(CountRowsTest, FaultsAreNamedAsUpstreamNamesThem) {
  const auto fault = [](std::vector<HostTensor> inputs) {
    return CountRows(inputs).status().ToString();
  };
  EXPECT_EQ(fault({}), "INVALID_ARGUMENT: Batching Run() must have at least one input tensor");
  EXPECT_EQ(fault({Floats({}, {1}).tensor}),
            "INVALID_ARGUMENT: Batching Run() input tensors must have at least one dimension");
  EXPECT_EQ(fault({Floats({2}, {}).tensor, Floats({3}, {}).tensor}),
            "INVALID_ARGUMENT: Batching Run() input tensors must have equal 0th-dimension size");
}

TEST(KindOfTest, InnerExtentsCountUnlessTheyMayBePadded) {
  const std::vector<HostTensor> a{Floats({2, 3}, {}).tensor};
  const std::vector<HostTensor> b{Floats({7, 4}, {}).tensor};
  const std::vector<HostTensor> more_rows{Floats({9, 3}, {}).tensor};
  const std::vector<HostTensor> flat{Floats({2}, {}).tensor};
  EXPECT_EQ(KindOf(a, false), KindOf(more_rows, false));
  EXPECT_FALSE(KindOf(a, false) == KindOf(b, false));
  EXPECT_EQ(KindOf(a, true), KindOf(b, true));
  EXPECT_FALSE(KindOf(a, true) == KindOf(flat, true));
}

TEST(KindOfTest, TheDtypeCounts) {
  const std::vector<HostTensor> floats{Floats({2}, {}).tensor};
  const std::vector<HostTensor> strings{Strings({2}, {})};
  EXPECT_FALSE(KindOf(floats, true) == KindOf(strings, true));
}

TEST(GatherRowsTest, RangesFollowEachOtherThenTheLastOnesFirstRow) {
  const Floats a({2, 2}, {1, 2, 3, 4});
  const Floats b({3, 2}, {5, 6, 7, 8, 9, 10});
  const RowRange ranges[] = {{&a.tensor, 0, 2}, {&b.tensor, 1, 2}};
  const Result<HostTensor> batch = GatherRows(ranges, 6);
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch->dims, (Dims{6, 2}));
  EXPECT_EQ(Values(*batch), (std::vector<float>{1, 2, 3, 4, 7, 8, 9, 10, 7, 8, 7, 8}));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(batch->data.data()) % kTensorAlignment, 0u);
}

TEST(GatherRowsTest, StringsAreGatheredAsViews) {
  const HostTensor a = Strings({1, 2}, {"a", "b"});
  const HostTensor b = Strings({1, 2}, {"c", "d"});
  const RowRange ranges[] = {{&a, 0, 1}, {&b, 0, 1}};
  const Result<HostTensor> batch = GatherRows(ranges, 3);
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch->strings, (std::vector<std::string_view>{"a", "b", "c", "d", "c", "d"}));
  EXPECT_EQ(batch->strings[0].data(), a.strings[0].data());
}

TEST(GatherRowsTest, SmallerRowsArePaddedWithTheirTensorsFirstElement) {
  const Floats small({2, 1, 2}, {1, 2, 3, 4});
  const Floats wide({1, 2, 3}, {5, 6, 7, 8, 9, 10});
  const RowRange ranges[] = {{&small.tensor, 0, 2}, {&wide.tensor, 0, 1}};
  const Result<HostTensor> batch = GatherRows(ranges, 3);
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch->dims, (Dims{3, 2, 3}));
  EXPECT_EQ(Values(*batch),
            (std::vector<float>{1, 2, 1, 1, 1, 1, 3, 4, 1, 1, 1, 1, 5, 6, 7, 8, 9, 10}));
}

TEST(GatherRowsTest, WhatCannotBePaddedIsNamedAsUpstreamNamesIt) {
  const Floats empty({1, 0}, {});
  const Floats one({1, 1}, {1});
  const RowRange with_empty[] = {{&one.tensor, 0, 1}, {&empty.tensor, 0, 1}};
  EXPECT_EQ(GatherRows(with_empty, 2).status().ToString(),
            "INVALID_ARGUMENT: Got empty tensor in batch of non-empty tensors.");
  const Floats seven({1, 1, 1, 1, 1, 1, 1}, {1});
  const Floats wider({1, 1, 1, 1, 1, 1, 2}, {1, 2});
  const RowRange deep[] = {{&seven.tensor, 0, 1}, {&wider.tensor, 0, 1}};
  EXPECT_EQ(GatherRows(deep, 2).status().ToString(),
            "INVALID_ARGUMENT: Only tensors with rank from 1 to 6 can be padded.");
}

TEST(GatherRowsTest, PaddingIsBounded) {
  const Floats tall({1, 1 << 15, 1}, std::vector<float>(1 << 15));
  const Floats wide({1, 1, 1 << 15}, std::vector<float>(1 << 15));
  const RowRange ranges[] = {{&tall.tensor, 0, 1}, {&wide.tensor, 0, 1}};
  EXPECT_EQ(GatherRows(ranges, 2).status().code(), StatusCode::kResourceExhausted);
}

TEST(SliceRowsTest, IsAViewOfTheRows) {
  const Floats floats({3, 2}, {1, 2, 3, 4, 5, 6});
  const HostTensor slice = SliceRows(floats.tensor, 1, 2);
  EXPECT_EQ(slice.dims, (Dims{2, 2}));
  EXPECT_EQ(Values(slice), (std::vector<float>{3, 4, 5, 6}));
  EXPECT_EQ(slice.data.data(), floats.tensor.data.data() + 2 * sizeof(float));
  const HostTensor strings = Strings({3}, {"a", "b", "c"});
  EXPECT_EQ(SliceRows(strings, 2, 1).strings, (std::vector<std::string_view>{"c"}));
}

}  // namespace
}  // namespace fastserve
