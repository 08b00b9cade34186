// What a hostile or broken peer may send.

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "transport/http2/http2_session.h"
#include "transport/http2/session_harness.h"

namespace fastserve {
namespace {

using Lines = std::vector<std::string>;

// The error code of the only GOAWAY or RST_STREAM among `frames`; -1 when there is not one.
int64_t ErrorOf(const std::vector<Frame>& frames, uint8_t type) {
  const std::vector<Frame> found = OfType(frames, type);
  if (found.size() != 1) return -1;
  const size_t offset = type == NGHTTP2_GOAWAY ? 4 : 0;
  return static_cast<int64_t>(FromBigEndian(found[0].payload.substr(offset, 4)));
}

// A legal request whose headers are `fields` and what is said more.
std::string Request(int32_t id, const Fields& more = {}, bool end = true) {
  Fields fields = kRequestFields;
  fields.insert(fields.end(), more.begin(), more.end());
  return HeadersFrame(id, fields, end);
}

TEST(Http2IllegalTest, PeerThatDoesNotSpeakHttp2IsAnError) {
  for (const char* bytes : {"GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\rx",
                            "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"}) {
    SessionHarness server;
    const Status status = server.session.Receive(bytes);
    EXPECT_EQ(status.code(), StatusCode::kInternal) << bytes;
    EXPECT_EQ(status.message().substr(0, 8), "HTTP/2: ");
    EXPECT_TRUE(server.streams.empty());
  }
}

TEST(Http2IllegalTest, WrongPrefaceIsAnErrorByteByByteToo) {
  SessionHarness server;
  const std::string bytes = "PRI * HTTP/2.1";
  for (size_t i = 0; i + 1 < bytes.size(); ++i) server.Feed(bytes.substr(i, 1));
  EXPECT_FALSE(server.session.Receive(bytes.substr(bytes.size() - 1)).ok());
}

TEST(Http2IllegalTest, PrefaceWithoutSettingsIsAnError) {
  SessionHarness server;
  server.TakeOutput();
  server.Feed(std::string(kPreface) + PingFrame());
  EXPECT_EQ(ErrorOf(server.TakeFrames(), NGHTTP2_GOAWAY), NGHTTP2_PROTOCOL_ERROR);
  EXPECT_TRUE(server.session.finished());
}

TEST(Http2IllegalTest, FramesAgainstTheProtocolEndTheConnection) {
  const std::string open = Request(1, {}, false);
  const std::string open_block = Encode({NGHTTP2_HEADERS, 0, 1, HeaderBlock(kRequestFields)});
  const struct {
    const char* what;
    std::string bytes;
    int64_t error;
  } kCases[] = {
      {"DATA of no stream", DataFrame(0, "x", false), NGHTTP2_PROTOCOL_ERROR},
      {"DATA of an idle stream", DataFrame(1, "x", false), NGHTTP2_PROTOCOL_ERROR},
      {"HEADERS of an even stream", Request(2), NGHTTP2_PROTOCOL_ERROR},
      {"HEADERS after the end", Request(1) + Request(1), NGHTTP2_STREAM_CLOSED},
      {"CONTINUATION of nothing", Encode({NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, ""}),
       NGHTTP2_PROTOCOL_ERROR},
      {"PING amid headers", open_block + PingFrame(), NGHTTP2_PROTOCOL_ERROR},
      {"headers that no table has",
       Encode({NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, "\xff\xff\xff\xff\x0f"}),
       NGHTTP2_COMPRESSION_ERROR},
      {"PRIORITY of no stream", Encode({NGHTTP2_PRIORITY, 0, 0, std::string(5, '\0')}),
       NGHTTP2_PROTOCOL_ERROR},
      {"PRIORITY that depends on itself",
       Encode({NGHTTP2_PRIORITY, 0, 3, BigEndian(3, 4) + BigEndian(0, 1)}), NGHTTP2_PROTOCOL_ERROR},
      {"PING too short", PingFrame("1234567"), NGHTTP2_FRAME_SIZE_ERROR},
      {"SETTINGS of a wrong length", Encode({NGHTTP2_SETTINGS, 0, 0, "12345"}),
       NGHTTP2_FRAME_SIZE_ERROR},
      {"SETTINGS with an impossible window",
       SettingsFrame({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0x80000000}}),
       NGHTTP2_FLOW_CONTROL_ERROR},
      {"SETTINGS acknowledged once more", SettingsAck(), NGHTTP2_PROTOCOL_ERROR},
      {"RST_STREAM of an idle stream", ResetFrame(7, 0), NGHTTP2_PROTOCOL_ERROR},
      {"PUSH_PROMISE by a client", Encode({NGHTTP2_PUSH_PROMISE, 4, 1, BigEndian(2, 4)}),
       NGHTTP2_PROTOCOL_ERROR},
      {"WINDOW_UPDATE by nothing", WindowUpdateFrame(0, 0), NGHTTP2_PROTOCOL_ERROR},
      {"WINDOW_UPDATE beyond all bounds", WindowUpdateFrame(0, 0x7fffffff),
       NGHTTP2_FLOW_CONTROL_ERROR},
      {"padding longer than its frame",
       open + Encode({NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1,
                      "\x05"
                      "abcd"}),
       NGHTTP2_PROTOCOL_ERROR},
      {"DATA after the end", Request(1) + DataFrame(1, "x", false), NGHTTP2_STREAM_CLOSED},
  };
  for (const auto& [what, bytes, error] : kCases) {
    SessionHarness server;
    server.Greet();
    server.Feed(bytes);
    const std::vector<Frame> frames = server.TakeFrames();
    EXPECT_EQ(ErrorOf(frames, NGHTTP2_GOAWAY), error) << what;
    EXPECT_TRUE(server.session.finished()) << what;
  }
}

TEST(Http2IllegalTest, RequestsAgainstTheProtocolLoseTheirStreamAlone) {
  const struct {
    const char* what;
    std::string bytes;
    int64_t error;
  } kCases[] = {
      {"no path", HeadersFrame(1, {{":method", "POST"}, {":scheme", "http"}}, true),
       NGHTTP2_PROTOCOL_ERROR},
      {"a path twice", Request(1, {{":path", "/again"}}), NGHTTP2_PROTOCOL_ERROR},
      {"an upper-case name", Request(1, {{"Upper", "x"}}), NGHTTP2_PROTOCOL_ERROR},
      {"a field of HTTP/1", Request(1, {{"connection", "close"}}), NGHTTP2_PROTOCOL_ERROR},
      {"a body longer than it said",
       Request(1, {{"content-length", "1"}}, false) + DataFrame(1, "xy", true),
       NGHTTP2_PROTOCOL_ERROR},
      {"a body shorter than it said",
       Request(1, {{"content-length", "3"}}, false) + DataFrame(1, "xy", true),
       NGHTTP2_PROTOCOL_ERROR},
      {"trailers that are not the end",
       Request(1, {}, false) + HeadersFrame(1, {{"a", "b"}}, false), NGHTTP2_PROTOCOL_ERROR},
      {"a window beyond all bounds", Request(1, {}, false) + WindowUpdateFrame(1, 0x7fffffff),
       NGHTTP2_FLOW_CONTROL_ERROR},
  };
  for (const auto& [what, bytes, error] : kCases) {
    SessionHarness server;
    server.Greet();
    server.Feed(bytes);
    EXPECT_EQ(ErrorOf(server.TakeFrames(), NGHTTP2_RST_STREAM), error) << what;
    EXPECT_FALSE(server.stream(1).Has("end")) << what;
    EXPECT_EQ(server.stream(1).log.back(), "close " + std::to_string(error)) << what;
    server.Feed(Request(3));
    EXPECT_TRUE(server.stream(3).Has("end")) << what;
    EXPECT_FALSE(server.session.finished()) << what;
  }
}

TEST(Http2IllegalTest, FramesOfAClosedOrSkippedStreamEndTheConnection) {
  for (const std::string& late : {Request(5), Request(3), DataFrame(5, "x", true)}) {
    for (const size_t cut : {size_t{0}, size_t{1}, size_t{8}, size_t{9}, size_t{10}}) {
      SessionHarness server;
      server.Greet();
      server.Feed(Request(5));
      const Http2Field fields[] = {{":status", "200"}};
      server.session.Respond(server.stream(5), fields, true);
      server.TakeFrames();
      ASSERT_TRUE(server.stream(5).Has("close 0"));
      const Lines log = server.stream(5).log;
      server.Feed(late.substr(0, cut));
      server.Feed(late.substr(cut));
      EXPECT_EQ(ErrorOf(server.TakeFrames(), NGHTTP2_GOAWAY), NGHTTP2_STREAM_CLOSED);
      EXPECT_EQ(server.streams.size(), 1u);
      EXPECT_EQ(server.stream(5).log, log);
      EXPECT_TRUE(server.session.finished());
    }
  }
}

TEST(Http2IllegalTest, DataAfterThePeersOwnResetEndsTheConnectionHoweverTheBytesCome) {
  const std::string bytes = Request(1, {}, false) + DataFrame(1, "good", false) +
                            ResetFrame(1, NGHTTP2_CANCEL) + DataFrame(1, "bad", true);
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    SessionHarness server;
    server.Greet();
    server.Feed(bytes.substr(0, cut));
    server.Feed(bytes.substr(cut));
    EXPECT_EQ(ErrorOf(server.TakeFrames(), NGHTTP2_GOAWAY), NGHTTP2_STREAM_CLOSED) << cut;
    EXPECT_EQ(server.stream(1).body, "good");
  }
}

TEST(Http2IllegalTest, OrdinaryConversationIsNoneHoweverTheBytesCome) {
  const std::string bytes =
      Request(1, {}, false) + Request(3, {}, false) + DataFrame(1, "a", false) +
      DataFrame(3, "b", false) + DataFrame(1, "c", true) + ResetFrame(3, NGHTTP2_CANCEL) +
      Request(5, {}, false) + DataFrame(5, "d", false) + HeadersFrame(5, {{"trailer", "1"}}, true);
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    SessionHarness server;
    server.Greet();
    server.Feed(bytes.substr(0, cut));
    server.Feed(bytes.substr(cut));
    EXPECT_TRUE(OfType(server.TakeFrames(), NGHTTP2_GOAWAY).empty()) << cut;
    EXPECT_EQ(server.stream(1).body, "ac");
    EXPECT_TRUE(server.stream(1).Has("end"));
    EXPECT_EQ(server.stream(5).body, "d");
    EXPECT_TRUE(server.stream(5).Has("end"));
  }
}

// The peer may have sent them before it heard of the reset.
TEST(Http2IllegalTest, FramesOfStreamsThatWeHaveResetAreIgnored) {
  constexpr int kStreams = 3000;  // more than are remembered one by one
  SessionHarness server;
  server.Greet();
  for (int i = 0; i < kStreams; ++i) {
    server.Feed(Request(2 * i + 1, {}, false));
    server.session.Reset(server.stream(2 * i + 1), NGHTTP2_CANCEL);
    server.TakeFrames();
  }
  for (int i = 0; i < kStreams; ++i) {
    server.Feed(DataFrame(2 * i + 1, "late", false) +
                HeadersFrame(2 * i + 1, {{"late", "1"}}, true));
  }
  EXPECT_TRUE(OfType(server.TakeFrames(), NGHTTP2_GOAWAY).empty());
  server.Feed(Request(2 * kStreams + 1));
  EXPECT_TRUE(server.stream(2 * kStreams + 1).Has("end"));
}

TEST(Http2LimitsTest, FrameOfTheLargestSizeIsTakenAndALongerOneEndsTheConnection) {
  Http2Limits limits;
  limits.max_frame_size = 20'000;
  SessionHarness server(limits);
  server.Greet();
  server.Feed(Request(1, {}, false) + DataFrame(1, std::string(20'000, 'x'), false));
  EXPECT_EQ(server.stream(1).body.size(), 20'000u);
  EXPECT_TRUE(OfType(server.TakeFrames(), NGHTTP2_GOAWAY).empty());
  server.Feed(FrameHeader(20'001, NGHTTP2_DATA, 0, 1));
  EXPECT_EQ(ErrorOf(server.TakeFrames(), NGHTTP2_GOAWAY), NGHTTP2_FRAME_SIZE_ERROR);
  EXPECT_EQ(server.stream(1).body.size(), 20'000u);
}

TEST(Http2LimitsTest, HeaderListAtTheLimitIsTakenAndALongerOneResetsItsStream) {
  Http2Limits limits{.max_header_list_bytes = 0};
  for (const auto& [name, value] : kRequestFields) {
    limits.max_header_list_bytes += static_cast<uint32_t>(name.size() + value.size()) + 32;
  }
  SessionHarness server(limits);
  server.Greet();
  server.Feed(Request(1));
  EXPECT_TRUE(server.stream(1).Has("end"));
  server.Feed(Request(3, {{"x", ""}}, false) + DataFrame(3, "body", true));
  EXPECT_EQ(server.TakeOutput(), ResetFrame(3, NGHTTP2_ENHANCE_YOUR_CALM));
  EXPECT_FALSE(server.stream(3).Has("headers end"));
  EXPECT_EQ(server.stream(3).body, "");
  EXPECT_EQ(server.stream(3).log.back(), "close 11");
  server.Feed(Request(5));
  EXPECT_TRUE(server.stream(5).Has("end"));
}

// References to one long entry of the table: 127 bytes on the wire that mean megabytes.
TEST(Http2LimitsTest, HeaderListIsMeasuredAsItWillBeStored) {
  SessionHarness server;
  server.Greet();
  std::string block = HeaderBlock(kRequestFields);
  block +=
      "\x40"
      "\x01"
      "a"
      "\x7f" +
      BigEndian((3000 - 127) % 128 | 128, 1) + BigEndian((3000 - 127) / 128, 1) +
      std::string(3000, 'v');
  block += std::string(1000, '\xbe');
  server.Feed(Encode({NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block}));
  EXPECT_EQ(ErrorOf(server.TakeFrames(), NGHTTP2_RST_STREAM), NGHTTP2_ENHANCE_YOUR_CALM);
  EXPECT_LE(server.stream(1).log.size(), 30u);
}

// Millions of references to one long entry of the table.
TEST(Http2LimitsTest, HeaderListOfManyTimesTheLimitEndsTheConnection) {
  SessionHarness server({.max_header_list_bytes = 1000});
  server.Greet();
  std::string block = "\x40" + BigEndian(1, 1) + "a" + BigEndian(120, 1) + std::string(120, 'v');
  block += std::string(10'000, '\xbe');
  const Status status =
      server.session.Receive(Encode({NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block}));
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
}

TEST(Http2LimitsTest, FloodOfFramesThatCarryNothingEndsTheConnection) {
  const std::string kFrames[] = {
      PingFrame(),
      SettingsFrame(),
      Encode({NGHTTP2_PRIORITY, 0, 1, std::string(5, '\0')}),
      Encode({0xbe, 0, 0, "unknown"}),
      DataFrame(1, "", false),
  };
  for (const std::string& frame : kFrames) {
    SCOPED_TRACE(static_cast<int>(frame[3]));
    SessionHarness server({.control_frames = {.burst = 50, .per_second = 1}});
    server.Greet();
    server.Feed(Request(1, {}, false));
    int taken = 0;
    while (taken < 200 && server.session.Receive(frame).ok()) ++taken;
    EXPECT_GE(taken, 40);  // the greeting and a slow machine count, too
    EXPECT_LE(taken, 60);
    const std::vector<Frame> frames = server.TakeFrames();
    EXPECT_EQ(ErrorOf(frames, NGHTTP2_GOAWAY), NGHTTP2_ENHANCE_YOUR_CALM);
    ASSERT_EQ(OfType(frames, NGHTTP2_GOAWAY).size(), 1u);
    EXPECT_EQ(OfType(frames, NGHTTP2_GOAWAY)[0].payload.substr(8), "too many control frames");
  }
}

TEST(Http2LimitsTest, PingsMayHaveALimitOfTheirOwnWhichGrpcClientsUnderstand) {
  SessionHarness server({.pings = {.burst = 3, .per_second = 0}});
  server.Greet();
  for (int i = 0; i < 3; ++i) server.Feed(PingFrame());
  server.TakeFrames();
  EXPECT_FALSE(server.session.Receive(PingFrame()).ok());
  const std::vector<Frame> goaways = OfType(server.TakeFrames(), NGHTTP2_GOAWAY);
  ASSERT_EQ(goaways.size(), 1u);
  EXPECT_EQ(goaways[0].payload.substr(8), "too_many_pings");
}

// Some clients measure the network with a PING for each piece of an answer.
TEST(Http2LimitsTest, AnswersAllowAsManyPingsAgain) {
  SessionHarness server({.control_frames = {.burst = 5, .per_second = 0}});
  server.Greet();
  server.Feed(Request(1));
  server.Respond(1);
  for (int i = 0; i < 20; ++i) {
    server.Append(1, "piece");
    server.TakeFrames();
    for (int ping = 0; ping < 5; ++ping) server.Feed(PingFrame());
  }
  EXPECT_TRUE(OfType(server.TakeFrames(), NGHTTP2_GOAWAY).empty());
}

TEST(Http2LimitsTest, HeadersInTooManyPiecesEndTheConnection) {
  SessionHarness server;
  server.Greet();
  EXPECT_TRUE(server.session.Receive(Encode({NGHTTP2_HEADERS, 0, 1, ""})).ok());
  int pieces = 0;
  while (pieces < 1000 && server.session.Receive(Encode({NGHTTP2_CONTINUATION, 0, 1, ""})).ok()) {
    ++pieces;
  }
  EXPECT_LT(pieces, 100);
}

TEST(Http2LimitsTest, StreamsBeyondTheLimitAreRefusedUntilThePeerKnowsTheLimit) {
  Http2Limits limits;
  limits.max_concurrent_streams = 2;
  SessionHarness server(limits);
  server.TakeOutput();
  server.Feed(std::string(kPreface) + SettingsFrame());
  for (const int32_t id : {1, 3, 5}) server.Feed(Request(id));
  const std::vector<Frame> frames = server.TakeFrames();
  EXPECT_EQ(Outline(frames), Lines({"SETTINGS 0", "RST 5"}));
  EXPECT_EQ(ErrorOf(frames, NGHTTP2_RST_STREAM), NGHTTP2_REFUSED_STREAM);
  EXPECT_EQ(server.streams.size(), 2u);
  const Http2Field fields[] = {{":status", "200"}};
  server.session.Respond(server.stream(1), fields, true);
  server.TakeFrames();
  server.Feed(Request(7));
  EXPECT_TRUE(server.stream(7).Has("end"));
}

TEST(Http2LimitsTest, StreamBeyondALimitThatThePeerKnowsEndsTheConnection) {
  Http2Limits limits;
  limits.max_concurrent_streams = 2;
  SessionHarness server(limits);
  server.Greet();
  for (const int32_t id : {1, 3, 5}) server.Feed(Request(id));
  EXPECT_EQ(ErrorOf(server.TakeFrames(), NGHTTP2_GOAWAY), NGHTTP2_PROTOCOL_ERROR);
  EXPECT_EQ(server.streams.size(), 2u);
}

TEST(Http2LimitsTest, MoreResetsThanTheBurstEndTheConnection) {
  Http2Limits limits;
  limits.reset_burst = 5;
  limits.resets_per_second = 1;
  SessionHarness server(limits);
  server.Greet();
  int32_t id = 1;
  for (int i = 0; i < 5; ++i, id += 2) {
    server.Feed(Request(id) + ResetFrame(id, NGHTTP2_CANCEL));
  }
  EXPECT_TRUE(server.TakeFrames().empty());
  // More than one: a second may pass while the test runs, and gives one back.
  Lines last;
  for (int i = 0; i < 30 && !server.session.finished(); ++i, id += 2) {
    server.Feed(Request(id) + ResetFrame(id, NGHTTP2_CANCEL));
    last = Outline(server.TakeFrames());
  }
  EXPECT_TRUE(server.session.finished());
  EXPECT_EQ(last, Lines({"GOAWAY 0"}));
}

TEST(Http2IllegalTest, AnyDamageToAConversationIsSurvived) {
  const std::string good = SettingsFrame({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1000}}) +
                           SettingsAck() + Request(1, {}, false) + DataFrame(1, "body", true) +
                           Request(3) + PingFrame() + WindowUpdateFrame(0, 10) +
                           ResetFrame(1, NGHTTP2_CANCEL) + GoawayFrame(0, 0);
  std::minstd_rand random(1);
  for (size_t position = 0; position < good.size(); ++position) {
    for (int round = 0; round < 4; ++round) {
      std::string bytes = good;
      bytes[position] = static_cast<char>(random());
      SessionHarness server;
      server.Feed(kPreface);
      std::ignore = server.session.Receive(bytes);
      for (auto& [id, stream] : server.streams) {
        if (stream->closed || !stream->Has("headers end")) continue;
        stream->output().Append("answer");
        server.Respond(id);
        server.End(id);
      }
      EXPECT_TRUE(server.session.Pull(1 << 20));
      EXPECT_FALSE(server.TakePulled().empty());  // at least our SETTINGS
    }
  }
}

}  // namespace
}  // namespace fastserve
