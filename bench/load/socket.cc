#include "load/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "load/flags.h"

namespace fastserve::bench {
namespace {

sockaddr_in Address(const std::string& ipv4, uint16_t port) {
  sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, ipv4.c_str(), &address.sin_addr) != 1) Die("not an IPv4 address: " + ipv4);
  return address;
}

void DisableNagle(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

int ConnectTo(const std::string& ipv4, uint16_t port) {
  const sockaddr_in address = Address(ipv4, port);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    Die("cannot connect to " + ipv4 + ":" + std::to_string(port) + ": " + std::strerror(errno));
  }
  DisableNagle(fd);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return fd;
}

int ListenOnLoopback(uint16_t port) {
  const sockaddr_in address = Address("127.0.0.1", port);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(fd, SOMAXCONN) != 0) {
    Die("cannot listen on port " + std::to_string(port) + ": " + std::strerror(errno));
  }
  return fd;
}

uint16_t LocalPort(int fd) {
  sockaddr_in address = {};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

int AcceptFrom(int listener) {
  const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) DisableNagle(fd);
  return fd;
}

void WatchSocket(int epoll, int fd, void* context) {
  epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                       .data = {.ptr = context}};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
    Die(std::string("epoll_ctl: ") + std::strerror(errno));
  }
}

}  // namespace fastserve::bench
