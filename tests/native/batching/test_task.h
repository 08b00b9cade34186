#pragma once

#include <atomic>
#include <future>

#include "batching/batch_queue.h"

namespace fastserve {

// A task that keeps what it is told.
class TestTask final : public BatchTask {
 public:
  explicit TestTask(int64_t rows, int64_t kind = 0,
                    std::optional<BatchClock::time_point> deadline = std::nullopt)
      : BatchTask(BatchKind{kind}, rows, deadline) {}

  void SetPieces(size_t count) override { pieces = count; }
  bool abandoned() const override { return gone; }
  void FailPiece(size_t, const Status& status) override { outcome.set_value(status); }

  size_t pieces = 0;
  std::atomic<bool> gone = false;
  std::promise<Status> outcome;  // of a task of one piece
};

}  // namespace fastserve
