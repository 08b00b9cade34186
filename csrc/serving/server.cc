#include "serving/server.h"

#include "base/heap.h"

namespace fastserve {

Server::Server(const ServerOptions& options)
    : workers_(options.worker_threads),
      predict_(router_, workers_, tap_, options.encoding, options.inference),
      inference_(router_, workers_, options.inference),
      rest_({router_, completions_, options.inference, options.encoding}, workers_),
      grpc_(options.grpc) {
  KeepFreedMemory();
  predict_.Register(grpc_);
  inference_.Register(grpc_);
  rpcs_.Register(grpc_);
  if (options.authenticate) {
    grpc_.SetAuthorizer([this](std::string_view path, std::string_view authorization) {
      return access_.Check(AccessOf(path), authorization);
    });
  }
}

Server::~Server() { Shutdown(std::chrono::milliseconds(0)); }

Result<std::vector<int>> Server::Start() {
  FASTSERVE_RETURN_IF_ERROR(grpc_.Start());
  return grpc_.ports();
}

Status Server::SetTls(const TlsOptions& options) {
  Result<std::shared_ptr<const TlsContext>> context = TlsContext::Create(options);
  if (!context.ok()) return context.status();
  grpc_.SetTls(std::move(*context));
  return {};
}

bool Server::Shutdown(std::chrono::milliseconds grace) {
  const bool finished = grpc_.Shutdown(grace);
  rpcs_.Close();
  workers_.Stop();
  router_.Publish(std::make_shared<const RoutingSnapshot>());
  return finished;
}

}  // namespace fastserve
