#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_buffer.h"
#include "base/status.h"
#include "session/runtime_tensor.h"
#include "session/tf_api.h"

namespace fastserve {

// What a SavedModel is loaded with.
struct SavedModelOptions {
  std::string directory;          // the version directory
  std::vector<std::string> tags;  // the meta graph's tag set must equal these
  std::string config_proto;  // serialized tensorflow.ConfigProto; empty = TensorFlow's defaults
};

// Loads a library of custom ops, for all models loaded afterwards. TensorFlow's own code, with the
// path, on failure. Never unloaded; a second time does nothing.
Status LoadOpLibrary(const TfApi& api, const std::string& path);

// One loaded SavedModel and its TensorFlow session. Run() from any number of threads at once.
class Session {
 public:
  // Blocks while TensorFlow reads the model, which may take long. Beside loaded models a thread of
  // low priority does the work, so that requests for those are disturbed little; it takes longer
  // where the CPUs are busy. TensorFlow's own code and text on failure, but TensorFlow Serving's
  // where the directory holds no SavedModel (kNotFound).
  static Result<std::unique_ptr<Session>> LoadSavedModel(const TfApi& api,
                                                         const SavedModelOptions& options);
  ~Session();  // closes and frees the TensorFlow session; may take long

  const TfApi& api() const;
  // Serialized tensorflow.MetaGraphDef as stored in the SavedModel; empty once dropped. It holds
  // the graph's constants once more, so whoever has read the signatures drops it.
  ByteView meta_graph_def() const;
  void DropMetaGraphDef();
  // The graph's output for a tensor name "op:index" or "op". kNotFound when the graph has none.
  Result<TF_Output> Resolve(std::string_view tensor_name) const;

  // Runs the graph on the calling thread (RunOptions.inter_op_thread_pool = -1). `feeds` and
  // `feed_values` go by index, and so do `fetches` and the result. TensorFlow's own code and text
  // on failure; kUnimplemented for a feed that takes a variant.
  Result<std::vector<RuntimeTensor>> Run(std::span<const TF_Output> feeds,
                                         std::span<TF_Tensor* const> feed_values,
                                         std::span<const TF_Output> fetches) const;

 private:
  struct Handles;
  explicit Session(std::unique_ptr<Handles> handles);
  std::unique_ptr<Handles> handles_;
};

}  // namespace fastserve
