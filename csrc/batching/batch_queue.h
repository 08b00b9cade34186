#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/inline_vector.h"
#include "base/status.h"
#include "batching/batching_options.h"

namespace fastserve {

using BatchClock = std::chrono::steady_clock;

// What tasks must have in common to share a batch, in any encoding; see KindOf() in row_tensors.h.
using BatchKind = InlineVector<int64_t, 12>;

// One request that waits for its batch. Pieces of it may be run at the same time.
class BatchTask {
 public:
  // `rows` is not negative. `deadline`: after it there is no use in a run.
  BatchTask(BatchKind kind, int64_t rows, std::optional<BatchClock::time_point> deadline)
      : kind_(std::move(kind)), rows_(rows), deadline_(deadline) {}
  virtual ~BatchTask() = default;

  const BatchKind& kind() const { return kind_; }
  int64_t rows() const { return rows_; }
  std::optional<BatchClock::time_point> deadline() const { return deadline_; }

  // Told before the first piece can be taken: how many there are.
  virtual void SetPieces(size_t count) = 0;
  // Whether nobody waits for the outcome any more. Any thread.
  virtual bool abandoned() const = 0;
  // Piece `index` will not be run. Any thread.
  virtual void FailPiece(size_t index, const Status& status) = 0;

 private:
  const BatchKind kind_;
  const int64_t rows_;
  const std::optional<BatchClock::time_point> deadline_;
};

// Rows of a task: all, or, where the task was cut, some.
struct BatchPiece {
  std::shared_ptr<BatchTask> task;
  size_t index;  // among the task's pieces
  int64_t begin;
  int64_t rows;
  BatchClock::time_point since;  // when it began to wait
};

// Pieces of one kind that are run together, in order of arrival.
struct Batch {
  std::vector<BatchPiece> pieces;
  int64_t rows = 0;
};

// Forms batches, as upstream's SharedBatchScheduler does with one queue, but for this: only tasks
// of one kind share a batch, so that one request's odd shape is not everybody's error, and each
// kind has the queue's bounds for itself (all kinds together hold no more rows than one may).
// No thread, lock or clock of its own: the caller sees to that.
class BatchQueue {
 public:
  explicit BatchQueue(BatchingOptions options) : options_(std::move(options)) {}

  const BatchingOptions& options() const { return options_; }

  // Puts the task into the open batch of its kind, or into new ones. kInvalidArgument where it is
  // larger than any request may be, kUnavailable where the queue is full; texts as upstream's.
  Status Add(std::shared_ptr<BatchTask> task, BatchClock::time_point now);
  // The next batch to run: the oldest one that is full or has waited for long enough. Empty when
  // there is none.
  std::optional<Batch> Take(BatchClock::time_point now);
  // When Take() will have something, unless more is added; nothing for an empty queue.
  std::optional<BatchClock::time_point> NextRunnable() const;
  // From now on batches need not be full to be run.
  void Close() { closed_ = true; }

  bool empty() const { return waiting_.empty(); }

 private:
  struct Waiting {
    BatchKind kind;
    Batch batch;
    BatchClock::time_point since;
    bool open;  // takes more pieces
  };
  using Iterator = std::list<Waiting>::iterator;
  // The batches of one kind.
  struct Lane {
    int64_t batches = 0;
    std::optional<Iterator> open;
  };
  struct KindHash {
    size_t operator()(const BatchKind& kind) const;
  };

  int64_t capacity() const;  // batches of a lane
  // `room`: of the lane's open batch, in rows.
  Status CheckRoom(const Lane& lane, int64_t room, int64_t rows) const;
  void Append(Lane& lane, BatchPiece piece);
  void CloseBatch(Lane& lane);
  BatchClock::time_point RunnableAt(const Waiting& waiting) const;

  const BatchingOptions options_;
  std::list<Waiting> waiting_;  // in order of their first pieces' arrival
  std::unordered_map<BatchKind, Lane, KindHash> lanes_;
  int64_t rows_ = 0;
  bool closed_ = false;
};

}  // namespace fastserve
