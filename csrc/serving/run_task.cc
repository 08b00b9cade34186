#include "serving/run_task.h"

#include "serving/batcher.h"

namespace fastserve {

RunPlace PlaceOf(const RunTask& task) {
  const RunSubject& subject = task.subject();
  if (const Batcher* batcher = task.servable().batcher()) {
    const bool alone = subject.IsTrivial() && batcher->RunsAlone(subject.first().signature.name);
    return alone ? RunPlace::kHere : RunPlace::kBatch;
  }
  return subject.IsCheap() ? RunPlace::kHere : RunPlace::kWorker;
}

Result<RunOutputs> RunHere(RunTask& task) {
  const auto start = RunTask::Clock::now();
  if (task.deadline() && *task.deadline() <= start) {
    return Status::DeadlineExceeded("Timed out waiting for notification");
  }
  const Result<RunRequest> request = task.Prepare();
  if (!request.ok()) return request.status();
  const Batcher* batcher = task.servable().batcher();
  Result<RunOutputs> ran = batcher != nullptr
                               ? batcher->RunAlone(*request, task.subject().first().signature.name)
                               : RunNow(task.servable().session(), *request);
  if (!ran.ok()) return ran;
  const auto elapsed = RunTask::Clock::now() - start;
  task.subject().RecordCost(elapsed);
  task.subject().RecordRun(elapsed);
  return ran;
}

void Enqueue(std::shared_ptr<RunTask> task) {
  Result<RunRequest> request = task->Prepare();
  if (!request.ok()) return task->Finish(request.status());
  const Batcher& batcher = *task->servable().batcher();
  batcher.Submit(std::move(*request), std::move(task));
}

}  // namespace fastserve
