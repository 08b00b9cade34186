#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "session/session.h"

namespace fastserve {

// The installed TensorFlow; ends the test program when it does not load.
const TfApi& TensorFlow();

// The version directory of an exported model.
std::string ModelDirectory(const std::string& name, int version = 1);

// Bytes that this process keeps in memory.
size_t ResidentBytes();

// A dense tensor of one extent whose bytes are those of `elements`, which it borrows.
template <class T>
HostTensor VectorOf(DataType dtype, const std::vector<T>& elements) {
  HostTensor tensor;
  tensor.dtype = dtype;
  tensor.dims = {static_cast<int64_t>(elements.size())};
  tensor.data = {reinterpret_cast<const char*>(elements.data()), elements.size() * sizeof(T)};
  return tensor;
}

// The same of strings.
HostTensor Strings(const std::vector<std::string>& strings);

// What half_plus_two, however it was loaded, answers to one number; NaN, and a failed test, where
// it does not.
float HalfPlusTwoOf(const Session& session, float x);

// A loaded model and the tensors of its signatures.
class TestModel {
 public:
  using Inputs = std::vector<std::pair<std::string_view, HostTensor>>;

  explicit TestModel(const std::string& name, int version = 1);
  explicit TestModel(std::unique_ptr<Session> session) : session_(std::move(session)) {}

  const Session& session() const { return *session_; }
  TF_Output Input(std::string_view alias, std::string_view signature = "serving_default") const;
  TF_Output Output(std::string_view alias, std::string_view signature = "serving_default") const;

  // Feeds `inputs` and fetches `outputs`, both by alias.
  Result<PooledVector<RuntimeTensor>> Run(const Inputs& inputs,
                                          const std::vector<std::string_view>& outputs,
                                          std::string_view signature = "serving_default") const;

 private:
  TF_Output Find(std::string_view signature, uint32_t field, std::string_view alias) const;

  std::unique_ptr<Session> session_;
};

}  // namespace fastserve
