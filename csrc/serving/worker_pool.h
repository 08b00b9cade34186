#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>

#include "base/fair_threads.h"

namespace fastserve {

// FairThreads that run what would hold up an I/O thread for too long. Tasks go by owner, as the
// model that they run: owners take turns, and the tasks of one are begun first come first served.
class WorkerPool {
 public:
  explicit WorkerPool(int threads) : threads_(threads, kSpareThreads, "worker") {}

  // Queues `task`; `owner` is a name only. After Stop() the task is dropped unrun, and the answer
  // is false. Any thread.
  bool Post(const void* owner, std::function<void()> task);
  // Runs what is queued, then joins the threads.
  void Stop() { threads_.Stop(); }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr int kSpareThreads = 8;

  // One owner's tasks.
  class Lane : public FairQueue {
   public:
    void Add(std::function<void()> task) { tasks_.push_back({std::move(task), Clock::now()}); }
    bool empty() const { return tasks_.empty(); }
    std::optional<std::function<void()>> Take(Clock::time_point now);
    std::optional<Clock::time_point> NextRunnable() const { return tasks_.front().since; }

   private:
    struct Queued {
      std::function<void()> task;
      Clock::time_point since;
    };
    std::deque<Queued> tasks_;
  };

  Lane& LaneOf(const void* owner);

  std::unordered_map<const void*, Lane> lanes_;  // guarded by the threads' mutex
  FairThreads<Lane> threads_;
};

}  // namespace fastserve
