#include "serving/predict_service.h"

#include <utility>

#include "serving/predict.h"
#include "serving/rpc_task.h"

namespace fastserve {
namespace {

// A Predict that the tap is offered once it is answered.
class PredictTask final : public RpcTask<PredictJob> {
 public:
  PredictTask(RequestTap& tap, CallPtr call, ServablePtr servable, PredictJob job)
      : RpcTask(std::move(call), std::move(servable), std::move(job)), tap_(tap) {}

 private:
  void OnAnswered() const override { tap_.Offer(servable().name(), job().message()); }
  std::string Hint() const override { return job().Hint(); }

  RequestTap& tap_;
};

}  // namespace

void PredictService::Register(GrpcServer& server) {
  server.AddUnary(
      "/tensorflow.serving.PredictionService/Predict",
      {.handle = [this](CallPtr call,
                        ByteBuffer bytes) { Handle(std::move(call), std::move(bytes)); },
       .payload_offset = &PayloadOffset});
}

void PredictService::Handle(CallPtr call, ByteBuffer bytes) {
  Result<PredictJob> job = PredictJob::Parse(std::move(bytes), encoding_);
  if (!job.ok()) return call->Finish(job.status());
  Result<ServablePtr> servable = FindServable(router_, *call, *job);
  if (!servable.ok()) return call->Finish(servable.status());
  if (Status status = job->Bind(**servable, options_); !status.ok()) return call->Finish(status);
  Dispatch(PredictTask(tap_, std::move(call), std::move(*servable), std::move(*job)), workers_);
}

}  // namespace fastserve
