#include "transport/net/listener.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace fastserve {
namespace {

constexpr int kBacklog = 1024;
// Connections taken in one turn of the loop, so that a flood of them does not hold up the others.
constexpr int kAcceptsPerTurn = 64;
constexpr auto kRest = std::chrono::milliseconds(100);

Status CannotListen(const std::string& address) {
  return Status::Unavailable("cannot listen on " + address + ": " + std::strerror(errno));
}

std::string UnixPath(const SocketAddress& address) {
  if (address.family() != AF_UNIX) return {};
  return reinterpret_cast<const sockaddr_un*>(&address.storage)->sun_path;
}

void RemoveSocketFile(const std::string& path) {
  struct stat file;
  if (lstat(path.c_str(), &file) == 0 && S_ISSOCK(file.st_mode)) unlink(path.c_str());
}

void SetOption(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof(value));
}

bool IsShortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::Bind(const std::string& address) {
  Result<SocketAddress> parsed = ParseAddress(address);
  if (!parsed.ok()) return parsed.status();
  UniqueFd fd(socket(parsed->family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return CannotListen(address);
  const std::string path = UnixPath(*parsed);
  if (path.empty()) {
    SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (parsed->family() == AF_INET6) SetOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
  } else {
    RemoveSocketFile(path);
  }
  if (bind(fd.get(), parsed->get(), parsed->length) != 0 || listen(fd.get(), kBacklog) != 0) {
    return CannotListen(address);
  }
  SocketAddress bound;
  if (getsockname(fd.get(), bound.get(), &bound.length) != 0) return CannotListen(address);
  return std::unique_ptr<Listener>(new Listener(std::move(fd), PortOf(bound), path));
}

Listener::Listener(UniqueFd fd, int port, std::string unix_path)
    : fd_(std::move(fd)), port_(port), unix_path_(std::move(unix_path)) {}

Listener::~Listener() {
  if (loop_) {
    loop_->CancelTimer(rest_timer_);
    loop_->Unwatch(fd_.get(), this);
  }
  if (!unix_path_.empty()) RemoveSocketFile(unix_path_);
}

void Listener::Start(EventLoop& loop, OnAccept on_accept) {
  loop_ = &loop;
  on_accept_ = std::move(on_accept);
  loop_->Watch(fd_.get(), EPOLLIN, this);
}

void Listener::OnReady(uint32_t /*events*/) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    SocketAddress peer;
    UniqueFd fd(accept4(fd_.get(), peer.get(), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) {
      on_accept_(std::move(fd), peer);
    } else if (IsShortage(errno)) {
      return Rest();
    } else if (errno == EAGAIN) {
      return;
    }  // else that one client is gone already
  }
}

void Listener::Rest() {
  loop_->Rewatch(fd_.get(), 0, this);
  rest_timer_ = loop_->AddTimer(EventLoop::Clock::now() + kRest,
                                [this] { loop_->Rewatch(fd_.get(), EPOLLIN, this); });
}

}  // namespace fastserve
