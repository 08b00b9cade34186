// What a client sends on an HTTP/2 connection: whatever the bytes, no crash, events in their order,
// whole frames out; and the same of both, however the bytes are cut on their way.
// An input is the client's bytes and one more: its seven low bits, times eight, say after how many
// of them what is to be sent is taken (0: at their end), the high one that a drain begins then.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "transport/http2/http2_session.h"

namespace fastserve {
namespace {

// No longer input, so that no stream's window is exceeded: how much of a piece that does so is
// delivered depends on the piece.
constexpr size_t kMaxInput = 16 << 10;
constexpr size_t kLongAnswer = 100'000;
// Rates of zero: the same each time.
constexpr Http2Limits kLimits = {.max_concurrent_streams = 8,
                                 .stream_window = kMaxInput,
                                 .connection_window = 65535,
                                 .max_frame_size = 16384,
                                 .max_header_list_bytes = 512,
                                 .reset_burst = 20,
                                 .resets_per_second = 0,
                                 .control_frames = {.burst = 30, .per_second = 0},
                                 .pings = {.burst = 10, .per_second = 0}};

void Require(bool holds) {
  if (!holds) std::abort();
}

// A connection, its streams, and all that was told and sent.
class Server : private Http2Events {
 public:
  // False when the session has failed.
  bool Receive(ByteView bytes) { return session_.Receive(bytes).ok(); }
  void StartDrain() { session_.StartDrain(); }
  // Gives credit for what has come, and sends what is to be sent.
  void Flush();
  const std::string& log() const { return log_; }

 private:
  class Stream;

  Http2Stream* OnStream(int32_t id) override;
  void Note(int32_t stream, ByteView event) {
    log_.append("\n").append(std::to_string(stream)).append(" ").append(event);
    body_of_ = 0;
  }
  std::string TakeOutput();
  void CheckFrames(ByteView frames);

  std::string log_;
  int32_t body_of_ = 0;  // the log ends with a piece of this stream's body
  std::map<int32_t, std::unique_ptr<Stream>> streams_;
  std::set<int32_t> ended_;  // by us
  Http2Session session_{*this, kLimits};
};

// The first letter of its path says what it does: "e" answers early and without a body, "r" resets,
// "l" answers with much, and others with what they got.
class Server::Stream : public Http2Stream {
 public:
  Stream(int32_t id, Server& server) : Http2Stream(id), server_(server) {}

  void OnHeader(ByteView name, ByteView value) override {
    Require(stage_ == kHeaders);
    Note("header " + std::string(name) + "=" + std::string(value));
    if (name == ":path" && value.size() > 1) kind_ = value[1];
  }
  void OnHeadersEnd() override {
    Require(stage_ == kHeaders);
    stage_ = kBody;
    Note("headers end");
    if (kind_ == 'e') server_.session_.Respond(*this, {&kStatus, 1}, true);
    if (kind_ == 'r') server_.session_.Reset(*this, 8);
  }
  void OnData(ByteView piece) override {
    Require(stage_ == kBody);
    if (server_.body_of_ != id()) Note("body ");
    server_.body_of_ = id();
    server_.log_ += piece;
    body_ += piece;
    uncredited_ += piece.size();
  }
  void OnEnd() override {
    Require(stage_ == kBody);
    stage_ = kEnded;
    Note("end");
    if (kind_ == 'e' || kind_ == 'r') return;
    if (kind_ == 'l') body_.resize(kLongAnswer, 'l');
    output().Append(body_);
    EndOutput();
    server_.session_.Respond(*this, {&kStatus, 1}, false);
  }
  void OnClose(uint32_t error_code) override {
    Require(stage_ != kClosed);
    stage_ = kClosed;
    Note("close " + std::to_string(error_code));
  }
  void OnOutputTaken(size_t bytes) override {
    taken_ += bytes;
    Require(stage_ == kEnded && taken_ <= body_.size());
  }
  void OnOutputEnd() override {
    constexpr Http2Field kTrailer = {"grpc-status", "0"};
    Require(stage_ == kEnded);
    server_.session_.SendTrailers(*this, {&kTrailer, 1});
  }

  bool closed() const { return stage_ == kClosed; }
  size_t TakeUncredited() { return std::exchange(uncredited_, 0); }

 private:
  static constexpr Http2Field kStatus = {":status", "200"};
  enum Stage { kHeaders, kBody, kEnded, kClosed };

  void Note(ByteView event) { server_.Note(id(), event); }

  Server& server_;
  Stage stage_ = kHeaders;
  char kind_ = 0;
  std::string body_;
  size_t taken_ = 0;
  size_t uncredited_ = 0;
};

Http2Stream* Server::OnStream(int32_t id) {
  Note(id, "begin");
  const auto [place, is_new] = streams_.emplace(id, std::make_unique<Stream>(id, *this));
  Require(is_new);
  return place->second.get();
}

void Server::Flush() {
  for (auto& [id, stream] : streams_) {
    const size_t bytes = stream->TakeUncredited();
    if (bytes == 0) continue;
    session_.CreditConnection(bytes);
    if (!stream->closed()) session_.CreditStream(*stream, bytes);
  }
  const std::string output = TakeOutput();
  CheckFrames(output);
  Note(0, "sent " + output);
}

std::string Server::TakeOutput() {
  std::string bytes;
  OutputQueue& output = session_.output();
  while (session_.Pull(1 << 20) && !output.empty()) {
    std::array<iovec, 1> front;
    output.Gather(front);
    bytes.append(static_cast<const char*>(front[0].iov_base), front[0].iov_len);
    output.Consume(front[0].iov_len);
  }
  return bytes;
}

// Whole frames of HTTP/2's types, and none of a body after its end.
void Server::CheckFrames(ByteView frames) {
  constexpr uint8_t kData = 0, kHeaders = 1, kContinuation = 9, kEndStream = 1;
  FrameScanner scanner;
  ByteView preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";  // which the scanner passes over
  Require(!scanner.Next(preface));
  while (!frames.empty()) {
    const auto head = scanner.Next(frames);
    Require(head && head->type <= kContinuation && head->length <= frames.size());
    if (head->type == kData || head->type == kHeaders) {
      Require(!ended_.contains(head->stream_id));
      if (head->flags & kEndStream) ended_.insert(head->stream_id);
    }
    if (head->length == frames.size()) break;
  }
}

// What comes of `bytes` with a flush after each `portion` of them, each received in pieces of
// `piece`.
std::string Serve(ByteView bytes, size_t portion, size_t piece, bool drains) {
  Server server;
  bool alive = true;
  while (alive && !bytes.empty()) {
    ByteView part = bytes.substr(0, portion);
    bytes.remove_prefix(part.size());
    while (alive && !part.empty()) {
      alive = server.Receive(part.substr(0, piece));
      part.remove_prefix(std::min(piece, part.size()));
    }
    server.Flush();
    if (std::exchange(drains, false)) server.StartDrain();
  }
  return server.log() + (alive ? "\nalive" : "\nfailed");
}

// Whether pieces may matter: nghttp2 1.52 counts a CONTINUATION anew with each piece of its header,
// a PRIORITY frame is judged by as much of it as has come, and after GOAWAY a connection without
// streams takes no new piece.
bool MayDependOnPieces(ByteView bytes) {
  constexpr uint8_t kHeaders = 1, kPriority = 2, kGoaway = 7, kEndHeaders = 4;
  FrameScanner scanner;
  while (const auto head = scanner.Next(bytes)) {
    if (head->type == kPriority || head->type == kGoaway) return true;
    if (head->type == kHeaders && !(head->flags & kEndHeaders)) return true;
  }
  return false;
}

}  // namespace
}  // namespace fastserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fastserve;
  if (size == 0 || size > kMaxInput) return 0;
  const uint8_t last = data[size - 1];
  const ByteView bytes(reinterpret_cast<const char*>(data), size - 1);
  const size_t portion = (last & 0x7f) ? size_t{8} * (last & 0x7f) : kMaxInput;
  const bool drains = last & 0x80;
  const std::string whole = Serve(bytes, portion, kMaxInput, drains);
  const std::string pieces = Serve(bytes, portion, 1, drains);
  Require(whole == pieces || MayDependOnPieces(bytes));
  return 0;
}
