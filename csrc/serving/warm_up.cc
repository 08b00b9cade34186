#include "serving/warm_up.h"

#include <algorithm>
#include <future>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "serving/predict.h"
#include "serving/run_task.h"

namespace fastserve {
namespace {

// A request that nobody asked for: its answer is written, and dropped.
template <class Job>
class WarmUpTask final : public RunTask {
 public:
  // `job` is bound to `servable`, which outlives the outcome.
  WarmUpTask(const Servable& servable, Job job) : servable_(servable), job_(std::move(job)) {}

  std::future<Status> outcome() { return outcome_.get_future(); }

  const Servable& servable() const override { return servable_; }
  std::optional<Clock::time_point> deadline() const override { return std::nullopt; }
  bool abandoned() const override { return false; }
  const RunSubject& subject() const override { return job_.subject(); }
  Result<RunRequest> Prepare() override { return job_.Prepare(); }
  void Finish(Result<RunOutputs> ran) override {
    outcome_.set_value(ran.ok() ? job_.Answer(*ran).status() : ran.status());
  }

 private:
  const Servable& servable_;
  Job job_;
  std::promise<Status> outcome_;
};

template <class Job>
Status Run(const Servable& servable, Job job) {
  const auto task = std::make_shared<WarmUpTask<Job>>(servable, std::move(job));
  std::future<Status> outcome = task->outcome();
  if (servable.batcher() != nullptr) {
    Enqueue(task);
  } else {
    task->Finish(RunHere(*task));
  }
  return outcome.get();
}

Status WarmUpPredict(const Servable& servable, const ByteBuffer& bytes,
                     const InferenceOptions& options) {
  Result<PredictJob> job = PredictJob::Parse(bytes, TensorEncoding::kTypedFields);
  if (!job.ok()) return job.status();
  FASTSERVE_RETURN_IF_ERROR(job->Bind(servable, options));
  return Run(servable, std::move(*job));
}

template <InferenceRpc rpc>
Status WarmUpInference(const Servable& servable, const ByteBuffer& bytes,
                       const InferenceOptions& options) {
  Result<InferenceJob> job = InferenceJob::Parse(rpc, bytes);
  if (!job.ok()) return job.status();
  FASTSERVE_RETURN_IF_ERROR(job->Bind(servable, options));
  return Run(servable, std::move(*job));
}

struct Method {
  std::string_view name;
  Status (*warm_up)(const Servable& servable, const ByteBuffer& request,
                    const InferenceOptions& options);
};
constexpr Method kMethods[] = {
    {"predict", &WarmUpPredict},
    {"classify", &WarmUpInference<InferenceRpc::kClassify>},
    {"regress", &WarmUpInference<InferenceRpc::kRegress>},
    {"multi_inference", &WarmUpInference<InferenceRpc::kMultiInference>},
};

}  // namespace

Status WarmUp(const Servable& servable, std::string_view method, const ByteBuffer& request,
              const InferenceOptions& options) {
  const auto known = std::find_if(std::begin(kMethods), std::end(kMethods),
                                  [&](const Method& each) { return each.name == method; });
  if (known == std::end(kMethods)) {
    return Status::Unimplemented("no warm-up by method " + std::string(method));
  }
  const size_t replicas = std::max<size_t>(1, servable.session().replica_runs().size());
  for (size_t i = 0; i < replicas; ++i) {
    FASTSERVE_RETURN_IF_ERROR(known->warm_up(servable, request, options));
  }
  return {};
}

}  // namespace fastserve
