#include "serving/rest_task.h"

#include "codec/predict_json.h"
#include "serving/hint.h"
#include "transport/grpc/wire_text.h"

namespace fastserve {
namespace {

ApiMethod ApiMethodOf(RestMethod method) {
  if (method == RestMethod::kPredict) return ApiMethod::kPredict;
  return method == RestMethod::kClassify ? ApiMethod::kClassify : ApiMethod::kRegress;
}

}  // namespace

RestAnswer Counted(const RestRequest& request, RestAnswer answer) {
  // Whoever waits for it has answered in its stead after the deadline.
  const bool late = request.deadline && RequestRecord::Clock::now() >= *request.deadline;
  request.record->Ask(ApiMethodOf(request.method), request.model);
  request.record->End(late ? StatusCode::kDeadlineExceeded : answer.code, answer.body.size());
  return answer;
}

void Complete(CompletionQueue& completions, const RestRequest& request, RestAnswer answer) {
  completions.Push({request.token, Counted(request, std::move(answer))});
}

void RestTask::RecordRun(std::chrono::nanoseconds elapsed) const {
  context_.metrics->RecordRun(ApiMethodOf(context_.request.method), elapsed);
}

RestAnswer RestTask::Answer(const Result<RunOutputs>& ran) const {
  if (!ran.ok()) return RestFailure(ran.status(), IsHintable(ran.status()) ? Hint() : "");
  Result<Payload> payload = Write(*ran);
  if (!payload.ok()) return RestFailure(payload.status());
  return {.code = StatusCode::kOk,
          .body = std::move(payload->body),
          .format = payload->format,
          .hint = {}};
}

RestAnswer RestFailure(const Status& status, const std::string& hint) {
  return {.code = status.code(),
          .body = WriteErrorJson(status.message()),
          .format = RestFormat::kJson,
          .hint = PercentEncode(hint)};
}

}  // namespace fastserve
