#include "batching/batch_scheduler.h"

#include <cassert>
#include <mutex>
#include <utility>
#include <vector>

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

std::optional<ScheduledQueue::Work> ScheduledQueue::Take(BatchClock::time_point now) {
  std::optional<Batch> batch = queue_.Take(now);
  if (!batch) return std::nullopt;
  return Work{std::move(*batch), run_};
}

void ScheduledQueue::Work::operator()() {
  DropUseless(batch, BatchClock::now());
  if (!batch.pieces.empty()) (*run)(std::move(batch));
}

void BatchScheduler::StopWaiting() {
  const std::lock_guard lock(threads_.mutex());
  hurrying_ = true;
  threads_.ChangeAll([](ScheduledQueue& queue) { queue.queue_.Close(); });
}

void BatchScheduler::Stop() {
  StopWaiting();
  threads_.Stop();
}

Status BatchScheduler::Add(ScheduledQueue& queue, std::shared_ptr<BatchTask> task) {
  const std::lock_guard lock(threads_.mutex());
  if (!threads_.serving()) return Status::Unavailable("The server is shutting down");
  if (hurrying_) queue.queue_.Close();
  const bool was_empty = queue.empty();
  FASTSERVE_RETURN_IF_ERROR(queue.queue_.Add(std::move(task), BatchClock::now()));
  threads_.OnAdded(queue, was_empty);
  return {};
}

}  // namespace fastserve
