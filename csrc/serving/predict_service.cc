#include "serving/predict_service.h"

#include <utility>

#include "serving/predict.h"

namespace fastserve {

// One request between routing and answer.
struct PredictService::Task {
  CallPtr call;
  ByteBuffer bytes;
  PredictRequestView request;  // borrows from bytes
  ServablePtr servable;
  const BoundSignature* bound = nullptr;  // of servable
};

namespace {

Result<ServablePtr> FindServable(const Router& router, const PredictRequestView& request) {
  if (!request.has_model_spec) return Status::InvalidArgument("Missing ModelSpec");
  const ModelSpecView& spec = request.model_spec;
  if (spec.name.empty()) return Status::InvalidArgument("ModelSpec has no name specified.");
  return router.Current()->Find(spec.name, spec.version, spec.version_label);
}

Status SignatureNotFound(std::string_view name) {
  return Status::FailedPrecondition("Serving signature key \"" +
                                    std::string(name.empty() ? "serving_default" : name) +
                                    "\" not found.");
}

Result<ByteChain> WriteResponse(const ServablePtr& servable, const PredictRequestView& request,
                                const BoundSignature& bound, const PredictOutputs& outputs,
                                TensorEncoding encoding) {
  ByteChain answer;
  answer.Reserve(256);
  PredictResponseWriter writer(answer, encoding);
  for (const NamedOutput& output : outputs.named) {
    FASTSERVE_RETURN_IF_ERROR(writer.AddOutput(output.alias, output.tensor, outputs.tensors));
  }
  writer.AddModelSpec(request.model_spec.name, servable->version(), bound.signature.name);
  return answer;
}

}  // namespace

void PredictService::Register(GrpcServer& server) {
  server.AddUnary(
      "/tensorflow.serving.PredictionService/Predict",
      {.handle = [this](CallPtr call,
                        ByteBuffer bytes) { Handle(std::move(call), std::move(bytes)); },
       .payload_offset = &PayloadOffset});
}

void PredictService::Handle(CallPtr call, ByteBuffer bytes) {
  Result<PredictRequestView> request = ParsePredictRequest(bytes.view());
  if (!request.ok()) return call->Finish(request.status());
  Result<ServablePtr> servable = FindServable(router_, *request);
  if (!servable.ok()) return call->Finish(servable.status());
  const std::string_view name = request->model_spec.signature_name;
  const BoundSignature* bound = (*servable)->FindSignature(name);
  if (bound == nullptr) return call->Finish(SignatureNotFound(name));
  Task task{std::move(call), std::move(bytes), std::move(*request), std::move(*servable), bound};
  if (bound->cost.IsCheap(task.bytes.size())) return Execute(task);
  workers_.Post([this, held = std::make_shared<const Task>(std::move(task))] {
    if (!held->call->done()) Execute(*held);
  });
}

void PredictService::Execute(const Task& task) const {
  const auto start = Call::Clock::now();
  const Result<PredictOutputs> outputs = RunSerialized(
      *task.servable, *task.bound, task.request.inputs, task.bytes, task.request.output_filter);
  if (!outputs.ok()) return task.call->Finish(outputs.status());
  task.bound->cost.Record(Call::Clock::now() - start, task.bytes.size());
  Result<ByteChain> answer =
      WriteResponse(task.servable, task.request, *task.bound, *outputs, encoding_);
  if (!answer.ok()) return task.call->Finish(answer.status());
  task.call->Reply(std::move(*answer));
}

}  // namespace fastserve
