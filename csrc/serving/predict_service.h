#pragma once

#include <memory>

#include "codec/predict_wire.h"
#include "serving/request_tap.h"
#include "serving/routing.h"
#include "serving/worker_pool.h"
#include "transport/grpc/server.h"

namespace fastserve {

// The signature that a Predict names; empty means "serving_default". kFailedPrecondition with
// upstream's text when there is none.
Result<const BoundSignature*> FindPredictSignature(const Servable& servable, std::string_view name);
// Runs `request`, which lies in `bytes`, on the calling thread and writes its PredictResponse.
Result<ByteChain> AnswerPredict(const Servable& servable, const BoundSignature& bound,
                                const PredictRequestView& request, const ByteBuffer& bytes,
                                TensorEncoding encoding);

// tensorflow.serving.PredictionService/Predict, from request bytes to answer bytes.
// Threads: Handle() on I/O threads. A signature whose runs are cheap is run right there; others on
// the worker pool. `tap` is offered what was answered. All three outlive the service.
class PredictService {
 public:
  PredictService(const Router& router, WorkerPool& workers, RequestTap& tap,
                 TensorEncoding encoding)
      : router_(router), workers_(workers), tap_(tap), encoding_(encoding) {}

  // Adds the method to `server`; this object must outlive it.
  void Register(GrpcServer& server);

 private:
  struct Task;
  void Handle(CallPtr call, ByteBuffer request);
  void Execute(const Task& task) const;

  const Router& router_;
  WorkerPool& workers_;
  RequestTap& tap_;
  const TensorEncoding encoding_;
};

}  // namespace fastserve
