#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "batching/batch_scheduler.h"
#include "codec/signature.h"
#include "metrics/batching_metrics.h"
#include "metrics/replica_metrics.h"
#include "metrics/signature_metrics.h"
#include "serving/run_cost.h"
#include "session/session.h"

namespace fastserve {

// A signature with its aliases resolved to places in the loaded graph.
struct BoundSignature {
  Signature signature;
  // By index of signature.inputs / signature.outputs. A null `oper` marks an alias whose tensor is
  // not in the graph (such as the init op's): a request that needs it is refused.
  std::vector<TF_Output> feeds;
  std::vector<TF_Output> fetches;
  mutable RunCost cost;
  SignatureMetricsPtr metrics;
};

class Batcher;

// How a servable's requests are batched, and the threads that run the batches.
struct Batching {
  std::shared_ptr<const BatchPolicy> policy;
  std::shared_ptr<BatchScheduler> scheduler;
};

// One loaded version of one model. Immutable (but for learnt costs) and shared: routing tables and
// requests in flight hold references. The last one may be dropped on any thread; the session is
// then freed on the reaper's thread.
class Servable {
 public:
  // Loads a SavedModel; blocks until it can run. Without `batching` each request is run on its own.
  // `on_unloaded` is called on the
  // reaper's thread once the session has been freed and its memory given back; null = nobody wants
  // to know.
  static Result<std::shared_ptr<const Servable>> Load(const TfApi& api, std::string name,
                                                      int64_t version,
                                                      const SavedModelOptions& options,
                                                      std::optional<Batching> batching,
                                                      std::function<void()> on_unloaded);
  // The same for a model that is loaded already; drops its meta_graph_def().
  static Result<std::shared_ptr<const Servable>> Make(std::unique_ptr<Session> session,
                                                      std::string name, int64_t version,
                                                      std::optional<Batching> batching,
                                                      std::function<void()> on_unloaded);
  ~Servable();

  const std::string& name() const { return name_; }
  int64_t version() const { return version_; }
  const Session& session() const { return *session_; }
  // Null when requests are not batched.
  const Batcher* batcher() const { return batcher_.get(); }
  // Serialized tensorflow.serving.SignatureDefMap.
  const std::string& signature_def_map() const { return signature_def_map_; }
  // Null when there is none of that name. An empty name means "serving_default".
  const BoundSignature* FindSignature(std::string_view name) const;

 private:
  Servable(std::string name, int64_t version, std::unique_ptr<Session> session,
           MetaGraphSignatures signatures);

  std::string name_;
  int64_t version_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<ReplicaMetrics> replica_metrics_;    // null with one replica
  std::unique_ptr<BatchingMetrics> batching_metrics_;  // of the batcher
  std::unique_ptr<Batcher> batcher_;
  std::string signature_def_map_;
  std::map<std::string, BoundSignature, std::less<>> signatures_;
};
using ServablePtr = std::shared_ptr<const Servable>;

}  // namespace fastserve
