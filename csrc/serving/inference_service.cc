#include "serving/inference_service.h"

#include <memory>
#include <string>
#include <utility>

namespace fastserve {
namespace {

// One request between routing and answer.
struct Task {
  CallPtr call;
  ByteBuffer bytes;
  ServablePtr servable;
  InferenceJob job;  // borrows from both

  void Execute() const {
    Result<ByteChain> answer = job.Run();
    if (!answer.ok()) return call->Finish(answer.status());
    call->Reply(std::move(*answer));
  }
};

}  // namespace

void InferenceService::Register(GrpcServer& server) {
  const auto add = [&](const char* method, InferenceRpc rpc) {
    server.AddUnary(std::string("/tensorflow.serving.PredictionService/") + method,
                    {.handle = [this, rpc](CallPtr call, ByteBuffer bytes) {
                      Handle(rpc, std::move(call), std::move(bytes));
                    }});
  };
  add("Classify", InferenceRpc::kClassify);
  add("Regress", InferenceRpc::kRegress);
  add("MultiInference", InferenceRpc::kMultiInference);
}

void InferenceService::Handle(InferenceRpc rpc, CallPtr call, ByteBuffer bytes) {
  Result<InferenceJob> job = InferenceJob::Parse(rpc, bytes.view());
  if (!job.ok()) return call->Finish(job.status());
  const Result<ModelSpecView> spec = job->model_spec();
  if (!spec.ok()) return call->Finish(spec.status());
  Result<ServablePtr> servable = FindServable(router_, *spec);
  if (!servable.ok()) return call->Finish(servable.status());
  if (Status status = job->Bind(**servable, options_); !status.ok()) return call->Finish(status);
  const bool cheap = job->IsCheap();
  Task task{std::move(call), std::move(bytes), std::move(*servable), std::move(*job)};
  if (cheap) return task.Execute();
  workers_.Post([held = std::make_shared<const Task>(std::move(task))] {
    if (!held->call->done()) held->Execute();
  });
}

}  // namespace fastserve
