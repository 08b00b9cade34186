#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/byte_buffer.h"
#include "base/byte_chain.h"
#include "base/status.h"
#include "base/tensor.h"
#include "codec/predict_wire.h"
#include "serving/inference.h"
#include "serving/run_subject.h"
#include "serving/session_run.h"

namespace fastserve {

// Tensors by alias.
template <class Value>
using NamedInputs = std::span<const std::pair<std::string_view, Value>>;

// A Predict that is matched with a signature.
struct PredictRun {
  RunRequest request;
  // The outputs that it wants, by index of the signature's, in the order of request.fetches.
  InlineVector<size_t, 8> outputs;
};

// Matches inputs with those of `bound`'s signature, by the rules and with the texts of upstream's
// servables/tensorflow/{predict_util,predict_impl}.cc: by alias, defaults filled in, output_filter
// applied (empty = all outputs). The serialized form decodes each TensorProto, which `owner` holds.
Result<PredictRun> PrepareSerialized(const BoundSignature& bound, NamedInputs<ByteView> inputs,
                                     const ByteBuffer& owner,
                                     std::span<const std::string_view> output_filter);
// The same for tensors that are decoded already; all outputs are wanted.
Result<PredictRun> PrepareTensors(const BoundSignature& bound,
                                  NamedInputs<const HostTensor*> inputs);

// A Predict over gRPC on its way from request bytes to answer bytes.
class PredictJob {
 public:
  // `message` is a PredictRequest. kInternal with an empty message when it does not parse.
  static Result<PredictJob> Parse(ByteBuffer message, TensorEncoding encoding);

  // The model asked for; kInvalidArgument where the request names none.
  Result<ModelSpecView> model_spec() const;
  ByteView message() const { return bytes_.view(); }
  static constexpr ApiMethod method() { return ApiMethod::kPredict; }

  // Finds the signature; kFailedPrecondition with upstream's text when there is none, and as
  // CheckPredictMethodName(). Must be called, and be OK, before what follows. `servable` need not
  // be the one of model_spec().
  Status Bind(const Servable& servable, const InferenceOptions& options);
  const RunSubject& subject() const { return subject_; }
  Result<RunRequest> Prepare();
  // What may help a client whose inputs were refused; see codec/signature_hint.h.
  std::string Hint() const;
  // The PredictResponse to what the run gave.
  Result<ByteChain> Answer(const RunOutputs& ran) const;

 private:
  PredictJob(ByteBuffer bytes, PredictRequestView request, TensorEncoding encoding)
      : bytes_(std::move(bytes)), request_(std::move(request)), encoding_(encoding) {}

  ByteBuffer bytes_;
  PredictRequestView request_;  // borrows from bytes_
  TensorEncoding encoding_;
  const Servable* servable_ = nullptr;
  RunSubject subject_;               // of servable_
  bool prepared_ = false;            // without an error
  InlineVector<size_t, 8> outputs_;  // as PredictRun::outputs
};

}  // namespace fastserve
