#include "serving/json_predictor.h"

#include <memory>
#include <utility>
#include <vector>

#include "codec/predict_json.h"
#include "serving/predict.h"

namespace fastserve {
namespace {

using Clock = std::chrono::steady_clock;

// Parsing a larger body would hold up the gateway's event loop for longer than a thread hop costs.
constexpr size_t kInlineBodyBytes = 64 * 1024;

JsonAnswer Failure(const Status& status) {
  return {status.code(), WriteErrorJson(status.message())};
}

}  // namespace

// One request between routing and answer.
struct JsonPredictor::Task {
  PredictJson json;
  ServablePtr servable;
  const BoundSignature* bound;  // of servable
  size_t bytes;
  std::optional<Clock::time_point> deadline;

  static Result<Task> Route(const Router& router, const JsonPredictRequest& request,
                            std::string_view body);
  Result<std::string> Run() const;
  JsonAnswer Answer() const;
};

Result<JsonPredictor::Task> JsonPredictor::Task::Route(const Router& router,
                                                       const JsonPredictRequest& request,
                                                       std::string_view body) {
  Result<PredictJson> json = PredictJson::Parse(body);
  if (!json.ok()) return json.status();
  Result<ServablePtr> servable =
      router.Current()->Find(request.model, request.version, request.label);
  if (!servable.ok()) return servable.status();
  const std::string_view name = json->signature_name();
  const BoundSignature* bound = (*servable)->FindSignature(name);
  if (bound == nullptr) {
    return Status::InvalidArgument("Serving signature name: \"" +
                                   std::string(name.empty() ? "serving_default" : name) +
                                   "\" not found in signature def");
  }
  return Task{std::move(*json), std::move(*servable), bound, body.size(), request.deadline};
}

Result<std::string> JsonPredictor::Task::Run() const {
  if (deadline && Clock::now() >= *deadline) {
    return Status::DeadlineExceeded("Timed out waiting for notification");
  }
  const auto start = Clock::now();
  const Result<JsonInputs> parsed = json.ToInputs(bound->signature);
  if (!parsed.ok()) return parsed.status();
  std::vector<std::pair<std::string_view, const HostTensor*>> inputs;
  for (const auto& [alias, tensor] : parsed->inputs) inputs.emplace_back(alias, &tensor);
  Result<PredictOutputs> ran = RunTensors(*servable, *bound, inputs);
  if (!ran.ok()) return ran.status();
  std::vector<std::pair<std::string_view, HostTensor>> outputs;
  for (NamedOutput& output : ran->named) {
    outputs.emplace_back(output.alias, std::move(output.tensor));
  }
  Result<std::string> body = WritePredictJson(parsed->format, outputs);
  bound->cost.Record(Clock::now() - start, bytes);
  return body;
}

JsonAnswer JsonPredictor::Task::Answer() const {
  Result<std::string> body = Run();
  if (!body.ok()) return Failure(body.status());
  return {StatusCode::kOk, std::move(*body)};
}

std::optional<JsonAnswer> JsonPredictor::Predict(JsonPredictRequest request,
                                                 std::string_view body) {
  if (body.size() > kInlineBodyBytes) {
    PostWhole(std::move(request), body);
    return std::nullopt;
  }
  Result<Task> task = Task::Route(router_, request, body);
  if (!task.ok()) return Failure(task.status());
  if (task->bound->cost.IsCheap(task->bytes)) return task->Answer();
  auto held = std::make_shared<const Task>(std::move(*task));
  workers_.Post([this, token = request.token, held] { Complete(token, held->Answer()); });
  return std::nullopt;
}

void JsonPredictor::PostWhole(JsonPredictRequest request, std::string_view body) {
  workers_.Post([this, request = std::move(request), body = std::string(body)] {
    const Result<Task> task = Task::Route(router_, request, body);
    Complete(request.token, task.ok() ? task->Answer() : Failure(task.status()));
  });
}

void JsonPredictor::Complete(int64_t token, JsonAnswer answer) {
  completions_.Push({token, answer.code, std::move(answer.body)});
}

}  // namespace fastserve
