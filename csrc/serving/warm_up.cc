#include "serving/warm_up.h"

#include <string>

#include "serving/inference.h"
#include "serving/predict_service.h"

namespace fastserve {
namespace {

Status WarmUpPredict(const Servable& servable, const ByteBuffer& bytes) {
  const Result<PredictRequestView> request = ParsePredictRequest(bytes.view());
  if (!request.ok()) return request.status();
  const Result<const BoundSignature*> bound =
      FindPredictSignature(servable, request->model_spec.signature_name);
  if (!bound.ok()) return bound.status();
  return AnswerPredict(servable, **bound, *request, bytes, TensorEncoding::kTypedFields).status();
}

template <InferenceRpc rpc>
Status WarmUpInference(const Servable& servable, const ByteBuffer& bytes) {
  return AnswerInference(servable, rpc, bytes.view()).status();
}

struct Method {
  std::string_view name;
  Status (*warm_up)(const Servable& servable, const ByteBuffer& request);
};
constexpr Method kMethods[] = {
    {"predict", &WarmUpPredict},
    {"classify", &WarmUpInference<InferenceRpc::kClassify>},
    {"regress", &WarmUpInference<InferenceRpc::kRegress>},
    {"multi_inference", &WarmUpInference<InferenceRpc::kMultiInference>},
};

}  // namespace

Status WarmUp(const Servable& servable, std::string_view method, const ByteBuffer& request) {
  for (const Method& known : kMethods) {
    if (known.name == method) return known.warm_up(servable, request);
  }
  return Status::Unimplemented("no warm-up by method " + std::string(method));
}

}  // namespace fastserve
