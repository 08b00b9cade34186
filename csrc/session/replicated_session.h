#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "session/session.h"

namespace fastserve {

// Loads what `first` is, of `options`, once more for each device but the first, and puts a session
// in front of all. TensorFlow places no session as a whole, and its GPUs are those of the process:
// so each further one is loaded from a copy of the model's main file in which the nodes ask for
// their device, in a folder for temporary files that is gone afterwards.
Result<std::unique_ptr<Session>> Replicate(std::unique_ptr<Session> first,
                                           const SavedModelOptions& options);

// Sessions of the same SavedModel on several devices. A run goes to one of those that have the
// fewest runs in flight, by turns.
class ReplicatedSession : public Session {
 public:
  // At least one, by index of `devices`; the first stands for all in what is not a run.
  ReplicatedSession(std::vector<std::unique_ptr<Session>> sessions,
                    std::vector<std::string> devices);

  ByteView meta_graph_def() const override { return replicas_[0].session->meta_graph_def(); }
  void DropMetaGraphDef() override;
  Result<TF_Output> Resolve(std::string_view tensor_name) const override;
  bool runs_elsewhere() const override { return replicas_[0].session->runs_elsewhere(); }
  ReplicaRuns replica_runs() const override;
  Result<PooledVector<RuntimeTensor>> Run(std::span<const TF_Output> feeds,
                                          std::span<TF_Tensor* const> feed_values,
                                          std::span<const TF_Output> fetches) const override;

 private:
  struct alignas(64) Replica {  // a cache line each
    std::unique_ptr<Session> session;
    mutable std::atomic<int> in_flight = 0;
    mutable std::atomic<uint64_t> begun = 0;
  };
  // What stands for an operation: a place's `oper` points to the operation in each replica's graph.
  using Operations = std::vector<TF_Operation*>;

  const Replica& Choose() const;
  // The places of one replica.
  InlineVector<TF_Output, 8> PlacesIn(const Replica& replica,
                                      std::span<const TF_Output> places) const;

  std::vector<Replica> replicas_;
  const std::vector<std::string> devices_;
  mutable std::atomic<size_t> turn_ = 0;
  mutable std::mutex mutex_;
  mutable std::map<TF_Operation*, Operations> operations_;  // by the first replica's
};

}  // namespace fastserve
