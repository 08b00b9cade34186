#include "serving/json_predictor.h"

#include <utility>
#include <vector>

#include "codec/inference_json.h"
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

Result<ServablePtr> Route(const Router& router, const JsonPredictRequest& request) {
  return router.Current()->Find(request.model, request.version, request.label);
}

}  // namespace

// One request between routing and answer.
class JsonPredictor::Task {
 public:
  explicit Task(std::optional<Clock::time_point> deadline) : deadline_(deadline) {}
  virtual ~Task() = default;

  virtual bool IsCheap() const = 0;
  JsonAnswer Answer() const {
    if (deadline_ && Clock::now() >= *deadline_) {
      return Failure(Status::DeadlineExceeded("Timed out waiting for notification"));
    }
    Result<std::string> body = Run();
    if (!body.ok()) return Failure(body.status());
    return {StatusCode::kOk, std::move(*body)};
  }

 private:
  virtual Result<std::string> Run() const = 0;

  const std::optional<Clock::time_point> deadline_;
};

class JsonPredictor::PredictTask : public Task {
 public:
  static Result<std::shared_ptr<const Task>> Make(const Router& router,
                                                  const JsonPredictRequest& request,
                                                  std::string_view body) {
    Result<PredictJson> json = PredictJson::Parse(body);
    if (!json.ok()) return json.status();
    Result<ServablePtr> servable = Route(router, request);
    if (!servable.ok()) return servable.status();
    const std::string_view name = json->signature_name();
    const BoundSignature* bound = (*servable)->FindSignature(name);
    if (bound == nullptr) {
      return Status::InvalidArgument("Serving signature name: \"" +
                                     std::string(name.empty() ? "serving_default" : name) +
                                     "\" not found in signature def");
    }
    return std::shared_ptr<const Task>(std::make_shared<PredictTask>(
        std::move(*json), std::move(*servable), bound, body.size(), request.deadline));
  }

  PredictTask(PredictJson json, ServablePtr servable, const BoundSignature* bound, size_t bytes,
              std::optional<Clock::time_point> deadline)
      : Task(deadline),
        json_(std::move(json)),
        servable_(std::move(servable)),
        bound_(*bound),
        bytes_(bytes) {}

  bool IsCheap() const override { return bound_.cost.IsCheap(bytes_); }

 private:
  Result<std::string> Run() const override {
    const auto start = Clock::now();
    const Result<JsonInputs> parsed = json_.ToInputs(bound_.signature);
    if (!parsed.ok()) return parsed.status();
    std::vector<std::pair<std::string_view, const HostTensor*>> inputs;
    for (const auto& [alias, tensor] : parsed->inputs) inputs.emplace_back(alias, &tensor);
    Result<PredictOutputs> ran = RunTensors(*servable_, bound_, inputs);
    if (!ran.ok()) return ran.status();
    std::vector<std::pair<std::string_view, HostTensor>> outputs;
    for (NamedOutput& output : ran->named) {
      outputs.emplace_back(output.alias, std::move(output.tensor));
    }
    Result<std::string> body = WritePredictJson(parsed->format, outputs);
    bound_.cost.Record(Clock::now() - start, bytes_);
    return body;
  }

  const PredictJson json_;
  const ServablePtr servable_;
  const BoundSignature& bound_;  // of servable_
  const size_t bytes_;
};

// A classify or regress. Its JSON is read in full before the model is looked up.
class JsonPredictor::ExamplesTask : public Task {
 public:
  static Result<std::shared_ptr<const Task>> Make(const Router& router,
                                                  const InferenceOptions& options,
                                                  const JsonPredictRequest& request,
                                                  std::string_view body) {
    Result<InferenceJson> json = ParseInferenceJson(body);
    if (!json.ok()) return json.status();
    Result<ServablePtr> servable = Route(router, request);
    if (!servable.ok()) return servable.status();
    const InferenceMethod method = request.method == JsonMethod::kClassify
                                       ? InferenceMethod::kClassify
                                       : InferenceMethod::kRegress;
    Result<InferenceTask> task =
        fastserve::MakeTask(**servable, method, json->signature_name, options);
    if (!task.ok()) return task.status();
    return std::shared_ptr<const Task>(std::make_shared<ExamplesTask>(
        std::move(*json), std::move(*servable), *task, body.size(), request.deadline));
  }

  ExamplesTask(InferenceJson json, ServablePtr servable, const InferenceTask& task, size_t bytes,
               std::optional<Clock::time_point> deadline)
      : Task(deadline),
        json_(std::move(json)),
        servable_(std::move(servable)),
        task_(task),
        bytes_(bytes) {}

  bool IsCheap() const override { return AreCheap({&task_, 1}, bytes_); }

 private:
  Result<std::string> Run() const override {
    const Result<InferenceOutputs> ran = RunTasks(*servable_, {&task_, 1}, json_.input, bytes_);
    if (!ran.ok()) return ran.status();
    return WriteInferenceJson(ran->results[0]);
  }

  const InferenceJson json_;
  const ServablePtr servable_;
  const InferenceTask task_;  // of servable_
  const size_t bytes_;
};

Result<std::shared_ptr<const JsonPredictor::Task>> JsonPredictor::MakeTask(
    const JsonPredictRequest& request, std::string_view body) const {
  if (request.method == JsonMethod::kPredict) return PredictTask::Make(router_, request, body);
  return ExamplesTask::Make(router_, options_, request, body);
}

std::optional<JsonAnswer> JsonPredictor::Predict(JsonPredictRequest request,
                                                 std::string_view body) {
  if (body.size() > kInlineBodyBytes) return PostWhole(std::move(request), body);
  const Result<std::shared_ptr<const Task>> task = MakeTask(request, body);
  if (!task.ok()) return Failure(task.status());
  if ((*task)->IsCheap()) return (*task)->Answer();
  return Post([this, token = request.token, held = *task] { Complete(token, held->Answer()); });
}

std::optional<JsonAnswer> JsonPredictor::PostWhole(JsonPredictRequest request,
                                                   std::string_view body) {
  return Post([this, request = std::move(request), body = std::string(body)] {
    const Result<std::shared_ptr<const Task>> task = MakeTask(request, body);
    Complete(request.token, task.ok() ? (*task)->Answer() : Failure(task.status()));
  });
}

std::optional<JsonAnswer> JsonPredictor::Post(std::function<void()> task) {
  if (workers_.Post(std::move(task))) return std::nullopt;
  return Failure(Status::Unavailable("The server is shutting down"));
}

void JsonPredictor::Complete(int64_t token, JsonAnswer answer) {
  completions_.Push({token, answer.code, std::move(answer.body)});
}

}  // namespace fastserve
