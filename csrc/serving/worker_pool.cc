#include "serving/worker_pool.h"

#include <utility>

namespace fastserve {

WorkerPool::WorkerPool(int threads) {
  threads_.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

WorkerPool::~WorkerPool() { Stop(); }

bool WorkerPool::Post(std::function<void()> task) { return tasks_.Push(std::move(task)); }

void WorkerPool::Stop() {
  tasks_.Close();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void WorkerPool::Run() {
  while (const auto task = tasks_.Next()) (*task)();
}

}  // namespace fastserve
