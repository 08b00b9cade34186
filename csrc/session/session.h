#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_buffer.h"
#include "base/status.h"
#include "base/tensor.h"
#include "session/tf_api.h"

namespace fastserve {

// A tensor in TensorFlow's hands; owns one TF_Tensor. Movable, dropped on any thread.
class RuntimeTensor {
 public:
  // Gives `tensor` to TensorFlow. Its bytes are lent, not copied, when `tensor.owner` holds them
  // and they start on a kTensorAlignment boundary; otherwise copied. Strings are always copied:
  // TensorFlow's own string views would outlive the request if a model stores them. kResource and
  // kVariant become empty tensors of that dtype.
  static Result<RuntimeTensor> FromHost(const TfApi& api, const HostTensor& tensor);

  RuntimeTensor(const TfApi& api, TF_Tensor* tensor) : api_(&api), tensor_(tensor) {}
  RuntimeTensor(RuntimeTensor&& other) noexcept;
  RuntimeTensor& operator=(RuntimeTensor&& other) noexcept;
  ~RuntimeTensor();

  // Views of the elements, valid as long as this object.
  HostTensor View() const;
  TF_Tensor* get() const { return tensor_; }

 private:
  const TfApi* api_;
  TF_Tensor* tensor_;
};

// What a SavedModel is loaded with.
struct SavedModelOptions {
  std::string directory;          // the version directory
  std::vector<std::string> tags;  // the meta graph's tag set must equal these
  std::string config_proto;  // serialized tensorflow.ConfigProto; empty = TensorFlow's defaults
};

// One loaded SavedModel and its TensorFlow session. Immutable; Run() from any number of threads.
class Session {
 public:
  // Blocks while TensorFlow reads the model, which may take long. TensorFlow's own code and text on
  // failure.
  static Result<std::unique_ptr<Session>> LoadSavedModel(const TfApi& api,
                                                         const SavedModelOptions& options);
  ~Session();  // closes and frees the TensorFlow session; may take long

  const TfApi& api() const { return api_; }
  // Serialized tensorflow.MetaGraphDef as stored in the SavedModel.
  ByteView meta_graph_def() const;
  // The graph's output for a tensor name "op:index" or "op". kNotFound when the graph has none.
  Result<TF_Output> Resolve(std::string_view tensor_name) const;

  // Runs the graph on the calling thread (RunOptions.inter_op_thread_pool = -1). `feeds` and
  // `feed_values` go by index. TensorFlow's own code and text on failure.
  Result<std::vector<RuntimeTensor>> Run(std::span<const TF_Output> feeds,
                                         std::span<TF_Tensor* const> feed_values,
                                         std::span<const TF_Output> fetches) const;

 private:
  struct Handles;
  Session(const TfApi& api, std::unique_ptr<Handles> handles);
  const TfApi& api_;
  std::unique_ptr<Handles> handles_;
};

}  // namespace fastserve
