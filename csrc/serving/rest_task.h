#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/status.h"
#include "codec/predict_json.h"
#include "codec/tensor_wire.h"
#include "metrics/metrics.h"
#include "metrics/request_record.h"
#include "serving/completion_queue.h"
#include "serving/inference.h"
#include "serving/rest_body.h"
#include "serving/routing.h"
#include "serving/run_task.h"

namespace fastserve {

// A REST predict, classify or regress as its gateway has understood the URL and the header.
struct RestRequest {
  int64_t token;     // names the answer when it comes later
  ApiMethod method;  // kPredict, kClassify or kRegress
  std::string model;
  std::optional<int64_t> version;
  std::optional<std::string> label;
  // After it the answer is DEADLINE_EXCEEDED, if the run has not started.
  std::optional<std::chrono::steady_clock::time_point> deadline;
  RestFormat format = RestFormat::kJson;            // of the body; kPredict alone has others
  bool wants_json = false;                          // also where the format's own answer is another
  bool traced = false;                              // the answer tells of its stages
  std::shared_ptr<RequestRecord> record = nullptr;  // made by RestPredictor
};

// What requests are made into tasks with.
struct RestServices {
  const Router& router;
  CompletionQueue& completions;
  InferenceOptions options;
  TensorEncoding encoding;  // of a PredictResponse
};

// The servable that the URL asks for.
inline Result<ServablePtr> Route(const Router& router, const RestRequest& request) {
  return router.Current()->Find(request.model, request.version, request.label);
}

// Counts the answer to `request`, and returns it.
RestAnswer Counted(const RestRequest& request, RestAnswer answer);
// The same of one that comes later.
void Complete(CompletionQueue& completions, const RestRequest& request, RestAnswer answer);

// One REST request between routing and answer: who waits, and how the answer gets there.
class RestTask : public RunTask {
 public:
  struct Context {
    CompletionQueue& completions;
    RestRequest request;
    ServablePtr servable;
    RunSubject subject;  // of the servable
  };
  explicit RestTask(Context context) : context_(std::move(context)) {
    context_.request.record->Route(subject().first().metrics);
  }

  const Servable& servable() const override { return *context_.servable; }
  std::optional<Clock::time_point> deadline() const override { return context_.request.deadline; }
  bool abandoned() const override { return false; }
  const RunSubject& subject() const override { return context_.subject; }
  RequestTrace* trace() const override { return context_.request.record->trace().get(); }
  void Finish(Result<RunOutputs> ran) override {
    Complete(context_.completions, context_.request, Answer(ran));
  }

  RestAnswer Answer(const Result<RunOutputs>& ran) const;

 protected:
  struct Payload {
    std::string body;
    RestFormat format;
  };
  // For a task of one signature.
  const BoundSignature& bound() const { return subject().first(); }
  // The outputs of `ran`, which are all of bound(), as JSON.
  Result<Payload> WriteJson(JsonFormat format, const RunOutputs& ran) const;

 private:
  virtual Result<Payload> Write(const RunOutputs& ran) const = 0;
  Result<Payload> Serialise(const RunOutputs& ran) const;
  // What may help a client whose inputs were refused; see codec/signature_hint.h.
  virtual std::string Hint() const { return {}; }

  const Context context_;
};

// The error of a servable that lacks the signature; "" is serving_default.
Status RestSignatureNotFound(std::string_view name);

// The answer that tells of an error: {"error": ...}. `hint` may be empty.
RestAnswer RestFailure(const Status& status, const std::string& hint = {});

}  // namespace fastserve
