#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "batching/batch_queue.h"

namespace fastserve {

class BatchScheduler;

// A BatchQueue that a scheduler's threads serve. Any thread.
class ScheduledQueue {
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

  BatchScheduler& scheduler_;
  const std::shared_ptr<const Runner> run_;
  BatchQueue queue_;  // guarded by the scheduler's mutex
};

// Threads that run batches. They are shared by all queues, which they serve by turns, one batch
// each. A batch is taken when a thread is free and not before, so it grows for as long as all
// threads are busy. Tasks whose deadline has passed, or for whom nobody waits, are dropped then,
// and cost no run.
class BatchScheduler {
 public:
  // `name` is that of the threads.
  BatchScheduler(int threads, const std::string& name);
  ~BatchScheduler();  // as Stop(), so not on one of the threads
  BatchScheduler(const BatchScheduler&) = delete;
  BatchScheduler& operator=(const BatchScheduler&) = delete;

  // From now on no batch waits for its timeout.
  void StopWaiting();
  // Runs what waits, then joins the threads; nothing more is taken. Not on one of the threads.
  void Stop();

 private:
  friend class ScheduledQueue;
  // A batch and what runs it.
  struct Work {
    Batch batch;
    std::shared_ptr<const ScheduledQueue::Runner> run;
  };

  Status Add(ScheduledQueue& queue, std::shared_ptr<BatchTask> task);
  std::optional<Work> Take(BatchClock::time_point now);
  void Wait(std::unique_lock<std::mutex>& lock);
  void Serve();

  std::mutex mutex_;  // of all queues; never held over a run
  std::condition_variable wake_;
  std::list<ScheduledQueue*> waiting_;  // queues that are not empty; the next to be served first
  int idle_ = 0;
  bool hurrying_ = false;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace fastserve
