#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "serving/servable.h"
#include "serving/session_run.h"
#include "serving/worker_pool.h"

namespace fastserve {

// A request between routing and answer; keeps alive what its RunRequest borrows.
// Threads: one at a time, but for abandoned().
class RunTask {
 public:
  using Clock = std::chrono::steady_clock;

  virtual ~RunTask() = default;
  virtual const Servable& servable() const = 0;
  // After it a run is of no use.
  virtual std::optional<Clock::time_point> deadline() const = 0;
  // Whether nobody waits any more. Any thread.
  virtual bool abandoned() const = 0;
  // Whether a run is expected to be short; see RunCost.
  virtual bool IsCheap() const = 0;
  // Decodes and checks the request. Once.
  virtual Result<RunRequest> Prepare() = 0;
  // Told how long Prepare() and the run took, where it was run on its own.
  virtual void RecordCost(std::chrono::nanoseconds elapsed) const = 0;
  // Takes the outcome. Once.
  virtual void Finish(Result<RunOutputs> ran) = 0;
};

// Runs the task on the calling thread and gives its outcome, which is kDeadlineExceeded, without a
// run, when its time is over.
Result<RunOutputs> RunHere(RunTask& task);

// Has the task run among others by its servable's batcher, which must be there. Finish() comes at
// once or on another thread.
void Enqueue(std::shared_ptr<RunTask> task);

// Has a gRPC call's task run where it belongs: by the batcher, if its servable has one; on the
// calling thread, an I/O thread, if the run is cheap; on the worker pool. `Task` is moved, to the
// heap only when it has to wait.
template <class Task>
void Dispatch(Task task, WorkerPool& workers) {
  if (task.servable().batcher() != nullptr) {
    return Enqueue(std::make_shared<Task>(std::move(task)));
  }
  if (task.IsCheap()) return task.Finish(RunHere(task));
  workers.Post([held = std::make_shared<Task>(std::move(task))] {
    if (!held->abandoned()) held->Finish(RunHere(*held));
  });
}

}  // namespace fastserve
