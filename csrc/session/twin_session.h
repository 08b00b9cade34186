#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "session/session.h"

namespace fastserve {

// What one thread takes for a run, learnt per element of its inputs.
// Threads: any; updates may get lost but never tear.
class OneThreadCost {
 public:
  // Beyond it a run is worth several threads.
  static constexpr double kMostNs = 2'000'000;

  // Whether a run on `elements` is best left to one thread. REQUIRES: one run was recorded.
  bool Suits(size_t elements) const;
  // Takes in one run on one thread.
  void Record(double ns, size_t elements);

 private:
  // The least of late: a thread that lost its core says nothing of the model.
  std::atomic<double> ns_per_element_ = 0;
};

// A small model, and a twin of it whose operations stay on the thread that runs it. TensorFlow cuts
// operations up for threads that all models share: where a run is short, handing the pieces over
// costs several times what they do, and they wait for those of other models' long runs. The twin is
// loaded once the model has proven busy, on a thread of low priority, which also has TensorFlow
// prepare the kind of run that is asked for and learns what it costs; from then on the twin takes
// the runs that suit it. If it cannot be loaded, everything stays as it is.
class TwinSession final : public Session {
 public:
  static constexpr uint64_t kBusyRuns = 256;  // of one kind

  // Whether a model is one that a twin stands for: small, and without state that the two would not
  // share. `session` is what was loaded of `options`.
  static bool MayHelp(const Session& session, const SavedModelOptions& options);

  TwinSession(std::unique_ptr<Session> first, SavedModelOptions options);
  ~TwinSession() override;

  // Whether the twin takes runs of some kind yet.
  bool has_twin() const { return has_twin_.load(std::memory_order_acquire); }

  ByteView meta_graph_def() const override { return first_->meta_graph_def(); }
  void DropMetaGraphDef() override { first_->DropMetaGraphDef(); }
  Result<TF_Output> Resolve(std::string_view tensor_name) const override;
  bool runs_elsewhere() const override { return first_->runs_elsewhere(); }
  Result<PooledVector<RuntimeTensor>> Run(std::span<const TF_Output> feeds,
                                          std::span<TF_Tensor* const> feed_values,
                                          std::span<const TF_Output> fetches) const override;

 private:
  // What a place's `oper` points to: an operation in both sessions.
  struct Operation {
    Operation(std::string_view its_name, TF_Operation* in_first)
        : name(its_name), first(in_first) {}
    const std::string name;
    TF_Operation* first;
    TF_Operation* twin = nullptr;  // written before `ready` of any
    // Of the runs that fetch it first, which are taken for one kind.
    std::atomic<uint64_t> runs = 0;
    std::atomic<bool> ready = false;  // for the twin
    OneThreadCost cost;
  };

  // A copy of a run.
  struct Kept {
    std::vector<TF_Output> feeds;
    std::vector<RuntimeTensor> feed_values;
    std::vector<TF_Output> fetches;
  };

  // All files of a version directory: how large they are, and what tells whether one of them has
  // been changed or deleted.
  struct Files {
    uintmax_t bytes = 0;
    size_t hash = 0;
    bool operator==(const Files&) const = default;
  };

  // Nothing where they cannot be looked at.
  static std::optional<Files> FilesIn(const std::string& directory);
  static Operation& OperationOf(const TF_Output& place) {
    return *reinterpret_cast<Operation*>(place.oper);
  }
  // Has a thread make the twin ready for such runs.
  void Prepare(std::span<const TF_Output> feeds, std::span<TF_Tensor* const> feed_values,
               std::span<const TF_Output> fetches) const;
  void LoadTwin() const;
  // Has the twin carry out `run`, which its first time takes long.
  void WarmUp(const Kept& run) const;
  Result<PooledVector<RuntimeTensor>> RunIn(const Session& session,
                                            TF_Operation* Operation::*operation,
                                            std::span<const TF_Output> feeds,
                                            std::span<TF_Tensor* const> feed_values,
                                            std::span<const TF_Output> fetches) const;
  size_t Elements(std::span<TF_Tensor* const> tensors) const;

  const std::unique_ptr<Session> first_;
  const SavedModelOptions options_;
  const std::optional<Files> files_;  // that the first was loaded from
  mutable std::mutex mutex_;
  mutable std::map<TF_Operation*, std::unique_ptr<Operation>> operations_;  // by the first's
  mutable std::unique_ptr<Session> twin_;
  mutable std::atomic<bool> has_twin_ = false;
  mutable std::mutex preparing_;  // one thread at a time
  mutable std::vector<std::thread> loaders_;
};

}  // namespace fastserve
