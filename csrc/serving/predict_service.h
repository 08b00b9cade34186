#pragma once

#include "codec/tensor_wire.h"
#include "serving/inference.h"
#include "serving/request_tap.h"
#include "serving/routing.h"
#include "serving/worker_pool.h"
#include "transport/grpc/server.h"

namespace fastserve {

// tensorflow.serving.PredictionService/Predict, from request bytes to answer bytes.
// Threads: Handle() on I/O threads; see Dispatch() for where the run is. `tap` is offered what was
// answered. All three outlive the service.
class PredictService {
 public:
  PredictService(const Router& router, WorkerPool& workers, RequestTap& tap,
                 TensorEncoding encoding, const InferenceOptions& options)
      : router_(router), workers_(workers), tap_(tap), encoding_(encoding), options_(options) {}

  // Adds the method to `server`; this object must outlive it.
  void Register(GrpcServer& server);

 private:
  void Handle(CallPtr call, ByteBuffer request);

  const Router& router_;
  WorkerPool& workers_;
  RequestTap& tap_;
  const TensorEncoding encoding_;
  const InferenceOptions options_;
};

}  // namespace fastserve
