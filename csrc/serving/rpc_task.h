#pragma once

#include <optional>
#include <string>
#include <utility>

#include "metrics/metrics.h"
#include "serving/hint.h"
#include "serving/routing.h"
#include "serving/run_task.h"
#include "transport/grpc/call.h"
#include "transport/grpc/wire_text.h"

namespace fastserve {

// A unary call of PredictionService whose request is a `Job`: a PredictJob or an InferenceJob.
template <class Job>
class RpcTask : public RunTask {
 public:
  // `job` is bound to `servable`.
  RpcTask(CallPtr call, ServablePtr servable, Job job)
      : call_(std::move(call)), servable_(std::move(servable)), job_(std::move(job)) {
    call_->record().Route(subject().first().metrics);
  }

  const Servable& servable() const override { return *servable_; }
  std::optional<Clock::time_point> deadline() const override { return call_->deadline(); }
  bool abandoned() const override { return call_->done(); }
  const RunSubject& subject() const override { return job_.subject(); }
  Result<RunRequest> Prepare() override { return job_.Prepare(); }
  RequestTrace* trace() const override { return call_->record().trace().get(); }

  void Finish(Result<RunOutputs> ran) override {
    if (!ran.ok()) return Fail(ran.status());
    Result<ByteChain> answer = Serialise(*ran);
    if (!answer.ok()) return call_->Finish(answer.status());
    OnAnswered();
    Metrics::Instance().request_log().Offer(*subject().first().metrics, job_.method(),
                                            job_.message(), *answer);
    call_->Reply(std::move(*answer));
  }

 protected:
  // Called before an answer goes out.
  virtual void OnAnswered() const {}
  // What may help a client whose inputs were refused; see codec/signature_hint.h.
  virtual std::string Hint() const { return {}; }

  const Job& job() const { return job_; }

 private:
  Result<ByteChain> Serialise(const RunOutputs& ran) const {
    const TimedStage serialising(trace(), Stage::kSerialise);
    return job_.Answer(ran);
  }
  void Fail(Status status) {
    const std::string hint = IsHintable(status) ? Hint() : std::string();
    Metadata trailing;
    if (!hint.empty()) trailing.emplace_back(kHintKey, PercentEncode(hint));
    call_->Finish(std::move(status), std::move(trailing));
  }

  CallPtr call_;
  ServablePtr servable_;
  Job job_;
};

// Finds the servable that `job`, the request of `call`, asks for.
template <class Job>
Result<ServablePtr> FindServable(const Router& router, Call& call, const Job& job) {
  const Result<ModelSpecView> spec = job.model_spec();
  call.record().Ask(job.method(), spec.ok() ? spec->name : std::string_view());
  if (!spec.ok()) return spec.status();
  return FindServable(router, *spec);
}

}  // namespace fastserve
