#include "serving/json_tasks.h"

#include <string>
#include <vector>

#include "codec/inference_json.h"
#include "codec/predict_json.h"
#include "codec/signature_hint.h"
#include "serving/predict.h"

namespace fastserve {
namespace {

using TensorByAlias = std::pair<std::string_view, const HostTensor*>;

class JsonPredictTask final : public RestTask {
 public:
  // `inputs`: of `bound`, a signature of the context's servable.
  JsonPredictTask(Context context, Result<JsonInputs> inputs, const BoundSignature& bound,
                  const InferenceOptions& options)
      : RestTask(std::move(context)),
        inputs_(std::move(inputs)),
        bound_(bound),
        options_(options) {}

  bool IsCheap() const override { return bound_.cost.IsCheap(bytes()); }
  bool IsTrivial() const override { return bound_.cost.IsTrivial(bytes()); }
  void RecordCost(std::chrono::nanoseconds elapsed) const override {
    bound_.cost.Record(elapsed, bytes());
  }
  Result<RunRequest> Prepare() override {
    if (!inputs_.ok()) return inputs_.status();
    FASTSERVE_RETURN_IF_ERROR(CheckPredictMethodName(bound_.signature, options_));
    Result<PredictRun> run = PrepareTensors(bound_, Inputs());
    if (!run.ok()) return run.status();
    // The run owns the elements now, and gives them back before the answer is written.
    for (auto& [alias, tensor] : inputs_->inputs) {
      tensor = {.dtype = tensor.dtype, .dims = std::move(tensor.dims)};
    }
    return std::move(run->request);
  }

 private:
  Result<Payload> Write(const RunOutputs& ran) const override {
    std::vector<std::pair<std::string_view, HostTensor>> outputs;
    for (size_t i = 0; i < ran.tensors.size(); ++i) {
      outputs.emplace_back(bound_.signature.outputs[i].alias, ran.tensors[i]);
    }
    Result<std::string> body = WritePredictJson(inputs_->format, outputs);
    if (!body.ok()) return body.status();
    return Payload{std::move(*body), RestFormat::kJson};
  }

  std::string Hint() const override {
    if (!inputs_.ok()) return DescribeInputs(bound_.signature);
    return DescribeMisfits(bound_.signature, Inputs());
  }

  std::vector<TensorByAlias> Inputs() const {
    std::vector<TensorByAlias> inputs;
    for (const auto& [alias, tensor] : inputs_->inputs) inputs.emplace_back(alias, &tensor);
    return inputs;
  }

  Result<JsonInputs> inputs_;  // once they are prepared, dtypes and dims only
  const BoundSignature& bound_;
  const InferenceOptions options_;
};

class JsonExamplesTask final : public RestTask {
 public:
  JsonExamplesTask(Context context, InferenceJson json, const InferenceTask& task)
      : RestTask(std::move(context)), json_(std::move(json)), task_(task) {}

  bool IsCheap() const override { return AreCheap({&task_, 1}, bytes()); }
  bool IsTrivial() const override { return AreTrivial({&task_, 1}, bytes()); }
  void RecordCost(std::chrono::nanoseconds elapsed) const override {
    fastserve::RecordCost({&task_, 1}, elapsed, bytes());
  }
  Result<RunRequest> Prepare() override { return PrepareTasks({&task_, 1}, json_.input, bytes()); }

 private:
  Result<Payload> Write(const RunOutputs& ran) const override {
    const Result<std::vector<InferenceResultView>> results =
        ReadResults({&task_, 1}, ran, json_.input.examples.size());
    if (!results.ok()) return results.status();
    Result<std::string> body = WriteInferenceJson((*results)[0]);
    if (!body.ok()) return body.status();
    return Payload{std::move(*body), RestFormat::kJson};
  }

  const InferenceJson json_;
  const InferenceTask task_;  // of the servable
};

}  // namespace

Result<std::shared_ptr<RestTask>> MakeJsonPredictTask(const RestServices& services,
                                                      const RestRequest& request, ByteView body) {
  // Looked up before the body is read, but its syntax is checked before what was not found is told.
  const Result<ServablePtr> servable = Route(services.router, request);
  const BoundSignature* bound = nullptr;
  Result<PredictJson> json = ParsePredictJson(body, [&](std::string_view name) {
    bound = servable.ok() ? (*servable)->FindSignature(name) : nullptr;
    return bound == nullptr ? nullptr : &bound->signature;
  });
  if (!json.ok()) return json.status();
  if (!servable.ok()) return servable.status();
  if (bound == nullptr) {
    const std::string& name = json->signature_name;
    return Status::InvalidArgument("Serving signature name: \"" +
                                   (name.empty() ? "serving_default" : name) +
                                   "\" not found in signature def");
  }
  RestTask::Context context{services.completions, request, *servable, bound->metrics, body.size()};
  return std::shared_ptr<RestTask>(std::make_shared<JsonPredictTask>(
      std::move(context), std::move(json->inputs), *bound, services.options));
}

// The body is read in full before the model is looked up.
Result<std::shared_ptr<RestTask>> MakeJsonExamplesTask(const RestServices& services,
                                                       const RestRequest& request, ByteView body) {
  Result<InferenceJson> json = ParseInferenceJson(body);
  if (!json.ok()) return json.status();
  Result<ServablePtr> servable = Route(services.router, request);
  if (!servable.ok()) return servable.status();
  const InferenceMethod method = request.method == RestMethod::kClassify
                                     ? InferenceMethod::kClassify
                                     : InferenceMethod::kRegress;
  const Result<InferenceTask> task =
      MakeTask(**servable, method, json->signature_name, services.options);
  if (!task.ok()) return task.status();
  RestTask::Context context{services.completions, request, std::move(*servable),
                            task->bound->metrics, body.size()};
  return std::shared_ptr<RestTask>(
      std::make_shared<JsonExamplesTask>(std::move(context), std::move(*json), *task));
}

}  // namespace fastserve
