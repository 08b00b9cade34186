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

  bool IsCheap() const override { return job_.IsCheap(); }
  bool IsTrivial() const override { return job_.IsTrivial(); }
  void RecordCost(std::chrono::nanoseconds elapsed) const override { job_.RecordCost(elapsed); }
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
  // `bound`: a signature with one input, of the context's servable.
  NpyTask(Context context, HostTensor input, const BoundSignature& bound, bool wants_json)
      : RestTask(std::move(context)),
        input_(std::move(input)),
        bound_(bound),
        wants_json_(wants_json) {}

  bool IsCheap() const override { return bound_.cost.IsCheap(bytes()); }
  bool IsTrivial() const override { return bound_.cost.IsTrivial(bytes()); }
  void RecordCost(std::chrono::nanoseconds elapsed) const override {
    bound_.cost.Record(elapsed, bytes());
  }
  Result<RunRequest> Prepare() override {
    const std::pair<std::string_view, const HostTensor*> input = Input();
    Result<PredictRun> run = PrepareTensors(bound_, {&input, 1});
    if (!run.ok()) return run.status();
    return std::move(run->request);
  }

 private:
  std::pair<std::string_view, const HostTensor*> Input() const {
    return {bound_.signature.inputs[0].alias, &input_};
  }

  Result<Payload> Write(const RunOutputs& ran) const override {
    if (!wants_json_ && ran.tensors.size() == 1 && HasNpyForm(ran.tensors[0].dtype)) {
      return Payload{WriteNpy(ran.tensors[0]), RestFormat::kNpy};
    }
    std::vector<std::pair<std::string_view, HostTensor>> outputs;
    for (size_t i = 0; i < ran.tensors.size(); ++i) {
      outputs.emplace_back(bound_.signature.outputs[i].alias, ran.tensors[i]);
    }
    Result<std::string> body = WritePredictJson(JsonFormat::kColumn, outputs);
    if (!body.ok()) return body.status();
    return Payload{std::move(*body), RestFormat::kJson};
  }

  std::string Hint() const override {
    const std::pair<std::string_view, const HostTensor*> input = Input();
    return DescribeMisfits(bound_.signature, {&input, 1});
  }

  const HostTensor input_;
  const BoundSignature& bound_;
  const bool wants_json_;
};

Status NotOneInput(const Signature& signature) {
  return Status::InvalidArgument("An npy file is one tensor, but " + DescribeInputs(signature) +
                                 ". Send a PredictRequest (application/x-protobuf) or JSON");
}

}  // namespace

Result<std::shared_ptr<RestTask>> MakeProtobufTask(const RestServices& services,
                                                   const RestRequest& request, ByteBuffer body) {
  const size_t size = body.size();
  Result<PredictJob> job = PredictJob::Parse(std::move(body), services.encoding);
  if (!job.ok()) {
    return Status::InvalidArgument(
        "The body is not a serialized tensorflow.serving.PredictRequest");
  }
  Result<ServablePtr> servable = Route(services.router, request);
  if (!servable.ok()) return servable.status();
  FASTSERVE_RETURN_IF_ERROR(job->Bind(**servable, services.options));
  RestTask::Context context{services.completions, request, std::move(*servable), job->metrics(),
                            size};
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
  if (bound == nullptr) {
    return Status::InvalidArgument(
        "Serving signature name: \"serving_default\" not found in signature def");
  }
  FASTSERVE_RETURN_IF_ERROR(CheckPredictMethodName(bound->signature, services.options));
  if (bound->signature.inputs.size() != 1) return NotOneInput(bound->signature);
  RestTask::Context context{services.completions, request, std::move(*servable), bound->metrics,
                            body.size()};
  return std::shared_ptr<RestTask>(
      std::make_shared<NpyTask>(std::move(context), std::move(*input), *bound, request.wants_json));
}

}  // namespace fastserve
