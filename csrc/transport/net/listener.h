#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "transport/net/address.h"
#include "transport/net/event_loop.h"
#include "transport/net/unique_fd.h"

namespace fastserve {

// A listening socket. When the process is out of file descriptors it rests for a moment instead of
// spinning; clients wait in the kernel's backlog.
// Threads: Bind() on any; the rest on the loop's thread (or before the loop runs).
class Listener : private EventLoop::Watcher {
 public:
  // Takes a connected, non-blocking socket. On the loop's thread.
  using OnAccept = std::function<void(UniqueFd fd, const SocketAddress& peer)>;

  // Binds `address` (see ParseAddress()) and listens. An IPv6 wildcard takes IPv4 clients too. A
  // socket file left over at a unix path is replaced. The error names the address.
  static Result<std::unique_ptr<Listener>> Bind(const std::string& address);
  // Stops accepting, and removes the socket file of a unix address.
  ~Listener() override;

  // The bound TCP port; 0 for a unix address.
  int port() const { return port_; }
  // Accepts on `loop`, which outlives this.
  void Start(EventLoop& loop, OnAccept on_accept);

 private:
  Listener(UniqueFd fd, int port, std::string unix_path);
  void OnReady(uint32_t events) override;
  void Rest();

  const UniqueFd fd_;
  const int port_;
  const std::string unix_path_;  // empty for TCP
  EventLoop* loop_ = nullptr;
  EventLoop::TimerId rest_timer_;
  OnAccept on_accept_;
};

}  // namespace fastserve
