#include "session/runtime_tensor.h"

#include <cstdint>
#include <cstring>
#include <memory>

namespace fastserve {
namespace {

// The elements of a string tensor.
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

Result<RuntimeTensor> Own(const TfApi& api, TF_Tensor* tensor) {
  if (tensor == nullptr) return Status::ResourceExhausted("no memory for a tensor");
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

Result<RuntimeTensor> WithoutElements(const TfApi& api, DataType dtype) {
  const int64_t none = 0;
  return Own(api, api.AllocateTensor(Type(dtype), &none, 1, 0));
}

bool CanLend(const HostTensor& tensor) {
  return tensor.owner && tensor.data.size() >= RuntimeTensor::kLendThreshold &&
         reinterpret_cast<uintptr_t>(tensor.data.data()) % kTensorAlignment == 0;
}

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
  if (copy.ok() && !tensor.data.empty()) {
    std::memcpy(api.TensorData(copy->get()), tensor.data.data(), tensor.data.size());
  }
  return copy;
}

std::vector<std::string_view> ViewStrings(const TfApi& api, const TF_Tensor* tensor) {
  const auto* elements = static_cast<const TF_TString*>(api.TensorData(tensor));
  const size_t count = api.TensorByteSize(tensor) / sizeof(TF_TString);
  std::vector<std::string_view> strings;
  strings.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    strings.emplace_back(api.StringGetDataPointer(&elements[i]), api.StringGetSize(&elements[i]));
  }
  return strings;
}

}  // namespace

Result<RuntimeTensor> RuntimeTensor::FromHost(const TfApi& api, const HostTensor& tensor) {
  switch (tensor.dtype) {
    case DataType::kString:
      return FromStrings(api, tensor);
    case DataType::kResource:
    case DataType::kVariant:
      return WithoutElements(api, tensor.dtype);
    default:
      return CanLend(tensor) ? Lend(api, tensor) : Copy(api, tensor);
  }
}

HostTensor RuntimeTensor::View() const {
  HostTensor view;
  view.dtype = static_cast<DataType>(api_->TensorType(tensor_));
  const int rank = api_->NumDims(tensor_);
  for (int i = 0; i < rank; ++i) view.dims.push_back(api_->Dim(tensor_, i));
  if (view.dtype == DataType::kString) {
    view.strings = ViewStrings(*api_, tensor_);
  } else if (ElementSize(view.dtype) != 0) {
    view.data = {static_cast<const char*>(api_->TensorData(tensor_)),
                 api_->TensorByteSize(tensor_)};
  }
  return view;
}

}  // namespace fastserve
