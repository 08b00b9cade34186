#include "transport/grpc/server.h"

#include <algorithm>
#include <mutex>
#include <numeric>
#include <utility>

#include "transport/grpc/connection_gate.h"
#include "transport/grpc/io_thread.h"
#include "transport/grpc/method_table.h"
#include "transport/grpc/server_load.h"

namespace fastserve {

// The listeners live on the first I/O thread's loop and hand each connection to the thread that
// has fewest: gRPC clients hold few, long-lived connections, which a hash would spread badly.
class GrpcServer::Impl {
 public:
  explicit Impl(GrpcServerOptions options) : options_(std::move(options)) {}

  MethodTable& methods() { return methods_; }
  const std::vector<int>& ports() const { return ports_; }
  size_t connections() const {
    return std::accumulate(
        threads_.begin(), threads_.end(), size_t{0},
        [](size_t sum, const auto& thread) { return sum + thread->connections(); });
  }
  void SetTls(std::shared_ptr<const TlsContext> tls);

  Status Start();
  bool Shutdown(std::chrono::milliseconds grace);

 private:
  Status StartThreads();
  void Accept(UniqueFd fd, const SocketAddress& peer);
  void StartDrain();

  const GrpcServerOptions options_;
  MethodTable methods_;
  ServerLoad load_{options_.load};
  ConnectionGate gate_;
  std::vector<int> ports_;
  std::vector<std::unique_ptr<Listener>> listeners_;  // once started: the first loop's
  std::vector<std::unique_ptr<IoThread>> threads_;
  std::mutex tls_mutex_;
  std::shared_ptr<const TlsContext> tls_;  // of new connections; null: cleartext
  std::mutex shutdown_mutex_;              // makes a second Shutdown() wait for the first
  bool started_ = false;
};

Status GrpcServer::Impl::Start() {
  std::vector<std::unique_ptr<Listener>> listeners;
  for (const std::string& address : options_.addresses) {
    Result<std::unique_ptr<Listener>> listener = Listener::Bind(address, options_.listen);
    if (!listener.ok()) return listener.status();
    listeners.push_back(std::move(*listener));
  }
  FASTSERVE_RETURN_IF_ERROR(StartThreads());
  for (const auto& listener : listeners) ports_.push_back(listener->port());
  listeners_ = std::move(listeners);
  started_ = true;
  threads_.front()->loop().Post([this] {
    for (const auto& listener : listeners_) {
      listener->Start(threads_.front()->loop(), [this](UniqueFd fd, const SocketAddress& peer) {
        Accept(std::move(fd), peer);
      });
    }
  });
  return {};
}

Status GrpcServer::Impl::StartThreads() {
  for (int i = 0; i < std::max(1, options_.io_threads); ++i) {
    Result<std::unique_ptr<IoThread>> thread =
        IoThread::Start(methods_, options_.connections, load_, gate_, i);
    if (!thread.ok()) {
      threads_.clear();
      return thread.status();
    }
    threads_.push_back(std::move(*thread));
  }
  return {};
}

void GrpcServer::Impl::Accept(UniqueFd fd, const SocketAddress& peer) {
  if (connections() >= options_.max_connections) return;  // which closes it
  const auto fewest = std::min_element(
      threads_.begin(), threads_.end(),
      [](const auto& a, const auto& b) { return a->connections() < b->connections(); });
  std::shared_ptr<const TlsContext> tls;
  {
    const std::lock_guard lock(tls_mutex_);
    tls = tls_;
  }
  gate_.Enter();
  (*fewest)->Adopt(std::move(fd), std::move(tls), PeerName(peer));
}

void GrpcServer::Impl::SetTls(std::shared_ptr<const TlsContext> tls) {
  const std::lock_guard lock(tls_mutex_);
  tls_ = std::move(tls);
}

// On the first loop, so that every connection it accepted was given to its thread before.
void GrpcServer::Impl::StartDrain() {
  listeners_.clear();
  for (const auto& thread : threads_) thread->StartDrain();
  gate_.Leave();
}

bool GrpcServer::Impl::Shutdown(std::chrono::milliseconds grace) {
  const std::lock_guard lock(shutdown_mutex_);
  if (!std::exchange(started_, false)) return true;
  const auto until = std::chrono::steady_clock::now() + grace;
  gate_.Enter();  // on behalf of StartDrain()
  threads_.front()->loop().Post([this] { StartDrain(); });
  gate_.WaitEmpty(until);
  size_t cut_off = 0;
  for (const auto& thread : threads_) cut_off += thread->CutOff();
  return cut_off == 0;
}

GrpcServer::GrpcServer(GrpcServerOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}

GrpcServer::~GrpcServer() { Shutdown(std::chrono::milliseconds(0)); }

void GrpcServer::AddUnary(std::string path, UnaryMethod method) {
  impl_->methods().methods.insert_or_assign(std::move(path), std::move(method));
}

void GrpcServer::SetFallback(FallbackHandler handler) {
  impl_->methods().fallback = std::move(handler);
}

void GrpcServer::SetAuthorizer(Authorizer authorizer) {
  impl_->methods().authorizer = std::move(authorizer);
}

void GrpcServer::SetTls(std::shared_ptr<const TlsContext> tls) { impl_->SetTls(std::move(tls)); }

Status GrpcServer::Start() { return impl_->Start(); }

size_t GrpcServer::connections() const { return impl_->connections(); }

std::vector<int> GrpcServer::ports() const { return impl_->ports(); }

bool GrpcServer::Shutdown(std::chrono::milliseconds grace) { return impl_->Shutdown(grace); }

}  // namespace fastserve
