#include "batching/row_tensors.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

namespace fastserve {
namespace {

constexpr size_t kMaxPaddedRank = 6;

// A few small tensors of odd extents could be padded to any size.
constexpr int64_t kMaxPaddedElements = int64_t{1} << 28;

Status NoMemory() { return Status::ResourceExhausted("no memory for a batch"); }

// Elements of one row.
int64_t RowElements(const Dims& dims) {
  int64_t count = 1;
  for (size_t i = 1; i < dims.size(); ++i) count *= dims[i];
  return count;
}

bool SameInnerDims(const Dims& a, const Dims& b) {
  return a.size() == b.size() && std::equal(a.begin() + 1, a.end(), b.begin() + 1);
}

// The largest of each extent.
Dims LargestDims(std::span<const RowRange> ranges) {
  Dims largest = ranges[0].tensor->dims;
  for (const RowRange& range : ranges) {
    for (size_t i = 1; i < largest.size(); ++i) {
      largest[i] = std::max(largest[i], range.tensor->dims[i]);
    }
  }
  return largest;
}

Status CheckCanPad(const HostTensor& tensor) {
  if (tensor.dims.size() > kMaxPaddedRank) {
    return Status::InvalidArgument("Only tensors with rank from 1 to 6 can be padded.");
  }
  if (ElementCount(tensor.dims) == 0) {
    return Status::InvalidArgument("Got empty tensor in batch of non-empty tensors.");
  }
  return {};
}

// Calls place(from, to, elements) for each innermost run of a block of extents `dims`, laid into
// one of extents `larger`; from and to count elements.
template <class Place>
void ForEachRun(std::span<const int64_t> dims, std::span<const int64_t> larger, int64_t from,
                int64_t to, const Place& place) {
  if (dims.size() <= 1) return place(from, to, dims.empty() ? 1 : dims[0]);
  int64_t from_step = 1, to_step = 1;
  for (size_t i = 1; i < dims.size(); ++i) {
    from_step *= dims[i];
    to_step *= larger[i];
  }
  for (int64_t i = 0; i < dims[0]; ++i) {
    ForEachRun(dims.subspan(1), larger.subspan(1), from + i * from_step, to + i * to_step, place);
  }
}

// The elements of a batch as they are put together, one row of all ranges after the other.
class Elements {
 public:
  // Room for `count` elements.
  virtual bool Reserve(size_t count) = 0;
  // `count` elements from `from` on go to `to`.
  virtual void Copy(const HostTensor& tensor, int64_t from, int64_t to, int64_t count) = 0;
  // `count` copies of the tensor's first element go to `to`.
  virtual void Fill(const HostTensor& tensor, int64_t to, int64_t count) = 0;

 protected:
  ~Elements() = default;
};

class FixedElements final : public Elements {
 public:
  FixedElements(size_t size, HostTensor& result) : size_(size), result_(result) {}
  bool Reserve(size_t count) override {
    if (count * size_ == 0) return true;
    result_.owner = ByteBuffer::Allocate(count * size_);
    result_.data = result_.owner.view();
    return static_cast<bool>(result_.owner);
  }
  void Copy(const HostTensor& tensor, int64_t from, int64_t to, int64_t count) override {
    if (count * static_cast<int64_t>(size_) == 0) return;
    std::memcpy(At(to), tensor.data.data() + static_cast<size_t>(from) * size_,
                static_cast<size_t>(count) * size_);
  }
  void Fill(const HostTensor& tensor, int64_t to, int64_t count) override {
    if (size_ == 0) return;
    for (int64_t i = 0; i < count; ++i) std::memcpy(At(to + i), tensor.data.data(), size_);
  }

 private:
  char* At(int64_t element) { return result_.owner.data() + static_cast<size_t>(element) * size_; }

  const size_t size_;
  HostTensor& result_;
};

class StringElements final : public Elements {
 public:
  explicit StringElements(HostTensor& result) : strings_(result.strings) {}
  bool Reserve(size_t count) override {
    strings_.resize(count);
    return true;
  }
  void Copy(const HostTensor& tensor, int64_t from, int64_t to, int64_t count) override {
    std::copy_n(tensor.strings.begin() + from, count, strings_.begin() + to);
  }
  void Fill(const HostTensor& tensor, int64_t to, int64_t count) override {
    std::fill_n(strings_.begin() + to, count, tensor.strings[0]);
  }

 private:
  std::vector<std::string_view>& strings_;
};

// Puts the rows of one range to row `row` of a batch of extents `dims`.
void PutRows(Elements& elements, const RowRange& range, const Dims& dims, int64_t row) {
  const Dims& own = range.tensor->dims;
  const int64_t to = row * RowElements(dims);
  const int64_t from = range.begin * RowElements(own);
  if (SameInnerDims(own, dims)) {
    elements.Copy(*range.tensor, from, to, range.count * RowElements(own));
    return;
  }
  elements.Fill(*range.tensor, to, range.count * RowElements(dims));
  Dims block = own;
  block[0] = range.count;
  ForEachRun(block, dims, from, to, [&](int64_t source, int64_t target, int64_t count) {
    elements.Copy(*range.tensor, source, target, count);
  });
}

Status Gather(std::span<const RowRange> ranges, const Dims& dims, Elements& elements) {
  const int64_t count = ElementCount(dims);
  if (count < 0 || !elements.Reserve(static_cast<size_t>(count))) return NoMemory();
  int64_t row = 0;
  for (const RowRange& range : ranges) {
    PutRows(elements, range, dims, row);
    row += range.count;
  }
  const RowRange& last = ranges.back();
  for (; row < dims[0]; ++row) PutRows(elements, {last.tensor, last.begin, 1}, dims, row);
  return {};
}

}  // namespace

Result<int64_t> CountRows(std::span<const HostTensor> inputs) {
  if (inputs.empty()) {
    return Status::InvalidArgument("Batching Run() must have at least one input tensor");
  }
  for (const HostTensor& input : inputs) {
    if (input.dims.empty()) {
      return Status::InvalidArgument(
          "Batching Run() input tensors must have at least one dimension");
    }
    if (input.dims[0] != inputs[0].dims[0]) {
      return Status::InvalidArgument(
          "Batching Run() input tensors must have equal 0th-dimension size");
    }
  }
  return inputs[0].dims[0];
}

BatchKind KindOf(std::span<const HostTensor> inputs, bool pad_variable_length) {
  BatchKind kind;
  for (const HostTensor& input : inputs) {
    const auto rank = static_cast<int64_t>(input.dims.size());
    kind.push_back(static_cast<int64_t>(input.dtype) << 32 | rank);
    for (size_t i = 1; !pad_variable_length && i < input.dims.size(); ++i) {
      kind.push_back(input.dims[i]);
    }
  }
  return kind;
}

Result<HostTensor> GatherRows(std::span<const RowRange> ranges, int64_t rows) {
  HostTensor result;
  result.dtype = ranges[0].tensor->dtype;
  result.dims = LargestDims(ranges);
  result.dims[0] = rows;
  for (const RowRange& range : ranges) {
    if (SameInnerDims(range.tensor->dims, result.dims)) continue;
    FASTSERVE_RETURN_IF_ERROR(CheckCanPad(*range.tensor));
    if (ElementCount(result.dims) > kMaxPaddedElements) return NoMemory();
  }
  Status status;
  if (result.dtype == DataType::kString) {
    StringElements elements(result);
    status = Gather(ranges, result.dims, elements);
  } else {
    FixedElements elements(ElementSize(result.dtype), result);
    status = Gather(ranges, result.dims, elements);
  }
  if (!status.ok()) return status;
  return result;
}

HostTensor SliceRows(const HostTensor& tensor, int64_t begin, int64_t count) {
  HostTensor slice;
  slice.dtype = tensor.dtype;
  slice.dims = tensor.dims;
  slice.dims[0] = count;
  slice.owner = tensor.owner;
  const int64_t row = RowElements(tensor.dims);
  if (tensor.dtype == DataType::kString) {
    const auto first = tensor.strings.begin() + begin * row;
    slice.strings.assign(first, first + count * row);
  } else {
    const auto size = static_cast<int64_t>(ElementSize(tensor.dtype));
    slice.data = tensor.data.substr(static_cast<size_t>(begin * row * size),
                                    static_cast<size_t>(count * row * size));
  }
  return slice;
}

}  // namespace fastserve
