#include "batching/batch_scheduler.h"

#include <pthread.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace fastserve {
namespace {

// Takes the pieces out of the batch that are of no use any more.
void DropUseless(Batch& batch, BatchClock::time_point now) {
  std::erase_if(batch.pieces, [&](const BatchPiece& piece) {
    const bool late = piece.task->deadline() && *piece.task->deadline() <= now;
    if (!late && !piece.task->abandoned()) return false;
    batch.rows -= piece.rows;
    piece.task->FailPiece(
        piece.index,
        late ? Status::ResourceExhausted("Run() timeout exceeded while waiting in batching queue")
             : Status::Cancelled("nobody waits for the outcome"));
    return true;
  });
}

}  // namespace

ScheduledQueue::ScheduledQueue(BatchScheduler& scheduler, BatchingOptions options, Runner run)
    : scheduler_(scheduler),
      run_(std::make_shared<const Runner>(std::move(run))),
      queue_(std::move(options)) {}

ScheduledQueue::~ScheduledQueue() { assert(queue_.empty()); }

Status ScheduledQueue::Add(std::shared_ptr<BatchTask> task) {
  return scheduler_.Add(*this, std::move(task));
}

BatchScheduler::BatchScheduler(int threads, const std::string& name, int spare_threads)
    : usual_threads_(static_cast<size_t>(threads)),
      most_threads_(static_cast<size_t>(threads + spare_threads)),
      name_(name.substr(0, 15)) {  // the kernel keeps so many characters
  for (size_t i = 0; i < usual_threads_; ++i) Spawn();
}

void BatchScheduler::Spawn() {
  threads_.emplace_back([this] { Serve(); });
  ::pthread_setname_np(threads_.back().native_handle(), name_.c_str());
}

BatchScheduler::~BatchScheduler() { Stop(); }

void BatchScheduler::StopWaiting() {
  const std::lock_guard lock(mutex_);
  hurrying_ = true;
  for (ScheduledQueue* queue : waiting_) queue->queue_.Close();
  wake_.notify_all();
}

void BatchScheduler::Stop() {
  StopWaiting();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

Status BatchScheduler::Add(ScheduledQueue& queue, std::shared_ptr<BatchTask> task) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return Status::Unavailable("The server is shutting down");
  if (hurrying_) queue.queue_.Close();
  const bool was_empty = queue.queue_.empty();
  FASTSERVE_RETURN_IF_ERROR(queue.queue_.Add(std::move(task), BatchClock::now()));
  if (was_empty) waiting_.push_back(&queue);
  Rouse();
  return {};
}

bool BatchScheduler::MayRun(const ScheduledQueue& queue) const {
  return running_ < usual_threads_ || *queue.running_ == 0;
}

void BatchScheduler::Rouse() {
  if (std::none_of(waiting_.begin(), waiting_.end(),
                   [this](const ScheduledQueue* queue) { return MayRun(*queue); })) {
    return;
  }
  if (idle_ > 0) {
    wake_.notify_one();
  } else if (!stopping_ && running_ == threads_.size() && threads_.size() < most_threads_) {
    Spawn();
  }
}

std::optional<BatchScheduler::Work> BatchScheduler::Take(BatchClock::time_point now) {
  for (auto next = waiting_.begin(); next != waiting_.end(); ++next) {
    ScheduledQueue* queue = *next;
    if (!MayRun(*queue)) continue;
    std::optional<Batch> batch = queue->queue_.Take(now);
    if (!batch) continue;
    waiting_.erase(next);
    if (!queue->queue_.empty()) waiting_.push_back(queue);
    return Work{std::move(*batch), queue->run_, queue->running_};
  }
  return std::nullopt;
}

void BatchScheduler::Wait(std::unique_lock<std::mutex>& lock) {
  std::optional<BatchClock::time_point> until;
  for (const ScheduledQueue* queue : waiting_) {
    if (!MayRun(*queue)) continue;
    const auto next = queue->queue_.NextRunnable();
    if (next && (!until || *next < *until)) until = next;
  }
  ++idle_;
  if (until) {
    wake_.wait_until(lock, *until);
  } else {
    wake_.wait(lock);
  }
  --idle_;
}

void BatchScheduler::Run(std::unique_lock<std::mutex>& lock, Work work) {
  const std::shared_ptr<size_t> of_queue = std::move(work.running);
  ++*of_queue;
  ++running_;
  Rouse();
  lock.unlock();
  DropUseless(work.batch, BatchClock::now());
  if (!work.batch.pieces.empty()) (*work.run)(std::move(work.batch));
  work = {};  // what it holds may be the last reference to a model
  lock.lock();
  --running_;
  --*of_queue;
}

void BatchScheduler::Serve() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (std::optional<Work> work = Take(BatchClock::now())) {
      Run(lock, std::move(*work));
    } else if (stopping_) {
      // What waits still is for the threads that run others of its queue.
      return;
    } else {
      Wait(lock);
    }
  }
}

}  // namespace fastserve
