#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "transport/grpc/grpc_wire.h"
#include "transport/http2/http2_client.h"
#include "transport/net/address.h"
#include "transport/net/unique_fd.h"

namespace fastserve {

// No wait of a test is longer; none that goes well comes near it.
inline constexpr std::chrono::seconds kPatience{10};

inline UniqueFd ConnectTo(const std::string& address) {
  const Result<SocketAddress> to = ParseAddress(address);
  EXPECT_TRUE(to.ok());
  UniqueFd fd(socket(to->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(fd.get(), to->get(), to->length) != 0) fd.reset();
  return fd;
}

// A blocking client of one connection. Threads: one.
class GrpcClient {
 public:
  explicit GrpcClient(UniqueFd fd, const Http2ClientOptions& options = {})
      : fd_(std::move(fd)), http2_(options) {
    EXPECT_TRUE(fd_);
    fcntl(fd_.get(), F_SETFL, fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
  }
  explicit GrpcClient(int port, const Http2ClientOptions& options = {})
      : GrpcClient(ConnectTo("127.0.0.1:" + std::to_string(port)), options) {}

  Http2Client& http2() { return http2_; }
  const Exchange& exchange(int32_t id) const { return http2_.exchange(id); }

  // Begins a call with `data`, wire bytes, and sends it.
  int32_t Begin(std::string_view path, std::string_view data, bool end, const Fields& more = {}) {
    const int32_t id = http2_.Request(CallFields(path, more));
    http2_.Send(id, data, end);
    Flush();
    return id;
  }
  // A whole call with one message.
  const Exchange& Ask(std::string_view path, std::string_view message, const Fields& more = {}) {
    return WaitFor(Begin(path, Message(message), true, more));
  }
  const Exchange& WaitFor(int32_t id) {
    EXPECT_TRUE(RunUntil([&] { return exchange(id).closed(); })) << "no answer";
    return exchange(id);
  }
  // Reads until the server has closed.
  bool WaitForEnd() {
    RunUntil([] { return false; });
    return ended_;
  }

  // Sends and receives until `done`. False when the connection ends before or patience does.
  bool RunUntil(const std::function<bool()>& done) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    for (;;) {
      Flush();  // first, for sending the last of a request may be what closes a stream
      if (done()) return true;
      if (ended_ || !WaitUntil(until)) return false;
      Receive();
    }
  }
  // Leaves without a word: the server's kernel is told by a reset.
  void Abort() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    fd_.reset();
  }

 private:
  bool WaitUntil(std::chrono::steady_clock::time_point until) const {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    const short events = unsent_.empty() ? POLLIN : POLLIN | POLLOUT;
    pollfd watched{fd_.get(), events, 0};
    return left.count() > 0 && poll(&watched, 1, static_cast<int>(left.count())) > 0;
  }
  void Flush() {
    unsent_ += http2_.TakeOutput();
    while (!unsent_.empty()) {
      const ssize_t sent = send(fd_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
      if (sent < 0) return;  // Receive() learns why
      unsent_.erase(0, static_cast<size_t>(sent));
    }
  }
  void Receive() {
    std::array<char, 64 << 10> room;
    const ssize_t size = recv(fd_.get(), room.data(), room.size(), 0);
    if (size > 0) {
      EXPECT_TRUE(http2_.Receive({room.data(), static_cast<size_t>(size)}));
    } else if (size == 0 || errno != EAGAIN) {
      ended_ = true;
    }
  }

  UniqueFd fd_;
  Http2Client http2_;
  std::string unsent_;
  bool ended_ = false;
};

}  // namespace fastserve
