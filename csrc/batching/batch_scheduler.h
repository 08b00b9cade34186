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
  // Guarded by the scheduler's mutex. The batches that run may outlive the queue.
  const std::shared_ptr<size_t> running_ = std::make_shared<size_t>(0);
  BatchQueue queue_;
};

// Threads that run batches. They are shared by all queues, which they serve by turns, one batch
// each. A batch is taken when a thread is free and not before, so it grows for as long as all
// threads are busy; where there are spare threads, a queue of which no batch runs is served by one
// of them then, so that one model's long runs do not hold up the others. Tasks whose deadline has
// passed, or for whom nobody waits, are dropped then, and cost no run.
class BatchScheduler {
 public:
  // `name` is that of the threads. Spare ones are made when they are first needed.
  BatchScheduler(int threads, const std::string& name, int spare_threads = 0);
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
    std::shared_ptr<size_t> running;  // of its queue
  };

  Status Add(ScheduledQueue& queue, std::shared_ptr<BatchTask> task);
  void Spawn();
  bool MayRun(const ScheduledQueue& queue) const;
  std::optional<Work> Take(BatchClock::time_point now);
  // Has a thread come for what may be run, or wait until it may.
  void Rouse();
  void Wait(std::unique_lock<std::mutex>& lock);
  void Run(std::unique_lock<std::mutex>& lock, Work work);
  void Serve();

  const size_t usual_threads_;
  const size_t most_threads_;
  const std::string name_;
  std::mutex mutex_;  // of all queues; never held over a run
  std::condition_variable wake_;
  std::list<ScheduledQueue*> waiting_;  // queues that are not empty; the next to be served first
  size_t running_ = 0;
  size_t idle_ = 0;
  bool hurrying_ = false;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace fastserve
