#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "metrics/request_trace.h"
#include "serving/run_subject.h"
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
  // The same as long as the task is there.
  virtual const RunSubject& subject() const = 0;
  // Decodes and checks the request. Once.
  virtual Result<RunRequest> Prepare() = 0;
  // Takes the outcome. Once.
  virtual void Finish(Result<RunOutputs> ran) = 0;
  // Where its stages are noted; null: nowhere. The same as long as the task is there.
  virtual RequestTrace* trace() const { return nullptr; }
};

// Where a task is run: on the thread that has it, among others by its servable's batcher, or on
// the worker pool.
enum class RunPlace { kHere, kBatch, kWorker };

// The place for a task that an I/O thread, or the like, has.
RunPlace PlaceOf(const RunTask& task);

// Runs the task on the calling thread and gives its outcome, which is kDeadlineExceeded, without a
// run, when its time is over.
Result<RunOutputs> RunHere(RunTask& task);

// Has the task run by the batcher, which must be there. Finish() comes at once or on another
// thread.
void Enqueue(std::shared_ptr<RunTask> task);

// Has the task run by a thread of the pool. False, and there will be no Finish(), once the pool has
// stopped.
bool Post(std::shared_ptr<RunTask> task, WorkerPool& workers);

// Has the task of a gRPC call run where it belongs. `Task` is moved, to the heap only when it has
// to wait.
template <class Task>
void Dispatch(Task task, WorkerPool& workers) {
  switch (PlaceOf(task)) {
    case RunPlace::kHere:
      return task.Finish(RunHere(task));
    case RunPlace::kBatch:
      return Enqueue(std::make_shared<Task>(std::move(task)));
    case RunPlace::kWorker:
      Post(std::make_shared<Task>(std::move(task)), workers);
  }
}

}  // namespace fastserve
