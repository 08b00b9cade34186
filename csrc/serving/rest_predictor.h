#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/status.h"
#include "serving/rest_task.h"
#include "serving/worker_pool.h"

namespace fastserve {

// REST predict, classify and regress from body to body, with TensorFlow Serving's order of checks
// and texts (model_servers/http_rest_api_handler.cc). Threads: any.
class RestPredictor {
 public:
  RestPredictor(const RestServices& services, WorkerPool& workers)
      : services_(services), workers_(workers) {}

  // Answers at once when that is quick: an error, or a cheap run. Otherwise nothing is returned and
  // the answer comes through the completion queue.
  std::optional<RestAnswer> Answer(RestRequest request, RestBody body);

 private:
  // Parses and routes; the body is gone then, but for what the request needs of it.
  Result<std::shared_ptr<RestTask>> MakeTask(const RestRequest& request, RestBody body) const;
  std::optional<RestAnswer> PostWhole(const RestRequest& request, RestBody body);
  // Nothing, as the answer comes later; an answer at once where no task is taken any more.
  // `owner` as WorkerPool::Post() has it.
  std::optional<RestAnswer> Post(const RestRequest& request, const void* owner,
                                 std::function<void()> task);

  const RestServices services_;
  WorkerPool& workers_;
};

}  // namespace fastserve
