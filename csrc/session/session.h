#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/block_pool.h"
#include "base/byte_buffer.h"
#include "base/status.h"
#include "session/runtime_tensor.h"
#include "session/tf_api.h"

namespace fastserve {

// Whose threads run the pieces of one operation.
enum class IntraOpThreads { kShared, kOwn };

// What a SavedModel is loaded with.
struct SavedModelOptions {
  std::string directory;          // the version directory
  std::vector<std::string> tags;  // the meta graph's tag set must equal these
  std::string config_proto;  // serialized tensorflow.ConfigProto; empty = TensorFlow's defaults
  // As "/device:GPU:1": each gets a replica. The first must be the device that TensorFlow prefers,
  // since it places that replica itself. Empty = one session, on what TensorFlow prefers.
  std::vector<std::string> devices;
  // kOwn needs TfApi::shares_intra_op_threads.
  IntraOpThreads threads = IntraOpThreads::kShared;
  // Lets a small model have a twin for short runs; see TwinSession.
  bool twin = false;
};

// Loads a library of custom ops, for all models loaded afterwards. TensorFlow's own code, with the
// path, on failure. Never unloaded; a second time does nothing.
Status LoadOpLibrary(const TfApi& api, const std::string& path);

// One loaded model: a SavedModel in TensorFlow, on one device or several, or a LiteSession. Run()
// from any number of threads at once.
//
// A TF_Output is a place for a tensor in the model that only the session that resolved it
// understands; a null `oper` is no place.
class Session {
 public:
  // A SavedModel and its TensorFlow session. Blocks while TensorFlow reads the model, which may
  // take long: a thread of low priority does it, so that requests for other models are disturbed
  // little. TensorFlow's own code and text on failure, but TensorFlow Serving's where the directory
  // holds no SavedModel (kNotFound); kFailedPrecondition for a device that TensorFlow does not
  // have.
  static Result<std::unique_ptr<Session>> LoadSavedModel(const TfApi& api,
                                                         const SavedModelOptions& options);
  virtual ~Session() = default;  // frees the model; may take long

  const TfApi& api() const { return api_; }
  // Serialized tensorflow.MetaGraphDef as stored in the SavedModel; empty once dropped. It holds
  // the graph's constants once more, so whoever has read the signatures drops it.
  virtual ByteView meta_graph_def() const = 0;
  virtual void DropMetaGraphDef() = 0;
  // The place for a tensor name: "op:index" or "op" in a SavedModel. kNotFound when there is none.
  virtual Result<TF_Output> Resolve(std::string_view tensor_name) const = 0;
  // Whether Run() waits for other threads, so that a thread with more to do does not call it. A
  // SavedModel runs on the calling thread (RunOptions.inter_op_thread_pool = -1).
  virtual bool runs_elsewhere() const = 0;
  // Of a model with several replicas: the device of each, and how many runs it has begun. As many
  // runs one after the other reach each replica once.
  using ReplicaRuns = std::vector<std::pair<std::string, uint64_t>>;
  virtual ReplicaRuns replica_runs() const { return {}; }

  // Runs the model. `feeds` and `feed_values` go by index, and so do `fetches` and the result.
  // TensorFlow's own code and text on failure; kUnimplemented for a feed that takes a variant.
  virtual Result<PooledVector<RuntimeTensor>> Run(std::span<const TF_Output> feeds,
                                                  std::span<TF_Tensor* const> feed_values,
                                                  std::span<const TF_Output> fetches) const = 0;

 protected:
  explicit Session(const TfApi& api) : api_(api) {}

 private:
  const TfApi& api_;
};

}  // namespace fastserve
