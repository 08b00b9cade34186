#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/fair_threads.h"
#include "batching/batch_queue.h"

namespace fastserve {

class BatchScheduler;

// A BatchQueue that a scheduler's threads serve. Any thread.
class ScheduledQueue : private FairQueue {
 public:
  // Runs a batch on one of the scheduler's threads; several at the same time. What it needs it must
  // keep alive itself, or the batch's tasks must.
  using Runner = std::function<void(Batch batch)>;

  // `scheduler` must outlive every Add(), and what is added; it need not outlive this object, which
  // may be destroyed on one of the scheduler's threads.
  ScheduledQueue(BatchScheduler& scheduler, BatchingOptions options, Runner run);
  // REQUIRES: no task waits.
  ~ScheduledQueue();
  ScheduledQueue(const ScheduledQueue&) = delete;
  ScheduledQueue& operator=(const ScheduledQueue&) = delete;

  // As BatchQueue::Add(); kUnavailable once the scheduler has stopped.
  Status Add(std::shared_ptr<BatchTask> task);

 private:
  friend class BatchScheduler;
  friend class FairThreads<ScheduledQueue>;
  // A batch and what runs it.
  struct Work {
    Batch batch;
    std::shared_ptr<const Runner> run;
    void operator()();
  };

  bool empty() const { return queue_.empty(); }
  std::optional<Work> Take(BatchClock::time_point now);
  std::optional<BatchClock::time_point> NextRunnable() const { return queue_.NextRunnable(); }

  BatchScheduler& scheduler_;
  const std::shared_ptr<const Runner> run_;  // the batches that run may outlive the queue
  BatchQueue queue_;                         // guarded by the scheduler's mutex
};

// FairThreads that run batches of all queues. A batch is taken when a thread is free and not
// before, so it grows for as long as all threads are busy. Tasks whose deadline has passed, or for
// whom nobody waits, are dropped then, and cost no run.
class BatchScheduler {
 public:
  BatchScheduler(int threads, const std::string& name, int spare_threads = 0)
      : threads_(threads, spare_threads, name) {}
  ~BatchScheduler() { Stop(); }  // so not on one of the threads
  BatchScheduler(const BatchScheduler&) = delete;
  BatchScheduler& operator=(const BatchScheduler&) = delete;

  // From now on no batch waits for its timeout.
  void StopWaiting();
  // Runs what waits, then joins the threads; nothing more is taken. Not on one of the threads.
  void Stop();

 private:
  friend class ScheduledQueue;

  Status Add(ScheduledQueue& queue, std::shared_ptr<BatchTask> task);

  bool hurrying_ = false;  // guarded by the threads' mutex
  FairThreads<ScheduledQueue> threads_;
};

}  // namespace fastserve
