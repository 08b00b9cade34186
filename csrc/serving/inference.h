#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/byte_chain.h"
#include "base/status.h"
#include "base/tensor.h"
#include "codec/inference_wire.h"
#include "serving/run_subject.h"
#include "serving/session_run.h"

namespace fastserve {

// What a task asks of a signature, and so how its outputs are read.
enum class InferenceMethod { kClassify, kRegress };

struct InferenceOptions {
  // Whether a signature's own method_name must be that of the method; a Predict takes any of the
  // three (--enable_signature_method_name_check).
  bool check_method_names = false;
};

// Whether a Predict may use the signature: kInternal with upstream's text where not
// (servables/tensorflow/predict_util.cc, VerifySignature).
Status CheckPredictMethodName(const Signature& signature, const InferenceOptions& options);

// One signature to evaluate: its only input takes the serialized Examples.
struct InferenceTask {
  InferenceMethod method;
  const BoundSignature* bound;
  // Outputs by index of the signature's: "classes" and "scores", or "outputs" alone.
  InlineVector<size_t, 2> outputs;
};

// Finds the signature (empty = "serving_default") and checks that the method can use it. Errors by
// upstream's texts (servables/tensorflow/{classifier,regressor}.cc). The task borrows from
// `servable`.
Result<InferenceTask> MakeTask(const Servable& servable, InferenceMethod method,
                               std::string_view signature_name, const InferenceOptions& options);
// The same for the tasks of a MultiInference, which must be of one model and of different
// signatures (servables/tensorflow/multi_inference.cc).
Result<std::vector<InferenceTask>> MakeTasks(const Servable& servable,
                                             std::span<const InferenceTaskView> tasks,
                                             const InferenceOptions& options);

// What a run of all of them, for a request of `bytes`, counts for.
RunSubject SubjectOf(std::span<const InferenceTask> tasks, size_t bytes, ApiMethod method);

// One run for all tasks: each input tensor is fed the same examples, each output tensor is fetched
// once. `bytes` is the size of the request that `input` lies in.
Result<RunRequest> PrepareTasks(std::span<const InferenceTask> tasks, const InputView& input,
                                size_t bytes);
// The results of such a run, task by task; they borrow from `ran`. `examples` is their number.
Result<std::vector<InferenceResultView>> ReadResults(std::span<const InferenceTask> tasks,
                                                     const RunOutputs& ran, size_t examples);
// The methods of PredictionService that take Examples.
enum class InferenceRpc { kClassify, kRegress, kMultiInference };

// One of them on its way from request bytes to answer bytes.
class InferenceJob {
 public:
  // `message` is a ClassificationRequest, RegressionRequest or MultiInferenceRequest. kInternal
  // with an empty message when it does not parse.
  static Result<InferenceJob> Parse(InferenceRpc rpc, ByteBuffer message);

  // The model asked for. kInvalidArgument where the request has no model_spec; a MultiInference
  // goes by its first task.
  Result<ModelSpecView> model_spec() const;

  ApiMethod method() const;
  ByteView message() const { return bytes_.view(); }

  // Must be called, and be OK, before what follows. `servable` need not be the one of model_spec().
  Status Bind(const Servable& servable, const InferenceOptions& options);
  const RunSubject& subject() const { return subject_; }
  Result<RunRequest> Prepare() const { return PrepareTasks(tasks_, input_, bytes_.size()); }
  // The response message to what the run gave.
  Result<ByteChain> Answer(const RunOutputs& ran) const;

 private:
  InferenceJob(InferenceRpc rpc, ByteBuffer bytes) : rpc_(rpc), bytes_(std::move(bytes)) {}

  InferenceRpc rpc_;
  ByteBuffer bytes_;  // what follows borrows from it
  bool has_model_spec_ = true;
  std::vector<InferenceTaskView> requested_;  // one, but for a MultiInference
  InputView input_;
  const Servable* servable_ = nullptr;
  std::vector<InferenceTask> tasks_;
  RunSubject subject_;
};

}  // namespace fastserve
