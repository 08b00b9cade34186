#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "base/block_pool.h"
#include "batching/batch_scheduler.h"
#include "metrics/batching_metrics.h"
#include "serving/session_run.h"

namespace fastserve {

class RunTask;

// Puts the runs of one servable's requests together, by the rules of upstream's
// batching/batching_session.cc where batch_queue.h names no other: requests that feed and fetch the
// same sets of tensors share a queue, but those of a signature with options of its own, which share
// one among themselves. Any thread.
class Batcher {
 public:
  // `session` and `metrics` must outlive this and every request.
  Batcher(const Session& session, std::shared_ptr<BatchScheduler> scheduler,
          std::shared_ptr<const BatchPolicy> policy, BatchingMetrics& metrics);

  // Whether a request need not wait, by the options of its signature, so that there is no harm in
  // RunAlone().
  bool RunsAlone(std::string_view signature) const;
  // Runs `request` on the calling thread, with the checks that it would meet in a batch.
  Result<RunOutputs> RunAlone(const RunRequest& request, std::string_view signature) const;
  // Runs `request` with others; the task hears of it on a thread of the scheduler, or at once
  // where it is refused.
  void Submit(RunRequest request, std::shared_ptr<RunTask> task) const;

 private:
  using Places = PooledVector<TF_Output>;
  using Options = BatchPolicy::Options::value_type;
  struct PlaceLess {
    bool operator()(const TF_Output& a, const TF_Output& b) const;
  };
  struct Key {
    std::string options;  // the name that they stand under
    Places feeds;         // each sorted and without repetition
    Places fetches;
  };
  struct KeyLess {
    bool operator()(const Key& a, const Key& b) const;
  };
  // The requests that feed and fetch these, in the order of the first one's. Owned by those that
  // wait in it, too: one with other options may take its place.
  struct Queue {
    std::shared_ptr<const Options> options;
    Places feeds;
    Places fetches;
    std::unique_ptr<ScheduledQueue> batches;
  };
  class Request;

  Status Enqueue(RunRequest& request, const std::shared_ptr<RunTask>& task) const;
  std::shared_ptr<Queue> QueueOf(const RunRequest& request, std::string_view signature) const;
  std::shared_ptr<Queue> MakeQueue(const RunRequest& request,
                                   std::shared_ptr<const Options> options) const;
  template <class Note>
  static void ForEachTrace(const Batch& batch, Note note);
  void Run(const Queue& queue, const Batch& batch) const;
  void RecordTaken(const Queue& queue, const Batch& batch) const;
  Result<RunOutputs> RunBatch(const Queue& queue, const Batch& batch, int64_t padded) const;

  const Session& session_;
  const std::shared_ptr<BatchScheduler> scheduler_;
  const std::shared_ptr<const BatchPolicy> policy_;
  BatchingMetrics& metrics_;
  mutable std::mutex mutex_;
  mutable std::map<Key, std::shared_ptr<Queue>, KeyLess> queues_;
};

}  // namespace fastserve
