#pragma once

#include <memory>

#include "codec/predict_wire.h"
#include "serving/routing.h"
#include "serving/worker_pool.h"
#include "transport/grpc/server.h"

namespace fastserve {

// tensorflow.serving.PredictionService/Predict, from request bytes to answer bytes.
// Threads: Handle() on I/O threads. A signature whose runs are cheap is run right there; others on
// the worker pool. Both outlive the service.
class PredictService {
 public:
  PredictService(const Router& router, WorkerPool& workers, TensorEncoding encoding)
      : router_(router), workers_(workers), encoding_(encoding) {}

  // Adds the method to `server`; this object must outlive it.
  void Register(GrpcServer& server);

 private:
  struct Task;
  void Handle(CallPtr call, ByteBuffer request);
  void Execute(const Task& task) const;

  const Router& router_;
  WorkerPool& workers_;
  const TensorEncoding encoding_;
};

}  // namespace fastserve
