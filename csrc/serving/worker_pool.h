#pragma once

#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "base/blocking_queue.h"

namespace fastserve {

// Threads that run what would hold up an I/O thread for too long, first come first served.
class WorkerPool {
 public:
  explicit WorkerPool(int threads);
  ~WorkerPool();  // as Stop()
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Queues `task`. After Stop() it is dropped unrun, and the answer is false. Any thread.
  bool Post(std::function<void()> task);
  // Runs what is queued, then joins the threads.
  void Stop();

 private:
  struct Queued {
    std::function<void()> task;
    std::chrono::steady_clock::time_point since;
  };

  void Run();

  BlockingQueue<Queued> tasks_;
  std::vector<std::thread> threads_;
};

}  // namespace fastserve
