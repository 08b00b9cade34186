#include "batching/batch_queue.h"

#include <algorithm>
#include <string>
#include <utility>

namespace fastserve {
namespace {

const std::string kFull = "The batch scheduling queue to which this task was submitted is full; ";

}  // namespace

size_t BatchQueue::KindHash::operator()(const BatchKind& kind) const {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a, word by word
  for (const int64_t word : kind) hash = (hash ^ static_cast<uint64_t>(word)) * 0x100000001b3;
  return hash;
}

int64_t BatchQueue::capacity() const { return std::max<int64_t>(1, options_.max_enqueued_batches); }

Status BatchQueue::CheckRoom(const Lane& lane, int64_t room, int64_t rows) const {
  const int64_t limit = options_.execution_size();
  if (!options_.enable_large_batch_splitting) {
    if (rows <= room) return {};
    if (lane.batches < capacity() && rows_ + rows <= capacity() * limit) return {};
    return Status::Unavailable(kFull + "currently " + std::to_string(waiting_.size()) +
                               " batches enqueued and max_enqueued_batches is " +
                               std::to_string(capacity()));
  }
  const int64_t free = std::min((capacity() - lane.batches) * limit + room,  // of the lane, of all
                                capacity() * limit - rows_);
  if (rows <= free) return {};
  return Status::Unavailable(kFull + "task size is " + std::to_string(rows) +
                             " but scheduling capacity is only " + std::to_string(free) +
                             " (num_enqueued_batches=" + std::to_string(lane.batches) +
                             ", max_enqueued_batches=" + std::to_string(capacity()) +
                             ", open_batch_size=" + std::to_string(room > 0 ? limit - room : 0) +
                             ", max_execution_batch_size=" + std::to_string(limit) + ")");
}

void BatchQueue::CloseBatch(Lane& lane) {
  if (lane.open) (*lane.open)->open = false;
  lane.open.reset();
}

void BatchQueue::Append(Lane& lane, BatchPiece piece) {
  const int64_t limit = options_.execution_size();
  if (lane.open && (*lane.open)->batch.rows + piece.rows > limit) CloseBatch(lane);
  if (!lane.open) {
    waiting_.push_back({piece.task->kind(), {}, piece.since, true});
    lane.open = std::prev(waiting_.end());
    ++lane.batches;
  }
  Batch& batch = (*lane.open)->batch;
  batch.rows += piece.rows;
  rows_ += piece.rows;
  batch.pieces.push_back(std::move(piece));
  if (batch.rows >= limit) CloseBatch(lane);
}

Status BatchQueue::Add(std::shared_ptr<BatchTask> task, BatchClock::time_point now) {
  const int64_t rows = task->rows();
  FASTSERVE_RETURN_IF_ERROR(options_.CheckTaskSize(rows));
  const auto [entry, is_new] = lanes_.try_emplace(task->kind());
  Lane& lane = entry->second;
  const int64_t limit = options_.execution_size();
  const int64_t room = lane.open ? limit - (*lane.open)->batch.rows : 0;  // an open batch has some
  if (Status status = CheckRoom(lane, room, rows); !status.ok()) {
    if (is_new) lanes_.erase(entry);
    return status;
  }
  // Of a task that is cut, the first piece fills the open batch and the others have their own.
  int64_t size = options_.enable_large_batch_splitting ? (room > 0 ? room : limit) : rows;
  const int64_t others = std::max<int64_t>(0, rows - size);
  task->SetPieces(static_cast<size_t>(1 + (others + limit - 1) / limit));
  size_t index = 0;
  int64_t begin = 0;
  do {
    size = std::min(size, rows - begin);
    Append(lane, {task, index++, begin, size, now});
    begin += size;
    size = limit;
  } while (begin < rows);
  return {};
}

BatchClock::time_point BatchQueue::RunnableAt(const Waiting& waiting) const {
  return waiting.open && !closed_ ? waiting.since + options_.batch_timeout : waiting.since;
}

std::optional<Batch> BatchQueue::Take(BatchClock::time_point now) {
  const auto next = std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiting& waiting) {
    return RunnableAt(waiting) <= now;
  });
  if (next == waiting_.end()) return std::nullopt;
  const auto lane = lanes_.find(next->kind);
  if (next->open) CloseBatch(lane->second);
  if (--lane->second.batches == 0) lanes_.erase(lane);
  rows_ -= next->batch.rows;
  Batch batch = std::move(next->batch);
  waiting_.erase(next);
  return batch;
}

std::optional<BatchClock::time_point> BatchQueue::NextRunnable() const {
  std::optional<BatchClock::time_point> next;
  for (const Waiting& waiting : waiting_) {
    const BatchClock::time_point at = RunnableAt(waiting);
    if (!next || at < *next) next = at;
    // Batches are in order of arrival, so no later one is runnable before it has come.
    if (!waiting.open || closed_) break;
  }
  return next;
}

}  // namespace fastserve
