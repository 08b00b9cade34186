#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "codec/predict_wire.h"
#include "serving/access_control.h"
#include "serving/completion_queue.h"
#include "serving/inference_service.h"
#include "serving/predict_service.h"
#include "serving/request_tap.h"
#include "serving/rest_predictor.h"
#include "serving/routing.h"
#include "serving/rpc_queue.h"
#include "serving/worker_pool.h"
#include "transport/grpc/server.h"

namespace fastserve {

// Sizes and limits of the data plane.
struct ServerOptions {
  GrpcServerOptions grpc;
  // Threads for runs that are too long for an I/O thread.
  int worker_threads = 1;
  // How Predict's answers carry tensors.
  TensorEncoding encoding = TensorEncoding::kTypedFields;
  // How requests may use signatures, over gRPC and REST.
  InferenceOptions inference;
  // Calls are answered as access() decides; without it, all are.
  bool authenticate = false;
};

// The data plane put together: the gRPC port, the routing table, and what runs between them.
// Threads: any; Start(), DrainGrpc() and Shutdown() once each, in this order.
class Server {
 public:
  explicit Server(const ServerOptions& options);
  ~Server();  // as Shutdown(0)

  // Binds and serves. Returns the bound TCP ports in the order of the addresses.
  Result<std::vector<int>> Start();
  // New connections to the gRPC port speak TLS. Any time. kInvalidArgument names the wrong option.
  Status SetTls(const TlsOptions& options);
  // Stops accepting gRPC connections, and lets calls in flight finish for up to `grace`. True when
  // none was cut off. JSON requests are answered as before, up to Shutdown().
  bool DrainGrpc(std::chrono::milliseconds grace) { return grpc_.Shutdown(grace); }
  // Stops accepting, lets calls in flight finish for up to `grace`, then cuts off what is left and
  // stops every thread; waits for runs that are under way. True when nothing was cut off.
  bool Shutdown(std::chrono::milliseconds grace);

  Router& router() { return router_; }
  RpcQueue& rpcs() { return rpcs_; }
  RestPredictor& rest() { return rest_; }
  CompletionQueue& completions() { return completions_; }
  RequestTap& tap() { return tap_; }
  // Who may call what. Over gRPC it is heeded with ServerOptions::authenticate; whoever answers
  // REST asks it.
  AccessControl& access() { return access_; }
  // Open connections of the gRPC port.
  size_t connections() const { return grpc_.connections(); }

 private:
  AccessControl access_;
  Router router_;
  RpcQueue rpcs_;
  CompletionQueue completions_;
  RequestTap tap_;
  WorkerPool workers_;
  PredictService predict_;
  InferenceService inference_;
  RestPredictor rest_;
  GrpcServer grpc_;
};

}  // namespace fastserve
