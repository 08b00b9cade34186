#include "serving/binary_tasks.h"

#include <string>
#include <vector>

#include "codec/npy.h"
#include "codec/predict_json.h"
#include "codec/signature_hint.h"
#include "serving/predict.h"

namespace fastserve {
namespace {

class ProtobufTask final : public RestTask {
 public:
  // `job` is bound to the context's servable.
  ProtobufTask(Context context, PredictJob job)
      : RestTask(std::move(context)), job_(std::move(job)) {}

  Result<RunRequest> Prepare() override { return job_.Prepare(); }

 private:
  Result<Payload> Write(const RunOutputs& ran) const override {
    const Result<ByteChain> answer = job_.Answer(ran);
    if (!answer.ok()) return answer.status();
    return Payload{answer->Flatten(), RestFormat::kProtobuf};
  }
  std::string Hint() const override { return job_.Hint(); }

  PredictJob job_;
};

class NpyTask final : public RestTask {
 public:
  // `input`: the only one of the context's signature.
  NpyTask(Context context, HostTensor input, bool wants_json)
      : RestTask(std::move(context)), input_(std::move(input)), wants_json_(wants_json) {}

  Result<RunRequest> Prepare() override {
    const std::pair<std::string_view, const HostTensor*> input = Input();
    Result<PredictRun> run = PrepareTensors(bound(), {&input, 1});
    if (!run.ok()) return run.status();
    return std::move(run->request);
  }

 private:
  std::pair<std::string_view, const HostTensor*> Input() const {
    return {bound().signature.inputs[0].alias, &input_};
  }

  Result<Payload> Write(const RunOutputs& ran) const override {
    if (!wants_json_ && ran.tensors.size() == 1 && HasNpyForm(ran.tensors[0].dtype)) {
      return Payload{WriteNpy(ran.tensors[0]), RestFormat::kNpy};
    }
    return WriteJson(JsonFormat::kColumn, ran);
  }

  std::string Hint() const override {
    const std::pair<std::string_view, const HostTensor*> input = Input();
    return DescribeMisfits(bound().signature, {&input, 1});
  }

  const HostTensor input_;
  const bool wants_json_;
};

Status NotOneInput(const Signature& signature) {
  return Status::InvalidArgument("An npy file is one tensor, but " + DescribeInputs(signature) +
                                 ". Send a PredictRequest (application/x-protobuf) or JSON");
}

}  // namespace

Result<std::shared_ptr<RestTask>> MakeProtobufTask(const RestServices& services,
                                                   const RestRequest& request, ByteBuffer body) {
  Result<PredictJob> job = PredictJob::Parse(std::move(body), services.encoding);
  if (!job.ok()) {
    return Status::InvalidArgument(
        "The body is not a serialized tensorflow.serving.PredictRequest");
  }
  Result<ServablePtr> servable = Route(services.router, request);
  if (!servable.ok()) return servable.status();
  FASTSERVE_RETURN_IF_ERROR(job->Bind(**servable, services.options));
  RestTask::Context context{services.completions, request, std::move(*servable), job->subject()};
  return std::shared_ptr<RestTask>(
      std::make_shared<ProtobufTask>(std::move(context), std::move(*job)));
}

Result<std::shared_ptr<RestTask>> MakeNpyTask(const RestServices& services,
                                              const RestRequest& request, ByteBuffer body) {
  Result<HostTensor> input = ReadNpy(body.view(), body);
  if (!input.ok()) return input.status();
  Result<ServablePtr> servable = Route(services.router, request);
  if (!servable.ok()) return servable.status();
  const BoundSignature* bound = (*servable)->FindSignature("");
  if (bound == nullptr) return RestSignatureNotFound("");
  FASTSERVE_RETURN_IF_ERROR(CheckPredictMethodName(bound->signature, services.options));
  if (bound->signature.inputs.size() != 1) return NotOneInput(bound->signature);
  RestTask::Context context{
      services.completions, request, std::move(*servable), {{bound}, body.size(), request.method}};
  return std::shared_ptr<RestTask>(
      std::make_shared<NpyTask>(std::move(context), std::move(*input), request.wants_json));
}

}  // namespace fastserve
