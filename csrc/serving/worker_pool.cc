#include "serving/worker_pool.h"

#include <mutex>
#include <utility>

#include "metrics/metrics.h"

namespace fastserve {

bool WorkerPool::Post(const void* owner, std::function<void()> task) {
  const std::lock_guard lock(threads_.mutex());
  if (!threads_.serving()) return false;
  Lane& lane = LaneOf(owner);
  const bool was_empty = lane.empty();
  lane.Add(std::move(task));
  threads_.OnAdded(lane, was_empty);
  return true;
}

WorkerPool::Lane& WorkerPool::LaneOf(const void* owner) {
  if (const auto known = lanes_.find(owner); known != lanes_.end()) return known->second;
  // Some of the others may be of models that are gone.
  std::erase_if(lanes_,
                [](const auto& entry) { return entry.second.empty() && !entry.second.running(); });
  return lanes_[owner];
}

std::optional<std::function<void()>> WorkerPool::Lane::Take(Clock::time_point now) {
  Queued next = std::move(tasks_.front());
  tasks_.pop_front();
  Metrics::Instance().worker_queue().Record(now - next.since);
  return std::move(next.task);
}

}  // namespace fastserve
