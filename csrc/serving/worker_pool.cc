#include "serving/worker_pool.h"

#include <algorithm>
#include <utility>

#include "metrics/metrics.h"

namespace fastserve {

WorkerPool::WorkerPool(int threads) : usual_threads_(static_cast<size_t>(threads)) {
  for (size_t i = 0; i < usual_threads_; ++i) threads_.emplace_back([this] { Serve(); });
}

WorkerPool::~WorkerPool() { Stop(); }

bool WorkerPool::Post(const void* owner, std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return false;
  Lanes::value_type& entry = *lanes_.try_emplace(owner).first;
  if (entry.second.tasks.empty()) waiting_.push_back(&entry);
  entry.second.tasks.push_back({std::move(task), std::chrono::steady_clock::now()});
  Rouse();
  return true;
}

void WorkerPool::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

bool WorkerPool::MayBegin(const Lane& lane) const {
  return running_ < usual_threads_ || lane.running == 0;
}

WorkerPool::Lanes::value_type* WorkerPool::NextLane() {
  const auto next = std::find_if(waiting_.begin(), waiting_.end(),
                                 [this](const auto* entry) { return MayBegin(entry->second); });
  if (next == waiting_.end()) return nullptr;
  Lanes::value_type* entry = *next;
  waiting_.erase(next);
  return entry;
}

void WorkerPool::Rouse() {
  if (std::none_of(waiting_.begin(), waiting_.end(),
                   [this](const auto* entry) { return MayBegin(entry->second); })) {
    return;
  }
  if (idle_ > 0) {
    wake_.notify_one();
  } else if (!stopping_ && running_ == threads_.size() &&
             threads_.size() < usual_threads_ + kSpareThreads) {
    threads_.emplace_back([this] { Serve(); });
  }
}

void WorkerPool::RunNext(std::unique_lock<std::mutex>& lock, Lanes::value_type& entry) {
  Lane& lane = entry.second;
  Queued next = std::move(lane.tasks.front());
  lane.tasks.pop_front();
  ++lane.running;
  ++running_;
  if (!lane.tasks.empty()) waiting_.push_back(&entry);
  Rouse();
  lock.unlock();
  Metrics::Instance().worker_queue().Record(std::chrono::steady_clock::now() - next.since);
  next.task();
  next.task = nullptr;  // what it holds may be the last reference to a model
  lock.lock();
  --running_;
  --lane.running;
  if (lane.running == 0 && lane.tasks.empty()) lanes_.erase(entry.first);
}

void WorkerPool::Serve() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (Lanes::value_type* entry = NextLane()) {
      RunNext(lock, *entry);
    } else if (stopping_) {
      // What waits still is for the threads that run others of its owner.
      return;
    } else {
      ++idle_;
      wake_.wait(lock);
      --idle_;
    }
  }
}

}  // namespace fastserve
