#pragma once

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "transport/net/address.h"
#include "transport/net/event_loop.h"
#include "transport/net/unique_fd.h"

namespace fastserve {

// How sockets listen.
struct ListenOptions {
  // Other processes that set it too may listen on the same TCP port; the kernel shares connections
  // out among them.
  bool reuse_port = false;
  // Permissions of a unix socket's file; without them those that the umask leaves.
  std::optional<mode_t> unix_mode;
};

// A listening socket. When the process is out of file descriptors it rests for a moment instead of
// spinning; clients wait in the kernel's backlog.
// Threads: Bind() on any; the rest on the loop's thread (or before the loop runs).
class Listener : private EventLoop::Watcher {
 public:
  // Takes a connected, non-blocking socket. On the loop's thread.
  using OnAccept = std::function<void(UniqueFd fd, const SocketAddress& peer)>;

  // Binds `address` (see ParseAddress()) and listens. An IPv6 wildcard takes IPv4 clients too, and
  // is IPv4's where the machine has no IPv6. A socket file left over at a unix path is replaced;
  // one on which somebody listens is not. The error names the address.
  static Result<std::unique_ptr<Listener>> Bind(const std::string& address,
                                                const ListenOptions& options = {});
  // Stops accepting, and removes the socket file of a unix address if that is still its own.
  ~Listener() override;

  // The bound TCP port; 0 for a unix address.
  int port() const { return port_; }
  // Accepts on `loop`, which outlives this.
  void Start(EventLoop& loop, OnAccept on_accept);

 private:
  // A file by its identity, whatever its name.
  struct FileId {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const FileId&) const = default;
  };

  Listener(UniqueFd fd, int port, std::string unix_path);
  static FileId IdOf(const std::string& path);
  void OnReady(uint32_t events) override;
  void Rest();

  const UniqueFd fd_;
  const int port_;
  const std::string unix_path_;  // empty for TCP
  const FileId unix_file_;       // what was at unix_path_ after it was bound
  EventLoop* loop_ = nullptr;
  EventLoop::TimerId rest_timer_;
  OnAccept on_accept_;
};

}  // namespace fastserve
