#include "serving/rest_task.h"

#include "serving/hint.h"
#include "transport/grpc/wire_text.h"

namespace fastserve {

RestAnswer Counted(const RestRequest& request, RestAnswer answer) {
  // Whoever waits for it has answered in its stead after the deadline.
  const bool late = request.deadline && RequestRecord::Clock::now() >= *request.deadline;
  request.record->Ask(request.method, request.model);
  request.record->End(late ? StatusCode::kDeadlineExceeded : answer.code, answer.body.size());
  answer.trace = request.record->trace();
  return answer;
}

void Complete(CompletionQueue& completions, const RestRequest& request, RestAnswer answer) {
  completions.Push({request.token, Counted(request, std::move(answer))});
}

RestAnswer RestTask::Answer(const Result<RunOutputs>& ran) const {
  if (!ran.ok()) return RestFailure(ran.status(), IsHintable(ran.status()) ? Hint() : "");
  Result<Payload> payload = Serialise(*ran);
  if (!payload.ok()) return RestFailure(payload.status());
  return {.code = StatusCode::kOk,
          .body = std::move(payload->body),
          .format = payload->format,
          .hint = {}};
}

Result<RestTask::Payload> RestTask::Serialise(const RunOutputs& ran) const {
  const TimedStage serialising(trace(), Stage::kSerialise);
  return Write(ran);
}

Result<RestTask::Payload> RestTask::WriteJson(JsonFormat format, const RunOutputs& ran) const {
  std::vector<std::pair<std::string_view, HostTensor>> outputs;
  for (size_t i = 0; i < ran.tensors.size(); ++i) {
    outputs.emplace_back(bound().signature.outputs[i].alias, ran.tensors[i]);
  }
  Result<std::string> body = WritePredictJson(format, outputs);
  if (!body.ok()) return body.status();
  return Payload{std::move(*body), RestFormat::kJson};
}

Status RestSignatureNotFound(std::string_view name) {
  return Status::InvalidArgument("Serving signature name: \"" +
                                 std::string(name.empty() ? "serving_default" : name) +
                                 "\" not found in signature def");
}

RestAnswer RestFailure(const Status& status, const std::string& hint) {
  return {.code = status.code(),
          .body = WriteErrorJson(status.message()),
          .format = RestFormat::kJson,
          .hint = PercentEncode(hint)};
}

}  // namespace fastserve
