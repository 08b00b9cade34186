#include "transport/grpc/io_thread.h"

#include <pthread.h>

#include <csignal>
#include <system_error>
#include <utility>

#include "base/block_pool.h"

namespace fastserve {
namespace {

// What one connection may bring in one turn of the loop. It stays in the L2 cache on its way from
// the kernel to the message's buffer.
constexpr size_t kReadBytes = 64 << 10;

// By which part connections last longer or shorter than their limits say, as with gRPC.
constexpr double kJitter = 0.1;

// Signals are for the program's own threads, which wait for them.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

Result<std::unique_ptr<IoThread>> IoThread::Start(const MethodTable& methods,
                                                  const ConnectionOptions& options,
                                                  ServerLoad& load, ConnectionGate& gate,
                                                  int number) {
  Result<std::shared_ptr<EventLoop>> loop = EventLoop::Create();
  if (!loop.ok()) return loop.status();
  std::unique_ptr<IoThread> self(new IoThread(methods, options, load, gate, std::move(*loop)));
  const SignalsBlocked blocked;
  try {
    self->thread_ = std::thread([loop = self->loop_] { loop->Run(); });
  } catch (const std::system_error& error) {
    return Status::ResourceExhausted(std::string("cannot start an I/O thread: ") + error.what());
  }
  const std::string name = "grpc-io-" + std::to_string(number);
  pthread_setname_np(self->thread_.native_handle(), name.c_str());
  return self;
}

IoThread::IoThread(const MethodTable& methods, const ConnectionOptions& options, ServerLoad& load,
                   ConnectionGate& gate, std::shared_ptr<EventLoop> loop)
    : methods_(methods),
      options_(options),
      load_(load),
      gate_(gate),
      loop_(std::move(loop)),
      read_buffer_(kReadBytes) {}

IoThread::~IoThread() { CutOff(); }

void IoThread::Adopt(UniqueFd fd, std::shared_ptr<const TlsContext> tls, std::string peer) {
  open_.fetch_add(1, std::memory_order_relaxed);
  // Shared only because a std::function can be copied.
  auto held = std::make_shared<UniqueFd>(std::move(fd));
  loop_->Post([this, held, tls = std::move(tls), peer = std::move(peer)] {
    Open(std::move(*held), tls.get(), peer);
  });
}

void IoThread::Open(UniqueFd fd, const TlsContext* tls, std::string peer) {
  auto origin =
      std::make_shared<const CallOrigin>(CallOrigin{loop_, std::move(peer), options_.calls});
  const double jitter = std::uniform_real_distribution(-kJitter, kJitter)(random_);
  auto connection =
      std::make_unique<Connection>(*this, std::move(fd), tls, std::move(origin), jitter);
  connections_.emplace(connection.get(), std::move(connection));
  if (!std::exchange(looks_, true)) LookLater();
}

void IoThread::LookLater() {
  const auto period = ConnectionWatch::Period(options_.limits);
  loop_->AddTimer(EventLoop::Clock::now() + period, [this] { Look(); });
}

void IoThread::Look() {
  PooledVector<Connection*> all;  // each may remove itself, and no other
  for (const auto& [connection, owner] : connections_) all.push_back(connection);
  const auto now = EventLoop::Clock::now();
  for (Connection* connection : all) connection->Look(now);
  looks_ = !connections_.empty();
  if (looks_) LookLater();
}

void IoThread::Remove(Connection& connection) {
  connections_.erase(&connection);
  open_.fetch_sub(1, std::memory_order_relaxed);
  gate_.Leave();
}

void IoThread::StartDrain() {
  loop_->Post([this] {
    for (const auto& [connection, owner] : connections_) connection->StartDrain();
  });
}

size_t IoThread::CutOff() {
  if (!thread_.joinable()) return 0;
  loop_->Post([this] { CloseAll(); });
  loop_->Stop();
  thread_.join();
  return cut_off_;
}

void IoThread::CloseAll() {
  while (!connections_.empty()) {
    Connection& connection = *connections_.begin()->first;
    cut_off_ += connection.calls_in_flight();
    Remove(connection);
  }
}

}  // namespace fastserve
