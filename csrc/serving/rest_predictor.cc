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
      return Post(request, &(*task)->servable(), [held = *task] { held->Finish(RunHere(*held)); });
  }
  return std::nullopt;
}

std::optional<RestAnswer> RestPredictor::PostWhole(const RestRequest& request, RestBody body) {
  return Post(request, this, [this, request, body = std::move(body)]() mutable {
    const Result<std::shared_ptr<RestTask>> task = MakeTask(request, std::move(body));
    if (!task.ok()) return Complete(services_.completions, request, RestFailure(task.status()));
    const auto run = [held = *task] { held->Finish(RunHere(*held)); };
    switch (PlaceOf(**task)) {
      case RunPlace::kBatch:
        return Enqueue(*task);
      case RunPlace::kWorker:  // among the runs of its model, while others' bodies are read here
        if (workers_.Post(&(*task)->servable(), run)) return;
        [[fallthrough]];
      case RunPlace::kHere:
        return run();
    }
  });
}

std::optional<RestAnswer> RestPredictor::Post(const RestRequest& request, const void* owner,
                                              std::function<void()> task) {
  if (workers_.Post(owner, std::move(task))) return std::nullopt;
  return Counted(request, RestFailure(Status::Unavailable("The server is shutting down")));
}

}  // namespace fastserve
