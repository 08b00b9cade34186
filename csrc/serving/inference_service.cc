#include "serving/inference_service.h"

#include <string>
#include <utility>

#include "serving/rpc_task.h"

namespace fastserve {

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
  Result<InferenceJob> job = InferenceJob::Parse(rpc, std::move(bytes));
  if (!job.ok()) return call->Finish(job.status());
  Result<ServablePtr> servable = FindServable(router_, *call, *job);
  if (!servable.ok()) return call->Finish(servable.status());
  if (Status status = job->Bind(**servable, options_); !status.ok()) return call->Finish(status);
  Dispatch(RpcTask(std::move(call), std::move(*servable), std::move(*job)), workers_);
}

}  // namespace fastserve
