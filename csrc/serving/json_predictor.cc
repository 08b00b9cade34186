#include "serving/json_predictor.h"

#include <utility>
#include <vector>

#include "codec/inference_json.h"
#include "codec/predict_json.h"
#include "serving/predict.h"
#include "serving/run_task.h"

namespace fastserve {
namespace {

// Parsing a larger body would hold up the gateway's event loop for longer than a thread hop costs.
constexpr size_t kInlineBodyBytes = 64 * 1024;

JsonAnswer Failure(const Status& status) {
  return {status.code(), WriteErrorJson(status.message())};
}

Result<ServablePtr> Route(const Router& router, const JsonPredictRequest& request) {
  return router.Current()->Find(request.model, request.version, request.label);
}

ApiMethod ApiMethodOf(JsonMethod method) {
  if (method == JsonMethod::kPredict) return ApiMethod::kPredict;
  return method == JsonMethod::kClassify ? ApiMethod::kClassify : ApiMethod::kRegress;
}

// Counts the answer to `request`, and returns it.
JsonAnswer Counted(const JsonPredictRequest& request, JsonAnswer answer) {
  // Whoever waits for it has answered in its stead after the deadline.
  const bool late = request.deadline && RequestRecord::Clock::now() >= *request.deadline;
  request.record->Ask(ApiMethodOf(request.method), request.model);
  request.record->End(late ? StatusCode::kDeadlineExceeded : answer.code, answer.body.size());
  return answer;
}

void Complete(CompletionQueue& completions, const JsonPredictRequest& request, JsonAnswer answer) {
  JsonAnswer counted = Counted(request, std::move(answer));
  completions.Push({request.token, counted.code, std::move(counted.body)});
}

}  // namespace

// What all of them have in common: who waits, and how the answer gets there.
class JsonPredictor::Task : public RunTask {
 public:
  struct Context {
    CompletionQueue& completions;
    JsonPredictRequest request;
    ServablePtr servable;
    SignatureMetricsPtr metrics;  // of the signature
    size_t bytes;                 // of the body
  };
  explicit Task(Context context) : context_(std::move(context)) {
    context_.request.record->Route(context_.metrics);
  }

  const Servable& servable() const override { return *context_.servable; }
  std::optional<Clock::time_point> deadline() const override { return context_.request.deadline; }
  bool abandoned() const override { return false; }
  void Finish(Result<RunOutputs> ran) override {
    Complete(context_.completions, context_.request, Answer(ran));
  }

  void RecordRun(std::chrono::nanoseconds elapsed) const override {
    context_.metrics->RecordRun(ApiMethodOf(context_.request.method), elapsed);
  }

  JsonAnswer Answer(const Result<RunOutputs>& ran) const {
    if (!ran.ok()) return Failure(ran.status());
    Result<std::string> body = Write(*ran);
    if (!body.ok()) return Failure(body.status());
    return {StatusCode::kOk, std::move(*body)};
  }

 protected:
  size_t bytes() const { return context_.bytes; }

 private:
  virtual Result<std::string> Write(const RunOutputs& ran) const = 0;

  const Context context_;
};

class JsonPredictor::PredictTask final : public Task {
 public:
  static Result<std::shared_ptr<Task>> Make(const Router& router, CompletionQueue& completions,
                                            const InferenceOptions& options,
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
    Context context{completions, request, std::move(*servable), bound->metrics, body.size()};
    return std::shared_ptr<Task>(
        std::make_shared<PredictTask>(std::move(context), std::move(*json), *bound, options));
  }

  PredictTask(Context context, PredictJson json, const BoundSignature& bound,
              const InferenceOptions& options)
      : Task(std::move(context)), json_(std::move(json)), bound_(bound), options_(options) {}

  bool IsCheap() const override { return bound_.cost.IsCheap(bytes()); }
  bool IsTrivial() const override { return bound_.cost.IsTrivial(bytes()); }
  void RecordCost(std::chrono::nanoseconds elapsed) const override {
    bound_.cost.Record(elapsed, bytes());
  }
  Result<RunRequest> Prepare() override {
    const Result<JsonInputs> parsed = json_.ToInputs(bound_.signature);
    if (!parsed.ok()) return parsed.status();
    FASTSERVE_RETURN_IF_ERROR(CheckPredictMethodName(bound_.signature, options_));
    format_ = parsed->format;
    std::vector<std::pair<std::string_view, const HostTensor*>> inputs;
    for (const auto& [alias, tensor] : parsed->inputs) inputs.emplace_back(alias, &tensor);
    Result<PredictRun> run = PrepareTensors(bound_, inputs);
    if (!run.ok()) return run.status();
    return std::move(run->request);
  }

 private:
  Result<std::string> Write(const RunOutputs& ran) const override {
    std::vector<std::pair<std::string_view, HostTensor>> outputs;
    for (size_t i = 0; i < ran.tensors.size(); ++i) {
      outputs.emplace_back(bound_.signature.outputs[i].alias, ran.tensors[i]);
    }
    return WritePredictJson(format_, outputs);
  }

  const PredictJson json_;
  const BoundSignature& bound_;  // of the servable
  const InferenceOptions options_;
  JsonFormat format_ = JsonFormat::kRow;
};

// A classify or regress. Its JSON is read in full before the model is looked up.
class JsonPredictor::ExamplesTask final : public Task {
 public:
  static Result<std::shared_ptr<Task>> Make(const Router& router, CompletionQueue& completions,
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
    Context context{completions, request, std::move(*servable), task->bound->metrics, body.size()};
    return std::shared_ptr<Task>(
        std::make_shared<ExamplesTask>(std::move(context), std::move(*json), *task));
  }

  ExamplesTask(Context context, InferenceJson json, const InferenceTask& task)
      : Task(std::move(context)), json_(std::move(json)), task_(task) {}

  bool IsCheap() const override { return AreCheap({&task_, 1}, bytes()); }
  bool IsTrivial() const override { return AreTrivial({&task_, 1}, bytes()); }
  void RecordCost(std::chrono::nanoseconds elapsed) const override {
    fastserve::RecordCost({&task_, 1}, elapsed, bytes());
  }
  Result<RunRequest> Prepare() override { return PrepareTasks({&task_, 1}, json_.input, bytes()); }

 private:
  Result<std::string> Write(const RunOutputs& ran) const override {
    const Result<std::vector<InferenceResultView>> results =
        ReadResults({&task_, 1}, ran, json_.input.examples.size());
    if (!results.ok()) return results.status();
    return WriteInferenceJson((*results)[0]);
  }

  const InferenceJson json_;
  const InferenceTask task_;  // of the servable
};

Result<std::shared_ptr<JsonPredictor::Task>> JsonPredictor::MakeTask(
    const JsonPredictRequest& request, std::string_view body) const {
  if (request.method == JsonMethod::kPredict) {
    return PredictTask::Make(router_, completions_, options_, request, body);
  }
  return ExamplesTask::Make(router_, completions_, options_, request, body);
}

std::optional<JsonAnswer> JsonPredictor::Predict(JsonPredictRequest request,
                                                 std::string_view body) {
  request.record = std::make_shared<RequestRecord>();
  request.record->Start(Protocol::kRest, {});
  request.record->Received(body.size());
  if (body.size() > kInlineBodyBytes) return PostWhole(std::move(request), body);
  const Result<std::shared_ptr<Task>> task = MakeTask(request, body);
  if (!task.ok()) return Counted(request, Failure(task.status()));
  switch (PlaceOf(**task)) {
    case RunPlace::kHere:
      return Counted(request, (*task)->Answer(RunHere(**task)));
    case RunPlace::kBatch:
      Enqueue(*task);
      return std::nullopt;
    case RunPlace::kWorker:
      return Post(request, [held = *task] { held->Finish(RunHere(*held)); });
  }
  return std::nullopt;
}

std::optional<JsonAnswer> JsonPredictor::PostWhole(JsonPredictRequest request,
                                                   std::string_view body) {
  return Post(request, [this, request, body = std::string(body)] {
    const Result<std::shared_ptr<Task>> task = MakeTask(request, body);
    if (!task.ok()) {
      Complete(completions_, request, Failure(task.status()));
    } else if ((*task)->servable().batcher() != nullptr) {
      Enqueue(*task);
    } else {
      (*task)->Finish(RunHere(**task));
    }
  });
}

std::optional<JsonAnswer> JsonPredictor::Post(const JsonPredictRequest& request,
                                              std::function<void()> task) {
  if (workers_.Post(std::move(task))) return std::nullopt;
  return Counted(request, Failure(Status::Unavailable("The server is shutting down")));
}

}  // namespace fastserve
