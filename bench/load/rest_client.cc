#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string>

#include "load/load_client.h"
#include "load/output_queue.h"

namespace fastserve::bench {
namespace {

class RestClient : public LoadClient {
 public:
  RestClient(int fd, const LoadContext& context) : fd_(fd), context_(context) {}
  ~RestClient() override { close(fd_); }

  int fd() const override { return fd_; }
  size_t in_flight() const override { return in_flight_ ? 1 : 0; }
  bool idle() const override { return !in_flight_; }
  bool Flush() override { return output_.Flush(fd_); }

  bool Begin(const Arrival& arrival) override {
    head_.clear();
    answer_.Reset();
    in_head_ = true;
    in_flight_ = true;
    arrival_ = arrival;
    context_.tally.Sent(arrival);
    output_.Add(context_.request.wire, nullptr);
    return true;
  }

  bool OnReady(uint32_t epoll_events, std::span<char> scratch) override {
    const bool ending = epoll_events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    if (!output_.Flush(fd_)) return false;
    while (true) {
      const ssize_t size = recv(fd_, scratch.data(), scratch.size(), 0);
      if (size == 0) return false;
      if (size < 0) {
        if (errno == EINTR) continue;
        return errno == EAGAIN;
      }
      if (!Receive({scratch.data(), static_cast<size_t>(size)})) return false;
      if (static_cast<size_t>(size) < scratch.size() && !ending) return true;
    }
  }

 private:
  // Takes the next bytes of the one answer under way. False on bytes that are no answer to read.
  bool Receive(std::string_view bytes) {
    if (!in_flight_) return Broken("an answer without a request");
    if (in_head_) {
      const size_t before = head_.size();
      head_.append(bytes);
      const size_t end = head_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
      if (end == std::string::npos) return true;
      bytes.remove_prefix(end + 4 - before);
      head_.resize(end + 2);
      in_head_ = false;
      if (!ReadLength()) return Broken("no Content-Length");
    }
    if (bytes.size() > body_left_) return Broken("more body than Content-Length");
    body_left_ -= bytes.size();
    answer_.Append(context_.check, bytes);
    return body_left_ > 0 || Complete();
  }

  bool Complete() {
    const Phase phase = context_.phase.load(std::memory_order_relaxed);
    in_flight_ = false;
    Judge(phase);
    const std::optional<Arrival> next = context_.arrivals.Take();
    return !next || (Begin(*next) && Flush());
  }

  void Judge(Phase phase) {
    const std::string_view status = std::string_view(head_).substr(0, head_.find("\r\n"));
    if (!status.starts_with("HTTP/1.1 200 ")) {
      return context_.tally.Wrong("http " + std::string(status.substr(0, 12)), answer_.bytes());
    }
    const auto index = context_.check.Judge(answer_);
    if (!index) return context_.tally.Wrong("value", answer_.bytes());
    context_.tally.Right(phase, arrival_, *index);
  }

  bool ReadLength() {
    constexpr std::string_view kName = "content-length:";
    for (size_t at = head_.find("\r\n"); at + 2 < head_.size(); at = head_.find("\r\n", at + 2)) {
      const char* line = head_.data() + at + 2;
      if (strncasecmp(line, kName.data(), kName.size()) != 0) continue;
      line += kName.size();
      while (*line == ' ') ++line;
      return std::from_chars(line, head_.data() + head_.size(), body_left_).ec == std::errc();
    }
    return false;
  }

  bool Broken(std::string_view why) {
    context_.tally.Wrong("http framing", why);
    in_flight_ = false;
    return false;
  }

  const int fd_;
  const LoadContext context_;
  OutputQueue output_;
  Arrival arrival_{};
  bool in_flight_ = false;
  bool in_head_ = true;
  std::string head_;  // the status line and the fields, each with its line end
  size_t body_left_ = 0;
  AnswerCheck::Answer answer_;
};

}  // namespace

std::unique_ptr<LoadClient> MakeRestClient(int fd, const LoadContext& context) {
  return std::make_unique<RestClient>(fd, context);
}

std::string FrameRestRequest(const std::string& authority, const std::string& path,
                             const std::string& body) {
  return "POST " + path + " HTTP/1.1\r\nHost: " + authority +
         "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

}  // namespace fastserve::bench
