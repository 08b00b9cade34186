#pragma once

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
  // Nothing where the pool has taken its task, as the answer comes later; else the answer.
  static std::optional<RestAnswer> Posted(const RestRequest& request, bool taken);

  const RestServices services_;
  WorkerPool& workers_;
};

}  // namespace fastserve
