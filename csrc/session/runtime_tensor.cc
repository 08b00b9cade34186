#include "session/runtime_tensor.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

namespace fastserve {
namespace {

constexpr size_t kMaxRank = 254;  // tensorflow::TensorShape::MaxDimensions()

// The elements of a string tensor, which TensorFlow takes at any alignment. A tensor from
// TF_AllocateTensor would not do: TF_DeleteTensor does not free what its strings hold.
class StringElements {
 public:
  StringElements(const TfApi& api, const std::vector<std::string_view>& strings)
      : api_(api), elements_(strings.size()) {
    for (size_t i = 0; i < strings.size(); ++i) {
      api_.StringInit(&elements_[i]);
      api_.StringCopy(&elements_[i], strings[i].data(), strings[i].size());
    }
  }
  ~StringElements() {
    for (TF_TString& element : elements_) api_.StringDealloc(&element);
  }
  StringElements(const StringElements&) = delete;
  StringElements& operator=(const StringElements&) = delete;

  TF_TString* data() { return elements_.data(); }
  size_t byte_size() const { return elements_.size() * sizeof(TF_TString); }

 private:
  const TfApi& api_;
  std::vector<TF_TString> elements_;
};

// Deallocators of TF_NewTensor.
void DropBuffer(void*, size_t, void* buffer) { ByteBuffer::Drop(buffer); }
void DropStrings(void*, size_t, void* strings) {
  const std::unique_ptr<StringElements> last(static_cast<StringElements*>(strings));
}

Status NoMemory() { return Status::ResourceExhausted("no memory for a tensor"); }

Result<RuntimeTensor> Own(const TfApi& api, TF_Tensor* tensor) {
  if (tensor == nullptr) return NoMemory();
  return RuntimeTensor(api, tensor);
}

TF_DataType Type(DataType dtype) { return static_cast<TF_DataType>(dtype); }

Result<RuntimeTensor> FromStrings(const TfApi& api, const HostTensor& tensor) {
  auto strings = std::make_unique<StringElements>(api, tensor.strings);
  TF_TString* elements = strings->data();
  const size_t bytes = strings->byte_size();
  return Own(api, api.NewTensor(Type(tensor.dtype), tensor.dims.data(),
                                static_cast<int>(tensor.dims.size()), elements, bytes, &DropStrings,
                                strings.release()));
}

// A default resource handle. Its serialized form, which TensorFlow reads here, is empty.
Result<RuntimeTensor> EmptyResource(const TfApi& api) {
  return Own(api, api.AllocateTensor(Type(DataType::kResource), nullptr, 0, 0));
}

// No element at all: any byte pattern would be taken for a C++ object.
Result<RuntimeTensor> NoVariants(const TfApi& api) {
  const int64_t none = 0;
  return Own(api, api.AllocateTensor(Type(DataType::kVariant), &none, 1, 0));
}

bool HasNoFixedSize(DataType dtype) {
  return dtype == DataType::kString || dtype == DataType::kResource || dtype == DataType::kVariant;
}

Status CheckSupported(const TfApi& api, const HostTensor& tensor) {
  if (tensor.dims.size() > kMaxRank) {
    return Status::InvalidArgument("a tensor has at most " + std::to_string(kMaxRank) +
                                   " dimensions, not " + std::to_string(tensor.dims.size()));
  }
  const size_t size = ElementSize(tensor.dtype);
  if (size != 0 ? size == api.DataTypeSize(Type(tensor.dtype)) : HasNoFixedSize(tensor.dtype)) {
    return {};
  }
  return Status::InvalidArgument("TensorFlow " + api.version() + " has no dtype " +
                                 DataTypeName(tensor.dtype));
}

// TF_NewTensor copies bytes off the alignment that it wants and drops the reference at once.
Result<RuntimeTensor> Lend(const TfApi& api, const HostTensor& tensor) {
  ByteBuffer reference = tensor.owner;
  return Own(api, api.NewTensor(Type(tensor.dtype), tensor.dims.data(),
                                static_cast<int>(tensor.dims.size()),
                                const_cast<char*>(tensor.data.data()), tensor.data.size(),
                                &DropBuffer, reference.Release()));
}

Result<RuntimeTensor> Copy(const TfApi& api, const HostTensor& tensor) {
  Result<RuntimeTensor> copy =
      Own(api, api.AllocateTensor(Type(tensor.dtype), tensor.dims.data(),
                                  static_cast<int>(tensor.dims.size()), tensor.data.size()));
  if (!copy.ok() || tensor.data.empty()) return copy;
  void* elements = api.TensorData(copy->get());
  if (elements == nullptr) return NoMemory();
  std::memcpy(elements, tensor.data.data(), tensor.data.size());
  return copy;
}

std::vector<std::string_view> ViewStrings(const TfApi& api, const TF_Tensor* tensor, size_t count) {
  const auto* elements = static_cast<const TF_TString*>(api.TensorData(tensor));
  std::vector<std::string_view> strings;
  strings.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    strings.emplace_back(api.StringGetDataPointer(&elements[i]), api.StringGetSize(&elements[i]));
  }
  return strings;
}

}  // namespace

Result<RuntimeTensor> RuntimeTensor::FromHost(const TfApi& api, const HostTensor& tensor) {
  FASTSERVE_RETURN_IF_ERROR(CheckSupported(api, tensor));
  switch (tensor.dtype) {
    case DataType::kString:
      return FromStrings(api, tensor);
    case DataType::kResource:
      return EmptyResource(api);
    case DataType::kVariant:
      return NoVariants(api);
    default:
      return tensor.owner && !tensor.data.empty() ? Lend(api, tensor) : Copy(api, tensor);
  }
}

HostTensor RuntimeTensor::View(const TfApi& api, const TF_Tensor* tensor) {
  HostTensor view;
  view.dtype = static_cast<DataType>(api.TensorType(tensor));
  const int rank = api.NumDims(tensor);
  for (int i = 0; i < rank; ++i) view.dims.push_back(api.Dim(tensor, i));
  const auto count = static_cast<size_t>(ElementCount(view.dims));
  if (view.dtype == DataType::kString) {
    view.strings = ViewStrings(api, tensor, count);
  } else if (const size_t size = ElementSize(view.dtype); size != 0) {
    view.data = {static_cast<const char*>(api.TensorData(tensor)), count * size};
  }
  return view;
}

}  // namespace fastserve
