#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "transport/net/output_queue.h"
#include "transport/net/tls_stream.h"
#include "transport/net/unique_fd.h"

namespace fastserve {

// A connected, non-blocking stream socket, with TLS or without. Errors of the peer and of the
// network are answers, not signals: SIGPIPE is never raised.
class Socket {
 public:
  enum class State {
    kOpen,     // bytes went over, and more may at once
    kBlocked,  // the kernel takes or has no more for now
    kEnded,    // the peer sends no more, or the connection is broken
    kFailed,   // TLS has failed: what must_flush() tells the peer why
  };
  struct Received {
    State state;
    size_t placed = 0;  // bytes in `place`, which came first
    size_t bytes = 0;   // in `room`
  };

  // `fd` is non-blocking. Small TCP segments go out at once (TCP_NODELAY). Null `tls`: cleartext.
  explicit Socket(UniqueFd fd, const TlsContext* tls = nullptr);

  int fd() const { return fd_.get(); }
  // False while the handshake of TLS goes on: nothing but that is sent or received.
  bool established() const { return tls_ == nullptr || tls_->established(); }
  // Reads once, into `place` and what is too much for it into `room`; with TLS into `room` alone,
  // which then has 2 * TlsStream::kMaxRecord bytes or more. There may be bytes in any state.
  Received Receive(std::span<char> room, std::span<char> place = {});
  // Reads once and throws away what came, whatever it is. False at the end.
  bool Discard(std::span<char> room);
  // Writes the first bytes of `queue` with one system call and drops what was written. kOpen when
  // all that was tried has been written. With TLS, bytes leave `queue` when they are sealed.
  State Send(OutputQueue& queue);
  // There is something to send: of `queue`, or TLS's own.
  bool wants_to_send(const OutputQueue& queue) const {
    return tls_ == nullptr ? !queue.empty()
                           : must_flush() || (tls_->established() && !queue.empty());
  }
  // Bytes that Send() has taken, or TLS has to say, are not written yet.
  bool must_flush() const { return tls_ != nullptr && !tls_->sealed().empty(); }
  // Tells the peer that no more will come; it may still send.
  void FinishSending();

 private:
  State Write(OutputQueue& queue);

  UniqueFd fd_;
  const std::unique_ptr<TlsStream> tls_;
};

}  // namespace fastserve
