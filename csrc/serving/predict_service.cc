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
  return FindServable(router, request.model_spec);
}

Result<ByteChain> WriteResponse(const Servable& servable, const PredictRequestView& request,
                                const BoundSignature& bound, const PredictOutputs& outputs,
                                TensorEncoding encoding) {
  ByteChain answer;
  answer.Reserve(256);
  PredictResponseWriter writer(answer, encoding);
  for (const NamedOutput& output : outputs.named) {
    FASTSERVE_RETURN_IF_ERROR(writer.AddOutput(output.alias, output.tensor, outputs.tensors));
  }
  writer.AddModelSpec(request.model_spec.name, servable.version(), bound.signature.name);
  return answer;
}

}  // namespace

Result<const BoundSignature*> FindPredictSignature(const Servable& servable,
                                                   std::string_view name) {
  if (const BoundSignature* bound = servable.FindSignature(name)) return bound;
  return Status::FailedPrecondition("Serving signature key \"" +
                                    std::string(name.empty() ? "serving_default" : name) +
                                    "\" not found.");
}

Result<ByteChain> AnswerPredict(const Servable& servable, const BoundSignature& bound,
                                const PredictRequestView& request, const ByteBuffer& bytes,
                                TensorEncoding encoding) {
  const auto start = Call::Clock::now();
  const Result<PredictOutputs> outputs =
      RunSerialized(servable, bound, request.inputs, bytes, request.output_filter);
  if (!outputs.ok()) return outputs.status();
  bound.cost.Record(Call::Clock::now() - start, bytes.size());
  return WriteResponse(servable, request, bound, *outputs, encoding);
}

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
  const Result<const BoundSignature*> bound =
      FindPredictSignature(**servable, request->model_spec.signature_name);
  if (!bound.ok()) return call->Finish(bound.status());
  Task task{std::move(call), std::move(bytes), std::move(*request), std::move(*servable), *bound};
  if ((*bound)->cost.IsCheap(task.bytes.size())) return Execute(task);
  workers_.Post([this, held = std::make_shared<const Task>(std::move(task))] {
    if (!held->call->done()) Execute(*held);
  });
}

void PredictService::Execute(const Task& task) const {
  Result<ByteChain> answer =
      AnswerPredict(*task.servable, *task.bound, task.request, task.bytes, encoding_);
  if (!answer.ok()) return task.call->Finish(answer.status());
  tap_.Offer(task.servable->name(), task.bytes.view());
  task.call->Reply(std::move(*answer));
}

}  // namespace fastserve
