// Exchanges that go well: requests in, responses out.

#include "transport/http2/http2_session.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "transport/http2/http2_client.h"
#include "transport/http2/session_harness.h"

namespace fastserve {
namespace {

using Lines = std::vector<std::string>;

const Lines kRequestLog = {":method=POST", ":scheme=http", ":path=/s/m", ":authority=host",
                           "headers end"};

Lines operator+(Lines lines, const Lines& more) {
  lines.insert(lines.end(), more.begin(), more.end());
  return lines;
}

// Carries bytes between a session and a client until neither has any.
void Exchange(SessionHarness& server, Http2Client& client) {
  for (bool moved = true; moved;) {
    const std::string up = client.TakeOutput();
    server.Feed(up);
    const std::string down = server.TakeOutput();
    ASSERT_TRUE(client.Receive(down));
    moved = !up.empty() || !down.empty();
  }
}

std::string Hello() {
  return std::string(kPreface) + SettingsFrame({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1000}}) +
         SettingsAck();
}

// The log of stream 1 after a session has got `bytes` in portions of this size.
std::vector<std::string> LogOf(const std::string& bytes, size_t portion) {
  SessionHarness server;
  for (size_t i = 0; i < bytes.size(); i += portion) server.Feed(bytes.substr(i, portion));
  RecordedStream& stream = server.stream(1);
  stream.log.push_back(stream.body);
  return stream.log;
}

TEST(Http2SessionTest, BodyMayLieWhereTheStreamWantsItBeforeItIsReceived) {
  SessionHarness server;
  server.Greet();
  EXPECT_TRUE(server.session.Room().empty()) << "there is no stream";
  const std::string frame = DataFrame(1, "abcdefgh", false);
  server.Feed(HeadersFrame(1, kRequestFields, false) + frame.substr(0, frame.size() - 6));
  EXPECT_TRUE(server.session.Room().empty()) << "the stream has no place for it";
  RecordedStream& stream = server.stream(1);
  std::array<char, 10> place{};
  stream.room = place;
  EXPECT_EQ(server.session.Room().data(), place.data());
  EXPECT_EQ(server.session.Room().size(), 6) << "what follows the frame is not the stream's";
  stream.room = std::span(place).first(4);
  EXPECT_EQ(server.session.Room().size(), 4);
  std::memcpy(place.data(), "cdef", 4);
  server.Feed({place.data(), 4});
  EXPECT_EQ(stream.newest_piece, place.data());
  server.Feed("gh");
  EXPECT_EQ(stream.body, "abcdefgh");
  EXPECT_TRUE(server.session.Room().empty()) << "the frame has ended";
}

TEST(Http2SessionTest, OnlyBodiesWithoutPaddingHaveRoom) {
  const auto room_after = [](const Frame& frame) {
    SessionHarness server;
    server.Greet();
    server.Feed(HeadersFrame(1, kRequestFields, false));
    std::array<char, 10> place{};
    server.stream(1).room = place;
    server.Feed(Encode(frame).substr(0, FrameScanner::kHeader + 2));
    return server.session.Room().size();
  };
  EXPECT_EQ(room_after({NGHTTP2_DATA, 0, 1, "abcdefgh"}), 6);
  EXPECT_EQ(room_after({NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, "\3padded ppp"}), 0);
  EXPECT_EQ(room_after({NGHTTP2_PING, 0, 0, "pingpong"}), 0);
  EXPECT_EQ(room_after({0xbb, 0, 1, "unknown"}), 0);
}

TEST(Http2SessionTest, RequestIsReadTheSameWholeOrInPortionsOfAnySize) {
  const std::string bytes =
      Hello() + HeadersFrame(1, kRequestFields, false) + DataFrame(1, "first ", false) +
      Encode({NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, std::string("\3padded ppp")}) +
      Encode({0xbb, 0, 1, "a frame type of the future"}) + DataFrame(1, "last", true);
  for (const size_t portion : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, bytes.size()}) {
    EXPECT_EQ(LogOf(bytes, portion), kRequestLog + Lines({"body", "end", "first padded last"}))
        << portion;
  }
}

TEST(Http2SessionTest, HeadersMayGoOnInContinuations) {
  const std::string block = HeaderBlock(kRequestFields);
  const std::string bytes =
      Hello() + Encode({NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, block.substr(0, 10)}) +
      Encode({NGHTTP2_CONTINUATION, 0, 1, block.substr(10, 1)}) +
      Encode({NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, block.substr(11)});
  // Not byte by byte: nghttp2 counts the portions of their frame headers as CONTINUATIONs.
  for (const size_t portion : {size_t{4}, size_t{11}, bytes.size()}) {
    EXPECT_EQ(LogOf(bytes, portion), kRequestLog + Lines({"end", ""})) << portion;
  }
}

TEST(Http2SessionTest, GreetsWithItsLimits) {
  Http2Limits limits;
  limits.max_concurrent_streams = 7;
  limits.stream_window = 1000;
  limits.connection_window = 100'000;
  limits.max_frame_size = 20'000;
  limits.max_header_list_bytes = 3000;
  SessionHarness server(limits);
  const std::string expected = SettingsFrame({{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 7},
                                              {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1000},
                                              {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 20'000},
                                              {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 3000},
                                              {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}}) +
                               WindowUpdateFrame(0, 100'000 - 65'535);
  EXPECT_EQ(server.TakeOutput(), expected);
  EXPECT_FALSE(server.session.finished());
}

TEST(Http2SessionTest, AcknowledgesSettingsAndAnswersPings) {
  SessionHarness server;
  server.TakeOutput();
  server.Feed(std::string(kPreface) + SettingsFrame() + PingFrame("abcdefgh"));
  const std::vector<Frame> frames = server.TakeFrames();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0], (Frame{NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, ""}));
  EXPECT_EQ(frames[1], (Frame{NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "abcdefgh"}));
}

TEST(Http2SessionTest, RequestEndsOnceWhereverItsEndIsMarked) {
  const std::string begin = HeadersFrame(1, kRequestFields, false);
  const std::pair<std::string, Lines> kCases[] = {
      {HeadersFrame(1, kRequestFields, true), {"end"}},
      {begin + DataFrame(1, "", true), {"end"}},
      {begin + DataFrame(1, "x", true), {"body", "end"}},
      {begin + DataFrame(1, "x", false) + DataFrame(1, "", true), {"body", "end"}},
      {begin + DataFrame(1, "x", false) + HeadersFrame(1, {{"trailer", "dropped"}}, true),
       {"body", "end"}},
  };
  for (const auto& [bytes, expected] : kCases) {
    SessionHarness server;
    server.Greet();
    server.Feed(bytes);
    EXPECT_EQ(server.stream(1).log, kRequestLog + expected);
  }
}

TEST(Http2SessionTest, ResponseIsHeadersBodyAndTrailers) {
  SessionHarness server;
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, true));
  server.Respond(1);
  server.Append(1, "answer");
  server.End(1);
  const std::vector<Frame> frames = server.TakeFrames();
  EXPECT_EQ(Outline(frames), Lines({"HEADERS 1", "DATA 1 6", "HEADERS 1 end"}));
  HeaderReader reader;
  EXPECT_EQ(reader.Read(frames[0].payload), (Fields{{":status", "200"}}));
  EXPECT_EQ(frames[1].payload, "answer");
  EXPECT_EQ(reader.Read(frames[2].payload), (Fields{{"grpc-status", "0"}}));
  EXPECT_EQ(server.stream(1).taken, 6u);
  EXPECT_EQ(server.stream(1).log, kRequestLog + Lines({"end", "close 0"}));
}

TEST(Http2SessionTest, ResponseMayBeHeadersAlone) {
  SessionHarness server;
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, true));
  const Http2Field fields[] = {{":status", "200"}, {"grpc-status", "12", false}};
  server.session.Respond(server.stream(1), fields, true);
  const std::vector<Frame> frames = server.TakeFrames();
  EXPECT_EQ(Outline(frames), Lines({"HEADERS 1 end"}));
  EXPECT_EQ(HeaderReader().Read(frames[0].payload),
            (Fields{{":status", "200"}, {"grpc-status", "12"}}));
  EXPECT_TRUE(server.stream(1).Has("close 0"));
}

TEST(Http2SessionTest, MoreFieldsThanUsualAreAllSent) {
  SessionHarness server;
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, true));
  Fields expected = {{":status", "200"}};
  for (int i = 0; i < 20; ++i) expected.emplace_back("name" + std::to_string(i), "value");
  std::vector<Http2Field> fields;
  for (const auto& [name, value] : expected) fields.push_back({name, value});
  server.session.Respond(server.stream(1), fields, true);
  EXPECT_EQ(HeaderReader().Read(server.TakeFrames().at(0).payload), expected);
}

TEST(Http2SessionTest, BodyIsSentAsItComes) {
  SessionHarness server;
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, true));
  server.Respond(1);
  EXPECT_EQ(Outline(server.TakeFrames()), Lines({"HEADERS 1"}));
  EXPECT_TRUE(server.TakeFrames().empty());
  server.Append(1, "one");
  EXPECT_EQ(Outline(server.TakeFrames()), Lines({"DATA 1 3"}));
  server.Append(1, "four");
  server.Append(1, "five");
  EXPECT_EQ(Outline(server.TakeFrames()), Lines({"DATA 1 8"}));
  server.End(1);
  const Lines end = Outline(server.TakeFrames());
  EXPECT_EQ(end.back(), "HEADERS 1 end");
  EXPECT_EQ(server.stream(1).taken, 11u);
  EXPECT_TRUE(server.stream(1).Has("close 0"));
}

TEST(Http2SessionTest, ResponseMayEndBeforeTheRequest) {
  SessionHarness server;
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, false));
  const Http2Field fields[] = {{":status", "200"}};
  server.session.Respond(server.stream(1), fields, true);
  EXPECT_EQ(Outline(server.TakeFrames()), Lines({"HEADERS 1 end"}));
  EXPECT_FALSE(server.stream(1).Has("close 0"));
  server.Feed(DataFrame(1, "late", true));
  EXPECT_EQ(server.stream(1).log, kRequestLog + Lines({"body", "end", "close 0"}));
}

TEST(Http2SessionTest, LargeBodyIsLentToTheSocketAndNotCopied) {
  SessionHarness server;
  server.Greet({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20},
                {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 1 << 20}});
  server.Feed(HeadersFrame(1, kRequestFields, true) + WindowUpdateFrame(0, 1 << 20));
  auto body = std::make_shared<const std::string>(100'000, 'b');
  const std::weak_ptr<const std::string> owner = body;
  server.stream(1).output().Borrow(*body, body);
  server.Respond(1);
  server.End(1);
  ASSERT_TRUE(server.session.Pull(1 << 20));
  std::array<iovec, 8> vectors;
  ASSERT_EQ(server.session.output().Gather(vectors), 5u);  // headers, 2 x (frame header, bytes)
  EXPECT_EQ(vectors[1].iov_base, body->data());
  EXPECT_EQ(vectors[1].iov_len, size_t{64 << 10});
  EXPECT_EQ(vectors[3].iov_base, body->data() + (64 << 10));
  body.reset();
  EXPECT_FALSE(owner.expired());
  server.TakePulled();
  EXPECT_TRUE(owner.expired());
}

TEST(Http2SessionTest, LargeBodyReachesAClientIntact) {
  SessionHarness server;
  Http2Client client({.stream_window = 300'000, .max_frame_size = 40'000});
  const int32_t id = client.Request(kRequestFields);
  client.Send(id, "", true);
  Exchange(server, client);
  auto body = std::make_shared<std::string>(5'000'000, '\0');
  for (size_t i = 0; i < body->size(); ++i) (*body)[i] = static_cast<char>(i * 31 % 251);
  server.stream(id).output().Borrow(*body, body);
  server.Respond(id);
  server.End(id);
  Exchange(server, client);
  EXPECT_TRUE(client.exchange(id).data == *body);
  EXPECT_EQ(client.exchange(id).Field("grpc-status"), "0");
  EXPECT_EQ(client.exchange(id).close_error, 0u);
}

TEST(Http2SessionTest, BodyIsCutToThePeersFrameSize) {
  SessionHarness server;
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, true));
  server.stream(1).output().Append(std::string(40'000, 'x'));
  server.Respond(1);
  EXPECT_EQ(Outline(server.TakeFrames()),
            Lines({"HEADERS 1", "DATA 1 16384", "DATA 1 16384", "DATA 1 7232"}));
}

TEST(Http2SessionTest, StreamsTakeTurns) {
  SessionHarness server;
  server.Greet();
  for (const int32_t id : {1, 3}) {
    server.Feed(HeadersFrame(id, kRequestFields, true));
    server.stream(id).output().Append(std::string(25'000, 'x'));
    server.Respond(id);
    server.End(id);
  }
  Lines data;
  for (const std::string& line : Outline(server.TakeFrames())) {
    if (line.starts_with("DATA")) data.push_back(line);
  }
  EXPECT_EQ(data, Lines({"DATA 1 16384", "DATA 3 16384", "DATA 1 8616", "DATA 3 8616"}));
}

TEST(Http2SessionTest, AnswersGoOutInTheOrderTheyWereGiven) {
  SessionHarness server;
  server.Greet();
  for (const int32_t id : {1, 3, 5}) server.Feed(HeadersFrame(id, kRequestFields, true));
  const Http2Field fields[] = {{":status", "200"}};
  for (const int32_t id : {5, 1, 3}) server.session.Respond(server.stream(id), fields, true);
  EXPECT_EQ(Outline(server.TakeFrames()),
            Lines({"HEADERS 5 end", "HEADERS 1 end", "HEADERS 3 end"}));
}

TEST(Http2SessionTest, PullStopsAtItsLimitAndPingsOvertakeTheRest) {
  SessionHarness server;
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, true));
  server.stream(1).output().Append(std::string(60'000, 'x'));
  server.Respond(1);
  server.End(1);
  constexpr size_t kLimit = 20'000;
  ASSERT_TRUE(server.session.Pull(kLimit));
  EXPECT_GE(server.session.output().size(), kLimit);
  EXPECT_LE(server.session.output().size(), kLimit + 9 + 16'384);
  EXPECT_LE(server.stream(1).taken, 2u * 16'384);
  server.Feed(PingFrame());
  Lines lines = Outline(DecodeFrames(server.TakePulled()));
  const Lines rest = Outline(server.TakeFrames());
  lines = lines + rest;
  // The third DATA was begun already.
  EXPECT_EQ(lines, Lines({"HEADERS 1", "DATA 1 16384", "DATA 1 16384", "DATA 1 16384", "PING 0",
                          "DATA 1 10848", "HEADERS 1 end"}));
}

TEST(Http2SessionTest, TinyPullsSendTheSameFrames) {
  std::string outputs[2];
  for (const size_t limit : {size_t{1}, size_t{1} << 20}) {
    SessionHarness server;
    server.Greet();
    for (const int32_t id : {1, 3}) {
      server.Feed(HeadersFrame(id, kRequestFields, true));
      server.stream(id).output().Append(std::string(20'000, static_cast<char>('0' + id)));
      server.Respond(id);
      server.End(id);
    }
    while (server.session.Pull(limit) && !server.session.output().empty()) {
      outputs[limit == 1] += server.TakePulled();
    }
  }
  EXPECT_TRUE(outputs[0] == outputs[1]);
  EXPECT_EQ(OfType(DecodeFrames(outputs[0]), NGHTTP2_DATA).size(), 4u);
}

TEST(Http2SessionTest, PeersResetEndsTheStreamAndDropsItsBody) {
  SessionHarness server;
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, false));
  server.stream(1).output().Append(std::string(200'000, 'x'));
  server.Respond(1);
  server.TakeFrames();  // as far as the peer's window allows
  server.Feed(ResetFrame(1, NGHTTP2_CANCEL) + WindowUpdateFrame(0, 1'000'000));
  EXPECT_EQ(server.stream(1).log, kRequestLog + Lines({"close 8"}));
  EXPECT_TRUE(server.TakeFrames().empty());
}

// The frame is begun, but its bytes were held back: nghttp2 still remembers its stream.
TEST(Http2SessionTest, ResetWhileAFrameWaitsForRoomForgetsTheFrame) {
  SessionHarness server;
  server.Greet();
  for (const int32_t id : {1, 3}) {
    server.Feed(HeadersFrame(id, kRequestFields, true));
    server.stream(id).output().Append("body");
    server.Respond(id);
  }
  ASSERT_TRUE(server.session.Pull(1));
  ASSERT_TRUE(server.session.Pull(2 + server.session.output().size()));
  server.Feed(ResetFrame(1, NGHTTP2_CANCEL) + ResetFrame(3, NGHTTP2_CANCEL));
  const size_t taken = server.stream(1).taken + server.stream(3).taken;
  server.streams.clear();  // what the owner does; the sanitizers look on
  const std::vector<Frame> frames = server.TakeFrames();
  EXPECT_EQ(OfType(frames, NGHTTP2_DATA).size() * 4, taken);
}

TEST(Http2SessionTest, OurResetTellsThePeerAndEndsTheStream) {
  SessionHarness server;
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, false));
  server.session.Reset(server.stream(1), NGHTTP2_REFUSED_STREAM);
  EXPECT_EQ(server.TakeOutput(), ResetFrame(1, NGHTTP2_REFUSED_STREAM));
  EXPECT_TRUE(server.stream(1).Has("close 7"));
  server.Feed(DataFrame(1, "under way when we did so", true));
  EXPECT_EQ(server.stream(1).body, "");
}

TEST(Http2SessionTest, HeadersThatCannotBeSentResetTheStream) {
  SessionHarness server;
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, true));
  const std::string long_value(100'000, 'v');
  const Http2Field fields[] = {{":status", "200"}, {"too-long", long_value}};
  server.session.Respond(server.stream(1), fields, true);
  EXPECT_EQ(server.TakeOutput(), ResetFrame(1, NGHTTP2_INTERNAL_ERROR));
  EXPECT_TRUE(server.stream(1).Has("close 2"));
}

TEST(Http2SessionTest, TrailersThatCannotBeSentResetTheStream) {
  SessionHarness server;
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, true));
  server.stream(1).on_output_end = [&] {
    const std::string long_value(100'000, 'v');
    const Http2Field fields[] = {{"too-long", long_value}};
    server.session.SendTrailers(server.stream(1), fields);
  };
  server.Respond(1);
  server.Append(1, "body");
  server.End(1);
  EXPECT_EQ(Outline(server.TakeFrames()), Lines({"HEADERS 1", "DATA 1 4", "RST 1"}));
  EXPECT_TRUE(server.stream(1).Has("close 2"));
}

TEST(Http2SessionTest, ManyRequestsOfOneConnectionAreKeptApart) {
  constexpr int kRequests = 100;
  SessionHarness server;
  Http2Client client;
  std::vector<int32_t> ids;
  for (int i = 0; i < kRequests; ++i) {
    ids.push_back(client.Request(kRequestFields));
    client.Send(ids.back(), "question " + std::to_string(i), true);
  }
  Exchange(server, client);
  for (const int32_t id : ids) {
    server.stream(id).output().Append("answer to " + server.stream(id).body);
    server.Respond(id);
    server.End(id);
  }
  Exchange(server, client);
  for (int i = 0; i < kRequests; ++i) {
    EXPECT_EQ(client.exchange(ids[i]).data, "answer to question " + std::to_string(i));
    EXPECT_EQ(client.exchange(ids[i]).Field("grpc-status"), "0");
    EXPECT_TRUE(server.stream(ids[i]).Has("close 0"));
  }
}

}  // namespace
}  // namespace fastserve
