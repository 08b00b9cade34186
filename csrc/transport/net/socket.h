#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "transport/net/output_queue.h"
#include "transport/net/unique_fd.h"

namespace fastserve {

// A connected, non-blocking stream socket. Errors of the peer and of the network are answers, not
// signals: SIGPIPE is never raised.
class Socket {
 public:
  enum class State {
    kOpen,     // bytes went over, and more may at once
    kBlocked,  // the kernel takes or has no more for now
    kEnded,    // the peer sends no more, or the connection is broken
  };
  struct Received {
    State state;
    size_t bytes;
  };

  // `fd` is non-blocking. Small TCP segments go out at once (TCP_NODELAY).
  explicit Socket(UniqueFd fd);

  int fd() const { return fd_.get(); }
  // Reads once into `room`.
  Received Receive(std::span<char> room);
  // Writes the first bytes of `queue` with one system call and drops what was written. kOpen when
  // all that was tried has been written.
  State Send(OutputQueue& queue);
  // Tells the peer that no more will come; it may still send.
  void FinishSending();

 private:
  UniqueFd fd_;
};

}  // namespace fastserve
