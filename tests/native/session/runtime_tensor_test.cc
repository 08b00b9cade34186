#include "session/runtime_tensor.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "session/test_model.h"

namespace fastserve {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

RuntimeTensor FromHost(const HostTensor& tensor) {
  return std::move(RuntimeTensor::FromHost(TensorFlow(), tensor)).value();
}

ByteBuffer Counting(size_t size) {
  ByteBuffer buffer = ByteBuffer::Allocate(size);
  std::iota(buffer.data(), buffer.data() + size, '\0');
  return buffer;
}

// `size` bytes of `owner` from `offset` on, as uint8.
HostTensor Slice(const ByteBuffer& owner, size_t offset, size_t size) {
  HostTensor tensor;
  tensor.dtype = DataType::kUint8;
  tensor.dims = {static_cast<int64_t>(size)};
  tensor.data = owner.view().substr(offset, size);
  tensor.owner = owner;
  return tensor;
}

// The dtypes of fixed size that the installed TensorFlow has.
std::vector<DataType> FixedSizeDtypes() {
  std::vector<DataType> dtypes;
  for (int number = 1; number < 64; ++number) {
    const auto dtype = static_cast<DataType>(number);
    const size_t size = TensorFlow().DataTypeSize(static_cast<TF_DataType>(dtype));
    if (size != 0 && size == ElementSize(dtype)) dtypes.push_back(dtype);
  }
  return dtypes;
}

HostTensor Strings(std::vector<std::string_view> strings) {
  HostTensor tensor;
  tensor.dtype = DataType::kString;
  tensor.dims = {static_cast<int64_t>(strings.size())};
  tensor.strings = std::move(strings);
  return tensor;
}

TEST(RuntimeTensorTest, AlignedBytesOfAnOwnerAreLent) {
  for (const size_t size : {size_t{1}, size_t{4}, 600 * size_t{1024}}) {
    const ByteBuffer owner = Counting(kTensorAlignment + size);
    const RuntimeTensor tensor = FromHost(Slice(owner, kTensorAlignment, size));
    EXPECT_EQ(TensorFlow().TensorData(tensor.get()), owner.data() + kTensorAlignment);
    EXPECT_EQ(tensor.View().data.size(), size);
  }
}

TEST(RuntimeTensorTest, LentBytesOutliveTheOwnersOtherHandles) {
  ByteBuffer owner = Counting(4096);
  const RuntimeTensor tensor = FromHost(Slice(owner, 0, 4096));
  owner = ByteBuffer();
  EXPECT_EQ(tensor.View().data, Counting(4096).view());
}

TEST(RuntimeTensorTest, LentBytesAreFreedWithTheTensor) {
  const auto lend_and_drop = [] {
    const ByteBuffer owner = ByteBuffer::Allocate(kMiB);
    std::memset(owner.data(), 1, owner.size());
    FromHost(Slice(owner, 0, kMiB));
  };
  lend_and_drop();
  const size_t before = ResidentBytes();
  for (int i = 0; i < 200; ++i) lend_and_drop();
  EXPECT_LT(ResidentBytes(), before + 50 * kMiB);
}

TEST(RuntimeTensorTest, UnalignedBytesOfEveryDtypeAreCopiedToAnAlignedPlace) {
  const ByteBuffer owner = Counting(4096);
  for (const DataType dtype : FixedSizeDtypes()) {
    HostTensor tensor = Slice(owner, 16, 1024);
    tensor.dtype = dtype;
    tensor.dims = {static_cast<int64_t>(1024 / ElementSize(tensor.dtype))};
    const RuntimeTensor runtime = FromHost(tensor);
    const void* data = TensorFlow().TensorData(runtime.get());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % kTensorAlignment, 0u)
        << DataTypeName(tensor.dtype);
    EXPECT_EQ(runtime.View().data, tensor.data);
  }
}

TEST(RuntimeTensorTest, BytesWithoutAnOwnerAreCopied) {
  HostTensor borrowed;
  const ByteBuffer bytes = Counting(4096);
  borrowed = Slice(bytes, 0, 4096);
  borrowed.owner = ByteBuffer();
  const RuntimeTensor tensor = FromHost(borrowed);
  EXPECT_NE(TensorFlow().TensorData(tensor.get()), bytes.data());
  EXPECT_EQ(tensor.View().data, bytes.view());
}

TEST(RuntimeTensorTest, EveryFixedSizeDtypeKeepsItsNumberDimsAndBytes) {
  const ByteBuffer owner = Counting(96);
  ASSERT_GE(FixedSizeDtypes().size(), 24u);  // of TensorFlow 2.16
  for (const DataType dtype : FixedSizeDtypes()) {
    HostTensor tensor = Slice(owner, 0, 6 * ElementSize(dtype));
    tensor.dtype = dtype;
    tensor.dims = {1, 3, 2};
    const RuntimeTensor runtime = FromHost(tensor);
    const HostTensor view = runtime.View();
    EXPECT_EQ(view.dtype, tensor.dtype);
    EXPECT_EQ(view.dims, tensor.dims);
    EXPECT_EQ(view.data, tensor.data) << DataTypeName(view.dtype);
  }
}

TEST(RuntimeTensorTest, DtypesThatTensorFlowLacksAreRefused) {
  const std::vector<char> byte(1);
  for (const int number : {0, 34, 99, 101, -1}) {
    const auto tensor =
        RuntimeTensor::FromHost(TensorFlow(), VectorOf(static_cast<DataType>(number), byte));
    ASSERT_FALSE(tensor.ok()) << number;
    EXPECT_EQ(tensor.status().code(), StatusCode::kInvalidArgument);
  }
}

TEST(RuntimeTensorTest, TensorsWithoutElementsKeepTheirDims) {
  for (const DataType dtype : {DataType::kFloat, DataType::kString}) {
    HostTensor empty;
    empty.dtype = dtype;
    empty.dims = {3, 0, 2};
    const RuntimeTensor tensor = FromHost(empty);
    const HostTensor view = tensor.View();
    EXPECT_EQ(view.dims, empty.dims);
    EXPECT_EQ(view.data.size(), 0u);
    EXPECT_TRUE(view.strings.empty());
  }
}

TEST(RuntimeTensorTest, MoreDimensionsThanTensorFlowHasAreRefused) {
  const std::vector<char> byte(1);
  HostTensor tensor = VectorOf(DataType::kInt8, byte);
  while (tensor.dims.size() < 254) tensor.dims.push_back(1);
  EXPECT_EQ(FromHost(tensor).View().dims, tensor.dims);
  tensor.dims.push_back(1);
  const auto refused = RuntimeTensor::FromHost(TensorFlow(), tensor);
  EXPECT_EQ(refused.status().ToString(),
            "INVALID_ARGUMENT: a tensor has at most 254 dimensions, not 255");
}

TEST(RuntimeTensorTest, StringsOfEveryLengthAndByteSurvive) {
  using namespace std::string_view_literals;
  const std::string longest(100'000, 'l');
  const std::vector<std::string_view> strings = {
      ""sv,   "a\0b"sv, "\xff\xfe"sv, "22 bytes stay in place"sv, "23 bytes go to the heap"sv,
      longest};
  const RuntimeTensor tensor = FromHost(Strings(strings));
  const HostTensor view = tensor.View();
  EXPECT_EQ(view.dtype, DataType::kString);
  EXPECT_EQ(view.dims, Dims{6});
  EXPECT_EQ(view.strings, strings);
  EXPECT_TRUE(view.data.empty());
}

TEST(RuntimeTensorTest, StringsAreCopied) {
  std::string text(100, 'x');
  const RuntimeTensor tensor = FromHost(Strings({text}));
  text.assign(100, 'y');
  EXPECT_EQ(tensor.View().strings[0], std::string(100, 'x'));
}

TEST(RuntimeTensorTest, ResourcesAndVariantsShowNoElements) {
  for (const DataType dtype : {DataType::kResource, DataType::kVariant}) {
    HostTensor tensor;
    tensor.dtype = dtype;
    tensor.dims = {1};
    const RuntimeTensor runtime = FromHost(tensor);
    const HostTensor view = runtime.View();
    EXPECT_EQ(view.dtype, dtype);
    EXPECT_TRUE(view.data.empty());
    EXPECT_TRUE(view.strings.empty());
  }
}

TEST(RuntimeTensorTest, AMovedTensorIsOwnedOnce) {
  RuntimeTensor first = FromHost(Strings({"first"}));
  RuntimeTensor second = FromHost(Strings({"second"}));
  TF_Tensor* const handle = first.get();
  second = std::move(first);
  const RuntimeTensor third(std::move(second));
  EXPECT_EQ(third.get(), handle);
  EXPECT_EQ(third.View().strings[0], "first");
}

}  // namespace
}  // namespace fastserve
