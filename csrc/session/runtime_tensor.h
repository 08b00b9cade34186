#pragma once

#include <utility>

#include "base/status.h"
#include "base/tensor.h"
#include "session/tf_api.h"

namespace fastserve {

// A tensor in TensorFlow's hands; owns one TF_Tensor. Movable, dropped on any thread.
class RuntimeTensor {
 public:
  // Gives `tensor` to TensorFlow. Its bytes are lent, not copied, when `tensor.owner` holds them
  // and they start on a kTensorAlignment boundary (lending is the cheaper one at any size).
  // Strings are always copied: views would outlive the request if a model stores them. kResource
  // and kVariant have no host form and become tensors of that dtype that only serve to be refused:
  // TensorFlow feeds no resource, Session::Run() no variant.
  // kInvalidArgument for a dtype that the installed TensorFlow lacks and for more than 254
  // dimensions (TensorFlow would abort); kResourceExhausted when memory is short.
  static Result<RuntimeTensor> FromHost(const TfApi& api, const HostTensor& tensor);

  // Takes over `tensor`, which is not null.
  RuntimeTensor(const TfApi& api, TF_Tensor* tensor) : api_(&api), tensor_(tensor) {}
  RuntimeTensor(RuntimeTensor&& other) noexcept
      : api_(other.api_), tensor_(std::exchange(other.tensor_, nullptr)) {}
  RuntimeTensor& operator=(RuntimeTensor&& other) noexcept {
    std::swap(api_, other.api_);
    std::swap(tensor_, other.tensor_);
    return *this;
  }
  ~RuntimeTensor() {
    if (tensor_ != nullptr) api_->DeleteTensor(tensor_);
  }

  // Views of the elements, valid as long as `tensor`; none for kResource and kVariant.
  static HostTensor View(const TfApi& api, const TF_Tensor* tensor);
  HostTensor View() const { return View(*api_, tensor_); }
  TF_Tensor* get() const { return tensor_; }

 private:
  const TfApi* api_;
  TF_Tensor* tensor_;
};

}  // namespace fastserve
