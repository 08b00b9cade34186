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
  // `inputs`: of the context's signature.
  JsonPredictTask(Context context, Result<JsonInputs> inputs, const InferenceOptions& options)
      : RestTask(std::move(context)), inputs_(std::move(inputs)), options_(options) {}

  Result<RunRequest> Prepare() override {
    if (!inputs_.ok()) return inputs_.status();
    FASTSERVE_RETURN_IF_ERROR(CheckPredictMethodName(bound().signature, options_));
    Result<PredictRun> run = PrepareTensors(bound(), Inputs());
    if (!run.ok()) return run.status();
    // The run owns the elements now, and gives them back before the answer is written.
    for (auto& [alias, tensor] : inputs_->inputs) {
      tensor = {.dtype = tensor.dtype, .dims = std::move(tensor.dims)};
    }
    return std::move(run->request);
  }

 private:
  Result<Payload> Write(const RunOutputs& ran) const override {
    return WriteJson(inputs_->format, ran);
  }

  std::string Hint() const override {
    if (!inputs_.ok()) return DescribeInputs(bound().signature);
    return DescribeMisfits(bound().signature, Inputs());
  }

  std::vector<TensorByAlias> Inputs() const {
    std::vector<TensorByAlias> inputs;
    for (const auto& [alias, tensor] : inputs_->inputs) inputs.emplace_back(alias, &tensor);
    return inputs;
  }

  Result<JsonInputs> inputs_;  // once they are prepared, dtypes and dims only
  const InferenceOptions options_;
};

class JsonExamplesTask final : public RestTask {
 public:
  JsonExamplesTask(Context context, InferenceJson json, const InferenceTask& task)
      : RestTask(std::move(context)), json_(std::move(json)), task_(task) {}

  Result<RunRequest> Prepare() override {
    return PrepareTasks({&task_, 1}, json_.input, subject().bytes);
  }

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
  if (bound == nullptr) return RestSignatureNotFound(json->signature_name);
  RestTask::Context context{
      services.completions, request, *servable, {{bound}, body.size(), request.method}};
  return std::shared_ptr<RestTask>(std::make_shared<JsonPredictTask>(
      std::move(context), std::move(json->inputs), services.options));
}

// The body is read in full before the model is looked up.
Result<std::shared_ptr<RestTask>> MakeJsonExamplesTask(const RestServices& services,
                                                       const RestRequest& request, ByteView body) {
  Result<InferenceJson> json = ParseInferenceJson(body);
  if (!json.ok()) return json.status();
  Result<ServablePtr> servable = Route(services.router, request);
  if (!servable.ok()) return servable.status();
  const InferenceMethod method = request.method == ApiMethod::kClassify ? InferenceMethod::kClassify
                                                                        : InferenceMethod::kRegress;
  const Result<InferenceTask> task =
      MakeTask(**servable, method, json->signature_name, services.options);
  if (!task.ok()) return task.status();
  RestTask::Context context{services.completions, request, std::move(*servable),
                            SubjectOf({&*task, 1}, body.size(), request.method)};
  return std::shared_ptr<RestTask>(
      std::make_shared<JsonExamplesTask>(std::move(context), std::move(*json), *task));
}

}  // namespace fastserve
