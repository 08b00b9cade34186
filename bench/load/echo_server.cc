// The transport's ceiling: a gRPC-shaped unary server that answers every request with the request's
// own message. It does what any gRPC server on nghttp2 must do (take the whole message, answer with
// HEADERS, DATA and trailers) and nothing else.
//
//   echo_server [--port 0] [--threads 1] [--port_file FILE]
//
// The bound port goes to stdout's first line, and to FILE. Runs until killed.

#include <malloc.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "load/flags.h"
#include "load/http2_peer.h"
#include "load/socket.h"

namespace fastserve::bench {
namespace {

constexpr size_t kPrefixSize = 5;  // gRPC: compressed flag, then the length in four bytes

class EchoConnection : public Http2Peer {
 public:
  explicit EchoConnection(int fd) : Http2Peer(Role::kServer, fd) {}

 private:
  // One call. Kept for the next one when it ends, with the message's memory.
  struct Call {
    std::shared_ptr<std::string> message = std::make_shared<std::string>();
    OutgoingMessage answer;
  };

  void OnBeginHeaders(int32_t stream, void* user) override {
    if (user) return;  // the client's trailers
    if (idle_.empty()) idle_.push_back(calls_.emplace_back(std::make_unique<Call>()).get());
    Call* call = idle_.back();
    idle_.pop_back();
    // The last answer may still wait in the output queue.
    if (call->message.use_count() > 1) call->message = std::make_shared<std::string>();
    call->message->clear();
    nghttp2_session_set_stream_user_data(session(), stream, call);
  }

  void OnHeader(void*, std::string_view, std::string_view) override {}

  void OnData(void* user, std::string_view bytes) override {
    std::string& message = *static_cast<Call*>(user)->message;
    if (message.empty() && bytes.size() >= kPrefixSize) {
      uint32_t size = 0;
      for (size_t i = 1; i < kPrefixSize; ++i) size = size << 8 | static_cast<uint8_t>(bytes[i]);
      message.reserve(kPrefixSize + size);
    }
    message.append(bytes);
  }

  void OnEndStream(int32_t stream, void* user) override {
    static const std::array headers = {HeaderField(":status", "200"),
                                       HeaderField("content-type", "application/grpc")};
    static const std::array trailers = {HeaderField("grpc-status", "0")};
    Call* call = static_cast<Call*>(user);
    call->answer = {*call->message, nullptr, false, trailers};
    call->answer.owner = call->message;
    const nghttp2_data_provider provider = Provide(&call->answer);
    nghttp2_submit_response(session(), stream, headers.data(), headers.size(), &provider);
  }

  void OnClose(void* user, uint32_t) override {
    Call* call = static_cast<Call*>(user);
    call->answer.owner.reset();
    idle_.push_back(call);
  }

  std::vector<std::unique_ptr<Call>> calls_;
  std::vector<Call*> idle_;
};

// One I/O thread's loop over the connections that Serve() deals to its epoll.
void RunLoop(int epoll) {
  std::vector<char> scratch(256 << 10);
  std::array<epoll_event, 64> events;
  while (true) {
    const int count = epoll_wait(epoll, events.data(), events.size(), -1);
    for (int i = 0; i < count; ++i) {
      auto* connection = static_cast<EchoConnection*>(events[i].data.ptr);
      if (!connection->OnReady(events[i].events, scratch)) delete connection;
    }
  }
}

// Deals connections to the threads in turn, so that a few connections always spread evenly.
[[noreturn]] void Serve(int listener, int threads) {
  std::vector<int> loops;
  for (int i = 0; i < threads; ++i) {
    loops.push_back(epoll_create1(EPOLL_CLOEXEC));
    std::thread(RunLoop, loops.back()).detach();
  }
  for (size_t next = 0;; ++next) {
    const int fd = AcceptFrom(listener);
    if (fd < 0) continue;
    auto connection = std::make_unique<EchoConnection>(fd);
    WatchSocket(loops[next % loops.size()], fd, connection.get());
    static_cast<void>(connection.release());  // the loop's from here on
  }
}

int Main(int argc, char** argv) {
  const Flags flags(argc, argv, {"port", "threads", "port_file"});
  // Keep freed message buffers: giving pages back and faulting them in again is not transport.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  const int listener = ListenOnLoopback(static_cast<uint16_t>(flags.Integer("port", 0)));
  const std::string port = std::to_string(LocalPort(listener));
  std::printf("%s\n", port.c_str());
  std::fflush(stdout);
  const std::string port_file = flags.Text("port_file", "");
  if (!port_file.empty()) {
    std::ofstream(port_file + ".new") << port << "\n";
    std::rename((port_file + ".new").c_str(), port_file.c_str());  // never seen half written
  }
  Serve(listener, static_cast<int>(flags.Integer("threads", 1)));
}

}  // namespace
}  // namespace fastserve::bench

int main(int argc, char** argv) { return fastserve::bench::Main(argc, argv); }
