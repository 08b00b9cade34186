#include "transport/net/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace fastserve {
namespace {

// Enough for 1 MiB in frames of 16 KiB, each a frame header and borrowed bytes.
constexpr size_t kMaxVectors = 128;

Socket::State StateOfError() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? Socket::State::kBlocked
                                                                   : Socket::State::kEnded;
}

}  // namespace

Socket::Socket(UniqueFd fd) : fd_(std::move(fd)) {
  const int on = 1;  // fails on a unix socket, which has no such delay
  setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

Socket::Received Socket::Receive(std::span<char> room) {
  const ssize_t bytes = recv(fd_.get(), room.data(), room.size(), 0);
  if (bytes > 0) return {State::kOpen, static_cast<size_t>(bytes)};
  return {bytes == 0 ? State::kEnded : StateOfError(), 0};
}

Socket::State Socket::Send(OutputQueue& queue) {
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

void Socket::FinishSending() { shutdown(fd_.get(), SHUT_WR); }

}  // namespace fastserve
