#pragma once

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
  void Run();

  BlockingQueue<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;
};

}  // namespace fastserve
