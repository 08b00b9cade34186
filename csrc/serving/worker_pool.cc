#include "serving/worker_pool.h"

#include <utility>

#include "metrics/metrics.h"

namespace fastserve {

WorkerPool::WorkerPool(int threads) {
  threads_.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

WorkerPool::~WorkerPool() { Stop(); }

bool WorkerPool::Post(std::function<void()> task) {
  return tasks_.Push({std::move(task), std::chrono::steady_clock::now()});
}

void WorkerPool::Stop() {
  tasks_.Close();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void WorkerPool::Run() {
  while (const auto queued = tasks_.Next()) {
    Metrics::Instance().worker_queue().Record(std::chrono::steady_clock::now() - queued->since);
    queued->task();
  }
}

}  // namespace fastserve
