#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "metrics/request_record.h"
#include "serving/completion_queue.h"
#include "serving/inference.h"
#include "serving/routing.h"
#include "serving/worker_pool.h"

namespace fastserve {

// What a REST request asks of a model.
enum class JsonMethod { kPredict, kClassify, kRegress };

// A REST predict, classify or regress as its gateway has understood the URL.
struct JsonPredictRequest {
  int64_t token;  // names the answer when it comes later
  JsonMethod method;
  std::string model;
  std::optional<int64_t> version;
  std::optional<std::string> label;
  // After it the answer is DEADLINE_EXCEEDED, if the run has not started.
  std::optional<std::chrono::steady_clock::time_point> deadline;
  // Made by JsonPredictor.
  std::shared_ptr<RequestRecord> record = nullptr;
};

// The outcome of a REST request: a JSON body in either case, {"error": ...} unless kOk.
struct JsonAnswer {
  StatusCode code = StatusCode::kOk;
  std::string body;
};

// REST predict, classify and regress from JSON text to JSON text, with TensorFlow Serving's order
// of checks and texts (model_servers/http_rest_api_handler.cc). Threads: any.
class JsonPredictor {
 public:
  JsonPredictor(const Router& router, WorkerPool& workers, CompletionQueue& completions,
                const InferenceOptions& options)
      : router_(router), workers_(workers), completions_(completions), options_(options) {}

  // Answers at once when that is quick: an error, or a cheap run. Otherwise nothing is returned and
  // the answer comes through the completion queue.
  std::optional<JsonAnswer> Predict(JsonPredictRequest request, std::string_view body);

 private:
  class Task;
  class PredictTask;
  class ExamplesTask;

  // Parses and routes.
  Result<std::shared_ptr<Task>> MakeTask(const JsonPredictRequest& request,
                                         std::string_view body) const;
  std::optional<JsonAnswer> PostWhole(JsonPredictRequest request, std::string_view body);
  // Nothing, as the answer comes later; an answer at once where no task is taken any more.
  std::optional<JsonAnswer> Post(const JsonPredictRequest& request, std::function<void()> task);

  const Router& router_;
  WorkerPool& workers_;
  CompletionQueue& completions_;
  const InferenceOptions options_;
};

}  // namespace fastserve
