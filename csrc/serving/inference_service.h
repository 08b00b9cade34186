#pragma once

#include "serving/inference.h"
#include "serving/routing.h"
#include "serving/worker_pool.h"
#include "transport/grpc/server.h"

namespace fastserve {

// tensorflow.serving.PredictionService's Classify, Regress and MultiInference, from request bytes
// to answer bytes.
// Threads: as PredictService. Router and worker pool outlive the service.
class InferenceService {
 public:
  InferenceService(const Router& router, WorkerPool& workers, const InferenceOptions& options)
      : router_(router), workers_(workers), options_(options) {}

  // Adds the methods to `server`; this object must outlive it.
  void Register(GrpcServer& server);

 private:
  void Handle(InferenceRpc rpc, CallPtr call, ByteBuffer bytes);

  const Router& router_;
  WorkerPool& workers_;
  const InferenceOptions options_;
};

}  // namespace fastserve
