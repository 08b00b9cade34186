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

Status CannotListen(const std::string& address, const std::string& why) {
  return Status::Unavailable("cannot listen on " + address + ": " + why);
}

std::string UnixPath(const SocketAddress& address) {
  if (address.family() != AF_UNIX) return {};
  return reinterpret_cast<const sockaddr_un*>(&address.storage)->sun_path;
}

// Removes a socket file on which nobody listens any more. Why that cannot be, or empty.
std::string RemoveStaleSocket(const SocketAddress& address) {
  const std::string path = UnixPath(address);
  struct stat file;
  if (lstat(path.c_str(), &file) != 0) return {};  // if more than that is wrong, bind() tells
  if (!S_ISSOCK(file.st_mode)) return "the file exists and is no socket";
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (connect(probe.get(), address.get(), address.length) == 0 || errno == EAGAIN) {
    return "another process listens on it";
  }
  if (errno != ECONNREFUSED || unlink(path.c_str()) != 0) return std::strerror(errno);
  return {};
}

void SetOption(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof(value));
}

bool IsShortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

bool IsIpv6Wildcard(const SocketAddress& address) {
  return address.family() == AF_INET6 &&
         IN6_IS_ADDR_UNSPECIFIED(
             &reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_addr);
}

// A listening socket; none, with errno set, on failure.
UniqueFd Listen(const SocketAddress& address, const ListenOptions& options) {
  UniqueFd fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return {};
  if (address.family() != AF_UNIX) {
    SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (options.reuse_port) SetOption(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
    if (address.family() == AF_INET6) SetOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
  }
  if (bind(fd.get(), address.get(), address.length) != 0) return {};
  if (address.family() == AF_UNIX && options.unix_mode) {
    // Before listen(), so that nobody comes in who may not.
    if (chmod(UnixPath(address).c_str(), *options.unix_mode) != 0) return {};
  }
  return listen(fd.get(), kBacklog) == 0 ? std::move(fd) : UniqueFd();
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::Bind(const std::string& address,
                                                 const ListenOptions& options) {
  Result<SocketAddress> parsed = ParseAddress(address);
  if (!parsed.ok()) return parsed.status();
  const std::string path = UnixPath(*parsed);
  if (!path.empty()) {
    const std::string why = RemoveStaleSocket(*parsed);
    if (!why.empty()) return CannotListen(address, why);
  }
  UniqueFd fd = Listen(*parsed, options);
  const bool no_ipv6 = !fd && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL);
  if (no_ipv6 && IsIpv6Wildcard(*parsed)) {
    fd = Listen(*ParseAddress(":" + std::to_string(PortOf(*parsed))), options);
  }
  SocketAddress bound;
  if (!fd || getsockname(fd.get(), bound.get(), &bound.length) != 0) {
    return CannotListen(address, std::strerror(errno));
  }
  return std::unique_ptr<Listener>(new Listener(std::move(fd), PortOf(bound), path));
}

Listener::Listener(UniqueFd fd, int port, std::string unix_path)
    : fd_(std::move(fd)),
      port_(port),
      unix_path_(std::move(unix_path)),
      unix_file_(IdOf(unix_path_)) {}

Listener::~Listener() {
  if (loop_) {
    loop_->CancelTimer(rest_timer_);
    loop_->Unwatch(fd_.get(), this);
  }
  if (!unix_path_.empty() && IdOf(unix_path_) == unix_file_) unlink(unix_path_.c_str());
}

Listener::FileId Listener::IdOf(const std::string& path) {
  struct stat file;
  if (path.empty() || lstat(path.c_str(), &file) != 0) return {};
  return {file.st_dev, file.st_ino};
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
