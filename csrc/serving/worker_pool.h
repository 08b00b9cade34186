#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

namespace fastserve {

// Threads that run what would hold up an I/O thread for too long. Tasks go by owner, as the model
// that they run: owners take turns, and the tasks of one are begun first come first served. While
// all threads are busy, an owner of whose tasks none runs is served by a spare thread, which is
// made when it is first needed: one slow model leaves the others their share of the CPUs.
class WorkerPool {
 public:
  static constexpr size_t kSpareThreads = 8;

  explicit WorkerPool(int threads);
  ~WorkerPool();  // as Stop()
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Queues `task`; `owner` is a name only. After Stop() the task is dropped unrun, and the answer
  // is false. Any thread.
  bool Post(const void* owner, std::function<void()> task);
  // Runs what is queued, then joins the threads.
  void Stop();

 private:
  struct Queued {
    std::function<void()> task;
    std::chrono::steady_clock::time_point since;
  };
  struct Lane {
    std::deque<Queued> tasks;
    size_t running = 0;
  };
  using Lanes = std::unordered_map<const void*, Lane>;

  bool MayBegin(const Lane& lane) const;
  // The lane whose turn it is, taken off the waiting ones; null when none may begin a task.
  Lanes::value_type* NextLane();
  // Has a thread come for what may be begun.
  void Rouse();
  void RunNext(std::unique_lock<std::mutex>& lock, Lanes::value_type& entry);
  void Serve();

  const size_t usual_threads_;
  std::mutex mutex_;  // not held over a task
  std::condition_variable wake_;
  Lanes lanes_;                            // of owners with tasks
  std::list<Lanes::value_type*> waiting_;  // those with tasks to begin; the next to be served first
  size_t running_ = 0;
  size_t idle_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace fastserve
