#include "serving/run_task.h"

#include <utility>

#include "serving/batcher.h"

namespace fastserve {
namespace {

Result<RunRequest> Prepare(RunTask& task) {
  const TimedStage decoding(task.trace(), Stage::kDecode);
  return task.Prepare();
}

Result<RunOutputs> Run(const RunTask& task, const RunRequest& request) {
  const TimedStage running(task.trace(), Stage::kRun);
  const Batcher* batcher = task.servable().batcher();
  return batcher != nullptr ? batcher->RunAlone(request, task.subject().first().signature.name)
                            : RunNow(task.servable().session(), request);
}

}  // namespace

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
  const Result<RunRequest> request = Prepare(task);
  if (!request.ok()) return request.status();
  Result<RunOutputs> ran = Run(task, *request);
  if (!ran.ok()) return ran;
  const auto elapsed = RunTask::Clock::now() - start;
  task.subject().RecordCost(elapsed);
  task.subject().RecordRun(elapsed);
  return ran;
}

void Enqueue(std::shared_ptr<RunTask> task) {
  Result<RunRequest> request = Prepare(*task);
  if (!request.ok()) return task->Finish(request.status());
  const Batcher& batcher = *task->servable().batcher();
  batcher.Submit(std::move(*request), std::move(task));
}

bool Post(std::shared_ptr<RunTask> task, WorkerPool& workers) {
  const Servable* owner = &task->servable();
  if (RequestTrace* trace = task->trace()) trace->Begin(Stage::kQueue);
  return workers.Post(owner, [task = std::move(task)] {
    if (RequestTrace* trace = task->trace()) trace->End(Stage::kQueue);
    if (!task->abandoned()) task->Finish(RunHere(*task));
  });
}

}  // namespace fastserve
