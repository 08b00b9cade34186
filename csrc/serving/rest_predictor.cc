#include "serving/rest_predictor.h"

#include <utility>

#include "serving/binary_tasks.h"
#include "serving/json_tasks.h"

namespace fastserve {
namespace {

// Parsing a larger body would hold up the gateway's event loop for longer than a thread hop costs.
constexpr size_t kInlineBodyBytes = 64 * 1024;

}  // namespace

Result<std::shared_ptr<RestTask>> RestPredictor::MakeTask(const RestRequest& request,
                                                          RestBody body) const {
  const TimedStage parsing(request.record->trace().get(), Stage::kParse);
  if (request.format == RestFormat::kProtobuf) {
    return MakeProtobufTask(services_, request, std::move(body).Take());
  }
  if (request.format == RestFormat::kNpy) {
    return MakeNpyTask(services_, request, std::move(body).Take());
  }
  Result<std::shared_ptr<RestTask>> task =
      request.method == ApiMethod::kPredict ? MakeJsonPredictTask(services_, request, body.view())
                                            : MakeJsonExamplesTask(services_, request, body.view());
  std::move(body).Drop();
  return task;
}

std::optional<RestAnswer> RestPredictor::Answer(RestRequest request, RestBody body) {
  request.record = std::make_shared<RequestRecord>();
  request.record->Start(Protocol::kRest, {});
  if (request.traced) request.record->Trace();
  request.record->Received(body.view().size());
  if (body.view().size() > kInlineBodyBytes) return PostWhole(request, std::move(body));
  const Result<std::shared_ptr<RestTask>> task = MakeTask(request, std::move(body));
  if (!task.ok()) return Counted(request, RestFailure(task.status()));
  switch (PlaceOf(**task)) {
    case RunPlace::kHere:
      return Counted(request, (*task)->Answer(RunHere(**task)));
    case RunPlace::kBatch:
      Enqueue(*task);
      return std::nullopt;
    case RunPlace::kWorker:
      return Posted(request, Post(*task, workers_));
  }
  return std::nullopt;
}

std::optional<RestAnswer> RestPredictor::PostWhole(const RestRequest& request, RestBody body) {
  RequestTrace* const trace = request.record->trace().get();
  if (trace != nullptr) trace->Begin(Stage::kReadQueue);
  return Posted(request, workers_.Post(this, [this, trace, request,
                                              body = std::move(body)]() mutable {
    if (trace != nullptr) trace->End(Stage::kReadQueue);
    const Result<std::shared_ptr<RestTask>> task = MakeTask(request, std::move(body));
    if (!task.ok()) return Complete(services_.completions, request, RestFailure(task.status()));
    switch (PlaceOf(**task)) {
      case RunPlace::kBatch:
        return Enqueue(*task);
      case RunPlace::kWorker:  // among the runs of its model, while others' bodies are read here
        if (Post(*task, workers_)) return;
        [[fallthrough]];
      case RunPlace::kHere:
        return (*task)->Finish(RunHere(**task));
    }
  }));
}

std::optional<RestAnswer> RestPredictor::Posted(const RestRequest& request, bool taken) {
  if (taken) return std::nullopt;
  return Counted(request, RestFailure(Status::Unavailable("The server is shutting down")));
}

}  // namespace fastserve
