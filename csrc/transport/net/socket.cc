#include "transport/net/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace fastserve {
namespace {

// Enough for 1 MiB in frames of 16 KiB, each a frame header and borrowed bytes.
constexpr size_t kMaxVectors = 128;
// Sealed bytes wait for the socket up to this many.
constexpr size_t kSealedBytes = 256 << 10;

Socket::State StateOfError() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? Socket::State::kBlocked
                                                                   : Socket::State::kEnded;
}

Socket::State StateOf(TlsStream::State state) {
  switch (state) {
    case TlsStream::State::kOpen:
      return Socket::State::kOpen;
    case TlsStream::State::kEnded:
      return Socket::State::kEnded;
    case TlsStream::State::kFailed:
      break;
  }
  return Socket::State::kFailed;
}

}  // namespace

Socket::Socket(UniqueFd fd, const TlsContext* tls)
    : fd_(std::move(fd)), tls_(tls ? std::make_unique<TlsStream>(*tls) : nullptr) {
  const int on = 1;  // fails on a unix socket, which has no such delay
  setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

Socket::Received Socket::Receive(std::span<char> room, std::span<char> place) {
  if (tls_) {
    // Sealed bytes come to the end of the room, and are opened into its start.
    const std::span<char> target = room.subspan(TlsStream::kMaxRecord);
    const ssize_t bytes = recv(fd_.get(), target.data(), target.size(), 0);
    if (bytes <= 0) return {bytes == 0 ? State::kEnded : StateOfError()};
    const TlsStream::Opened opened = tls_->Open({target.data(), static_cast<size_t>(bytes)}, room);
    return {StateOf(opened.state), 0, opened.bytes};
  }
  const std::array<iovec, 2> vectors = {{{place.data(), place.size()}, {room.data(), room.size()}}};
  const ssize_t bytes = readv(fd_.get(), vectors.data(), vectors.size());
  if (bytes <= 0) return {bytes == 0 ? State::kEnded : StateOfError()};
  const auto size = static_cast<size_t>(bytes);
  const size_t placed = std::min(size, place.size());
  return {State::kOpen, placed, size - placed};
}

bool Socket::Discard(std::span<char> room) {
  const ssize_t bytes = recv(fd_.get(), room.data(), room.size(), 0);
  return bytes > 0 || (bytes < 0 && StateOfError() == State::kBlocked);
}

Socket::State Socket::Send(OutputQueue& queue) {
  if (!tls_) return Write(queue);
  if (tls_->established() && !tls_->Seal(queue, kSealedBytes)) return State::kEnded;
  return Write(tls_->sealed());
}

Socket::State Socket::Write(OutputQueue& queue) {
  std::array<iovec, kMaxVectors> vectors;
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = queue.Gather(vectors);
  size_t tried = 0;
  for (size_t i = 0; i < message.msg_iovlen; ++i) tried += vectors[i].iov_len;
  const ssize_t sent = sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
  if (sent < 0) return StateOfError();
  queue.Consume(static_cast<size_t>(sent));
  return static_cast<size_t>(sent) == tried ? State::kOpen : State::kBlocked;
}

void Socket::FinishSending() {
  if (tls_) {
    tls_->SealEnd();
    Write(tls_->sealed());  // a farewell: nothing waits for it
  }
  shutdown(fd_.get(), SHUT_WR);
}

}  // namespace fastserve
