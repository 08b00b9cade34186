#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "transport/http2/frames.h"
#include "transport/http2/http2_session.h"

namespace fastserve {

inline const Fields kRequestFields = {
    {":method", "POST"}, {":scheme", "http"}, {":path", "/s/m"}, {":authority", "host"}};

// A stream that writes down what it is told. The pieces of a body become one line: their number
// depends on how the bytes came.
class RecordedStream : public Http2Stream {
 public:
  using Http2Stream::Http2Stream;

  void OnHeader(ByteView name, ByteView value) override {
    log.push_back(std::string(name) + "=" + std::string(value));
  }
  void OnHeadersEnd() override { log.emplace_back("headers end"); }
  void OnData(ByteView piece) override {
    if (body.empty()) log.emplace_back("body");
    body += piece;
    newest_piece = piece.data();
  }
  std::span<char> Room() override { return room; }
  void OnEnd() override { log.emplace_back("end"); }
  void OnClose(uint32_t error_code) override {
    log.push_back("close " + std::to_string(error_code));
    closed = true;
  }
  void OnOutputTaken(size_t bytes) override { taken += bytes; }
  void OnOutputEnd() override { on_output_end(); }

  bool Has(const std::string& line) const {
    return std::find(log.begin(), log.end(), line) != log.end();
  }

  std::vector<std::string> log;
  std::string body;
  std::span<char> room;
  const char* newest_piece = nullptr;
  bool closed = false;
  size_t taken = 0;
  std::function<void()> on_output_end;
};

// A session, its streams (kept after their end), and a hand-written peer.
class SessionHarness : private Http2Events {
 public:
  explicit SessionHarness(const Http2Limits& limits = {}) : session(*this, limits) {}

  // Says hello for the peer and drops our own hello.
  void Greet(const std::vector<std::pair<uint16_t, uint32_t>>& settings = {}) {
    Feed(std::string(kPreface) + SettingsFrame(settings) + SettingsAck());
    TakeOutput();
  }
  void Feed(ByteView bytes) { EXPECT_EQ(session.Receive(bytes).ToString(), "OK"); }

  // What Pull() gives at most at once, as a socket would that takes everything.
  std::string TakeOutput(size_t limit = 1 << 20) {
    std::string bytes;
    do {
      EXPECT_TRUE(session.Pull(limit));
      bytes += TakePulled();
    } while (session.Pull(1) && !session.output().empty());
    return bytes;
  }
  std::vector<Frame> TakeFrames() { return DecodeFrames(TakeOutput()); }

  std::string TakePulled() {
    std::string bytes;
    while (!session.output().empty()) {
      std::array<iovec, 16> vectors;
      const size_t count = session.output().Gather(vectors);
      size_t size = 0;
      for (size_t i = 0; i < count; size += vectors[i++].iov_len) {
        bytes.append(static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len);
      }
      session.output().Consume(size);
    }
    return bytes;
  }

  RecordedStream& stream(int32_t id) { return *streams.at(id); }
  // Begins a response whose body is what will be put into the stream's output().
  void Respond(int32_t id) {
    const Http2Field fields[] = {{":status", "200"}};
    session.Respond(stream(id), fields, false);
  }
  void Append(int32_t id, ByteView bytes) {
    stream(id).output().Append(bytes);
    session.Resume(stream(id));
  }
  void End(int32_t id) {
    stream(id).EndOutput();
    session.Resume(stream(id));
  }

  std::map<int32_t, std::unique_ptr<RecordedStream>> streams;
  Http2Session session;

 private:
  Http2Stream* OnStream(int32_t id) override {
    auto stream = std::make_unique<RecordedStream>(id);
    stream->on_output_end = [this, &made = *stream] {
      const Http2Field fields[] = {{"grpc-status", "0"}};
      session.SendTrailers(made, fields);
    };
    return streams.emplace(id, std::move(stream)).first->second.get();
  }
};

}  // namespace fastserve
