#include "serving/inference.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "codec/signature_text.h"
#include "codec/tensor_wire.h"

namespace fastserve {
namespace {

constexpr std::string_view kInputs = "inputs";
constexpr std::string_view kClasses = "classes";
constexpr std::string_view kScores = "scores";
constexpr std::string_view kOutputs = "outputs";
constexpr std::string_view kPredictMethod = "tensorflow/serving/predict";
constexpr std::string_view kClassifyMethod = "tensorflow/serving/classify";
constexpr std::string_view kRegressMethod = "tensorflow/serving/regress";

std::string_view ResolvedName(std::string_view signature_name) {
  return signature_name.empty() ? "serving_default" : signature_name;
}

// "classification" or "regression"
std::string KindName(InferenceMethod method) {
  return method == InferenceMethod::kClassify ? "classification" : "regression";
}

Status CheckMethodName(const Signature& signature, InferenceMethod method) {
  const std::string_view wanted =
      method == InferenceMethod::kClassify ? kClassifyMethod : kRegressMethod;
  if (signature.method_name == wanted) return {};
  return Status::InvalidArgument("Expected " + KindName(method) + " signature method_name to be " +
                                 std::string(wanted) + ". Was: " + signature.method_name);
}

Status CheckInput(const Signature& signature, InferenceMethod method) {
  if (signature.FindInput(kInputs) != nullptr) return {};
  return Status::InvalidArgument("No " + KindName(method) +
                                 " inputs found in SignatureDef: " + SignatureText(signature));
}

Status CheckClassify(const Signature& signature) {
  const size_t outputs = signature.outputs.size();
  if (outputs != 1 && outputs != 2) {
    return Status::InvalidArgument("Expected one or two output Tensors, found " +
                                   std::to_string(outputs));
  }
  FASTSERVE_RETURN_IF_ERROR(CheckInput(signature, InferenceMethod::kClassify));
  if (signature.FindOutput(kClasses) || signature.FindOutput(kScores)) return {};
  return Status::InvalidArgument(
      "Expected classification signature outputs to contain at least one of \"classes\" or "
      "\"scores\". Signature was: " +
      SignatureText(signature));
}

Status CheckRegress(const Signature& signature) {
  if (signature.outputs.size() != 1) return Status::InvalidArgument("Expected one output Tensor.");
  FASTSERVE_RETURN_IF_ERROR(CheckInput(signature, InferenceMethod::kRegress));
  if (signature.FindOutput(kOutputs)) return {};
  return Status::InvalidArgument("No regression outputs found in SignatureDef: " +
                                 SignatureText(signature));
}

Result<InferenceTask> MakeBoundTask(const BoundSignature& bound, InferenceMethod method,
                                    const InferenceOptions& options) {
  const Signature& signature = bound.signature;
  if (options.check_method_names) FASTSERVE_RETURN_IF_ERROR(CheckMethodName(signature, method));
  if (signature.inputs.size() != 1) return Status::InvalidArgument("Expected one input Tensor.");
  const bool classify = method == InferenceMethod::kClassify;
  FASTSERVE_RETURN_IF_ERROR(classify ? CheckClassify(signature) : CheckRegress(signature));
  InferenceTask task{.method = method, .bound = &bound, .outputs = {}};
  for (const std::string_view alias : {kClasses, kScores, kOutputs}) {
    if (classify == (alias == kOutputs)) continue;
    const TensorInfo* info = signature.FindOutput(alias);
    if (info == nullptr) continue;
    task.outputs.push_back(static_cast<size_t>(info - signature.outputs.data()));
  }
  return task;
}

Result<InferenceMethod> MethodOf(std::string_view method_name) {
  if (method_name == kClassifyMethod) return InferenceMethod::kClassify;
  if (method_name == kRegressMethod) return InferenceMethod::kRegress;
  return Status::Unimplemented("Unsupported signature method_name: " + std::string(method_name));
}

// The tensors of one run by name, in upstream's order: that of the names, since error texts count
// the inputs.
using Places = std::map<std::string_view, TF_Output>;

// Both answer as TensorFlow does for a tensor that the graph lacks.
Result<Places> InputPlaces(std::span<const InferenceTask> tasks) {
  Places places;
  for (const InferenceTask& task : tasks) {
    const std::string& name = task.bound->signature.inputs[0].tensor_name;
    const TF_Output place = task.bound->feeds[0];
    if (place.oper == nullptr) {
      return Status::NotFound("FeedInputs: unable to find feed output " + name);
    }
    places.emplace(name, place);
  }
  return places;
}

Result<Places> OutputPlaces(std::span<const InferenceTask> tasks) {
  Places places;
  for (const InferenceTask& task : tasks) {
    for (const size_t index : task.outputs) {
      const std::string& name = task.bound->signature.outputs[index].tensor_name;
      const TF_Output place = task.bound->fetches[index];
      if (place.oper == nullptr) {
        return Status::NotFound("FetchOutputs node " + name + ": not found");
      }
      places.emplace(name, place);
    }
  }
  return places;
}

// Puts the context in front of each example, in one buffer.
Status AddContext(const InputView& input, size_t request_bytes, HostTensor* tensor) {
  size_t context_size = 0;
  for (const ByteView piece : input.context) context_size += piece.size();
  if (context_size == 0) return {};
  size_t size = context_size * input.examples.size();
  for (const ByteView example : input.examples) size += example.size();
  // A long context and many short examples make much out of little.
  if (size > std::max(kMaxFilledBytes, 8 * request_bytes)) {
    return Status::ResourceExhausted("The examples with their context take " +
                                     std::to_string(size) + " bytes; send fewer in one request");
  }
  tensor->owner = ByteBuffer::Allocate(size);
  if (!tensor->owner) return Status::ResourceExhausted("No memory for the examples");
  char* to = tensor->owner.data();
  for (std::string_view& element : tensor->strings) {
    char* const start = to;
    for (const ByteView piece : input.context) to = std::copy(piece.begin(), piece.end(), to);
    to = std::copy(element.begin(), element.end(), to);
    element = {start, static_cast<size_t>(to - start)};
  }
  return {};
}

Result<HostTensor> ExamplesTensor(const InputView& input, size_t bytes) {
  if (input.examples.empty()) return Status::InvalidArgument("Input is empty.");
  HostTensor tensor;
  tensor.dtype = DataType::kString;
  tensor.dims = {static_cast<int64_t>(input.examples.size())};
  tensor.strings = input.examples;
  FASTSERVE_RETURN_IF_ERROR(AddContext(input, bytes, &tensor));
  return tensor;
}

// The checks of "classes" or "scores".
Status CheckClassOutput(std::string_view alias, DataType dtype, size_t examples,
                        const HostTensor& tensor) {
  if (tensor.dims.size() != 2) {
    return Status::InvalidArgument("Expected Tensor shape: [batch_size num_classes] but got " +
                                   DimsText(tensor.dims));
  }
  if (tensor.dtype != dtype) {
    return Status::InvalidArgument("Expected " + std::string(alias) + " Tensor of " +
                                   DataTypeEnumName(dtype) +
                                   ". Got: " + DataTypeEnumName(tensor.dtype));
  }
  if (static_cast<size_t>(tensor.dims[0]) != examples) {
    return Status::InvalidArgument("Expected " + std::string(alias) + " output batch size of " +
                                   std::to_string(examples) +
                                   ". Got: " + std::to_string(tensor.dims[0]));
  }
  return {};
}

// `classes` and `scores` may be null, but not both. Where both aliases name one tensor, upstream
// takes it as the classes alone, and so does the caller.
Result<InferenceResultView> ReadClassifications(const HostTensor* classes, const HostTensor* scores,
                                                size_t examples) {
  ClassificationsView view{.examples = examples, .classes = 0, .labels = {}, .scores = {}};
  if (classes != nullptr) {
    FASTSERVE_RETURN_IF_ERROR(CheckClassOutput(kClasses, DataType::kString, examples, *classes));
    view.labels = classes->strings;
    view.classes = static_cast<size_t>(classes->dims[1]);
  }
  if (scores != nullptr) {
    FASTSERVE_RETURN_IF_ERROR(CheckClassOutput(kScores, DataType::kFloat, examples, *scores));
    view.scores = scores->data;
    view.classes = static_cast<size_t>(scores->dims[1]);
  }
  if (classes != nullptr && scores != nullptr && classes->dims[1] != scores->dims[1]) {
    return Status::InvalidArgument("Tensors class and score should match in dim_size(1). Got " +
                                   std::to_string(classes->dims[1]) + " vs. " +
                                   std::to_string(scores->dims[1]));
  }
  return InferenceResultView(view);
}

Result<InferenceResultView> ReadRegressions(const HostTensor& output, size_t examples) {
  const Dims& dims = output.dims;
  if (dims.size() != 1 && !(dims.size() == 2 && dims[1] == 1)) {
    return Status::InvalidArgument(
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got " +
        DimsText(dims));
  }
  if (static_cast<size_t>(dims[0]) != examples) {
    return Status::InvalidArgument("Input batch size did not match output batch size: " +
                                   std::to_string(examples) + " vs. " + std::to_string(dims[0]));
  }
  if (output.dtype != DataType::kFloat) {
    return Status::InvalidArgument("Expected output Tensor of DT_FLOAT.  Got: " +
                                   DataTypeEnumName(output.dtype));
  }
  return InferenceResultView(RegressionsView{output.data});
}

Result<InferenceResultView> ReadResult(const InferenceTask& task, const Places& fetched,
                                       std::span<const HostTensor> views, size_t examples) {
  const HostTensor* classes = nullptr;
  const HostTensor* scores = nullptr;
  for (const size_t index : task.outputs) {
    const TensorInfo& info = task.bound->signature.outputs[index];
    const auto place = std::distance(fetched.begin(), fetched.find(info.tensor_name));
    const HostTensor* tensor = &views[static_cast<size_t>(place)];
    if (task.method == InferenceMethod::kRegress) return ReadRegressions(*tensor, examples);
    (info.alias == kClasses ? classes : scores) = tensor;
  }
  return ReadClassifications(classes, scores == classes ? nullptr : scores, examples);
}

}  // namespace

Status CheckPredictMethodName(const Signature& signature, const InferenceOptions& options) {
  if (!options.check_method_names) return {};
  constexpr std::array kMethods = {kPredictMethod, kClassifyMethod, kRegressMethod};
  if (std::ranges::find(kMethods, signature.method_name) != kMethods.end()) return {};
  return Status::Internal(
      "Expected prediction signature method_name to be one of {tensorflow/serving/predict, "
      "tensorflow/serving/classify, tensorflow/serving/regress}. Was: " +
      signature.method_name);
}

Result<InferenceTask> MakeTask(const Servable& servable, InferenceMethod method,
                               std::string_view signature_name, const InferenceOptions& options) {
  const BoundSignature* bound = servable.FindSignature(signature_name);
  if (bound != nullptr) return MakeBoundTask(*bound, method, options);
  return Status::InvalidArgument("No signature was found with the name: " +
                                 std::string(ResolvedName(signature_name)));
}

Result<std::vector<InferenceTask>> MakeTasks(const Servable& servable,
                                             std::span<const InferenceTaskView> tasks,
                                             const InferenceOptions& options) {
  std::vector<InferenceTask> made;
  std::set<std::string_view> seen;
  for (const InferenceTaskView& task : tasks) {
    const ModelSpecView& spec = task.model_spec;
    const std::string signature(ResolvedName(spec.signature_name));
    if (spec.name.empty()) {
      return Status::InvalidArgument("Found ModelSpec with an empty model name.");
    }
    if (spec.name != tasks[0].model_spec.name) {
      return Status::InvalidArgument(
          "All ModelSpecs in a MultiInferenceRequest must access the same model name.");
    }
    if (!seen.insert(ResolvedName(spec.signature_name)).second) {
      return Status::InvalidArgument("Duplicate evaluation of signature: " + signature);
    }
    const BoundSignature* bound = servable.FindSignature(signature);
    if (bound == nullptr) {
      return Status::InvalidArgument("Requested signature not found in model graph: " + signature);
    }
    const Result<InferenceMethod> method = MethodOf(task.method_name);
    if (!method.ok()) return method.status();
    Result<InferenceTask> next = MakeBoundTask(*bound, *method, options);
    if (!next.ok()) return next.status();
    made.push_back(std::move(*next));
  }
  return made;
}

RunSubject SubjectOf(std::span<const InferenceTask> tasks, size_t bytes, ApiMethod method) {
  RunSubject subject{.signatures = {}, .bytes = bytes, .method = method};
  for (const InferenceTask& task : tasks) subject.signatures.push_back(task.bound);
  return subject;
}

Result<RunRequest> PrepareTasks(std::span<const InferenceTask> tasks, const InputView& input,
                                size_t bytes) {
  const Result<HostTensor> examples = ExamplesTensor(input, bytes);
  if (!examples.ok()) return examples.status();
  const Result<Places> feeds = InputPlaces(tasks);
  if (!feeds.ok()) return feeds.status();
  const Result<Places> fetches = OutputPlaces(tasks);
  if (!fetches.ok()) return fetches.status();
  RunRequest request;
  for (const auto& [name, place] : *feeds) {
    request.feeds.push_back(place);
    request.inputs.push_back(*examples);
  }
  for (const auto& [name, place] : *fetches) request.fetches.push_back(place);
  return request;
}

Result<std::vector<InferenceResultView>> ReadResults(std::span<const InferenceTask> tasks,
                                                     const RunOutputs& ran, size_t examples) {
  const Result<Places> fetched = OutputPlaces(tasks);
  if (!fetched.ok()) return fetched.status();
  std::vector<InferenceResultView> results;
  for (const InferenceTask& task : tasks) {
    Result<InferenceResultView> result = ReadResult(task, *fetched, ran.tensors, examples);
    if (!result.ok()) return result.status();
    results.push_back(std::move(*result));
  }
  return results;
}

Result<InferenceJob> InferenceJob::Parse(InferenceRpc rpc, ByteBuffer bytes) {
  const ByteView message = bytes.view();
  InferenceJob job(rpc, std::move(bytes));
  if (rpc == InferenceRpc::kMultiInference) {
    Result<MultiInferenceRequestView> request = ParseMultiInferenceRequest(message);
    if (!request.ok()) return request.status();
    job.requested_ = std::move(request->tasks);
    job.input_ = std::move(request->input);
    return job;
  }
  Result<InferenceRequestView> request = ParseInferenceRequest(message);
  if (!request.ok()) return request.status();
  job.has_model_spec_ = request->has_model_spec;
  job.requested_.push_back({.model_spec = request->model_spec, .method_name = {}});
  job.input_ = std::move(request->input);
  return job;
}

Result<ModelSpecView> InferenceJob::model_spec() const {
  if (!has_model_spec_) return Status::InvalidArgument("Missing ModelSpec");
  return requested_.empty() ? ModelSpecView() : requested_[0].model_spec;
}

ApiMethod InferenceJob::method() const {
  if (rpc_ == InferenceRpc::kClassify) return ApiMethod::kClassify;
  return rpc_ == InferenceRpc::kRegress ? ApiMethod::kRegress : ApiMethod::kMultiInference;
}

Status InferenceJob::Bind(const Servable& servable, const InferenceOptions& options) {
  servable_ = &servable;
  if (rpc_ == InferenceRpc::kMultiInference) {
    Result<std::vector<InferenceTask>> tasks = MakeTasks(servable, requested_, options);
    if (!tasks.ok()) return tasks.status();
    tasks_ = std::move(*tasks);
  } else {
    const InferenceMethod method =
        rpc_ == InferenceRpc::kClassify ? InferenceMethod::kClassify : InferenceMethod::kRegress;
    Result<InferenceTask> task =
        MakeTask(servable, method, requested_[0].model_spec.signature_name, options);
    if (!task.ok()) return task.status();
    tasks_ = {std::move(*task)};
  }
  subject_ = SubjectOf(tasks_, bytes_.size(), method());
  return {};
}

Result<ByteChain> InferenceJob::Answer(const RunOutputs& ran) const {
  const Result<std::vector<InferenceResultView>> results =
      ReadResults(tasks_, ran, input_.examples.size());
  if (!results.ok()) return results.status();
  std::vector<InferenceAnswer> answers;
  for (size_t i = 0; i < tasks_.size(); ++i) {
    const AnsweringModel model{requested_[i].model_spec.name, servable_->version(),
                               tasks_[i].bound->signature.name};
    answers.push_back({model, (*results)[i]});
  }
  if (rpc_ == InferenceRpc::kMultiInference) {
    subject_.first().metrics->RecordExamples(input_.examples.size());
    return WriteMultiInferenceResponse(answers);
  }
  return WriteInferenceResponse(answers[0]);
}

}  // namespace fastserve
