// Who may send how much, in both directions.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "transport/http2/http2_client.h"
#include "transport/http2/http2_session.h"
#include "transport/http2/session_harness.h"

namespace fastserve {
namespace {

using Lines = std::vector<std::string>;

constexpr uint16_t kInitialWindow = NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE;

// Limits with windows of these sizes, as they hold once the peer has acknowledged them.
Http2Limits Windows(int32_t stream, int32_t connection) {
  Http2Limits limits;
  limits.stream_window = stream;
  limits.connection_window = connection;
  return limits;
}

// `size` bytes in frames as small as any peer allows.
std::string ManyData(int32_t id, size_t size) {
  std::string frames;
  for (size_t sent = 0; sent < size; sent += 10'000) {
    frames += DataFrame(id, std::string(std::min<size_t>(10'000, size - sent), 'x'), false);
  }
  return frames;
}

// A response of `size` bytes on stream `id`, whose request is complete.
void RespondWith(SessionHarness& server, int32_t id, size_t size) {
  server.Feed(HeadersFrame(id, kRequestFields, true));
  server.stream(id).output().Append(std::string(size, 'x'));
  server.Respond(id);
  server.End(id);
}

TEST(Http2FlowControlTest, BodyGoesAsFarAsThePeersStreamWindow) {
  SessionHarness server;
  server.Greet({{kInitialWindow, 10}});
  RespondWith(server, 1, 25);
  EXPECT_EQ(Outline(server.TakeFrames()), Lines({"HEADERS 1", "DATA 1 10"}));
  EXPECT_EQ(server.stream(1).output().size(), 15u);
  server.Feed(WindowUpdateFrame(1, 1));
  EXPECT_EQ(Outline(server.TakeFrames()), Lines({"DATA 1 1"}));
  server.Feed(WindowUpdateFrame(1, 100));
  EXPECT_EQ(Outline(server.TakeFrames()), Lines({"DATA 1 14", "HEADERS 1 end"}));
  EXPECT_TRUE(server.stream(1).Has("close 0"));
}

TEST(Http2FlowControlTest, WindowOfZeroLetsHeadersAndTrailersPassAlone) {
  SessionHarness server;
  server.Greet({{kInitialWindow, 0}});
  server.Feed(HeadersFrame(3, kRequestFields, true));
  const Http2Field fields[] = {{":status", "200"}};
  RespondWith(server, 5, 1);
  server.session.Respond(server.stream(3), fields, true);
  EXPECT_EQ(Outline(server.TakeFrames()), Lines({"HEADERS 5", "HEADERS 3 end"}));
  EXPECT_EQ(server.stream(5).taken, 0u);
}

TEST(Http2FlowControlTest, StreamsShareThePeersConnectionWindow) {
  constexpr size_t kConnectionWindow = 65'535;
  SessionHarness server;
  server.Greet({{kInitialWindow, 1 << 20}});
  RespondWith(server, 1, 50'000);
  RespondWith(server, 3, 50'000);
  server.TakeFrames();
  EXPECT_EQ(server.stream(1).taken + server.stream(3).taken, kConnectionWindow);
  server.Feed(WindowUpdateFrame(0, 1'000'000));
  server.TakeFrames();
  EXPECT_TRUE(server.stream(1).Has("close 0"));
  EXPECT_TRUE(server.stream(3).Has("close 0"));
}

TEST(Http2FlowControlTest, StalledStreamDoesNotHoldUpOthers) {
  SessionHarness server;
  server.Greet({{kInitialWindow, 100}});
  RespondWith(server, 1, 200);
  server.TakeFrames();
  RespondWith(server, 3, 50);
  EXPECT_EQ(Outline(server.TakeFrames()), Lines({"HEADERS 3", "DATA 3 50", "HEADERS 3 end"}));
}

TEST(Http2FlowControlTest, PeerMayChangeItsWindowEvenToANegativeRest) {
  SessionHarness server;
  server.Greet({{kInitialWindow, 100}});
  RespondWith(server, 1, 300);
  EXPECT_EQ(server.TakeFrames().back().payload.size(), 100u);
  server.Feed(SettingsFrame({{kInitialWindow, 40}}) + WindowUpdateFrame(1, 60));
  EXPECT_EQ(Outline(server.TakeFrames()), Lines({"SETTINGS 0"}));
  server.Feed(WindowUpdateFrame(1, 7));
  EXPECT_EQ(Outline(server.TakeFrames()), Lines({"DATA 1 7"}));
  server.Feed(SettingsFrame({{kInitialWindow, 90}}));
  EXPECT_EQ(Outline(server.TakeFrames()), Lines({"SETTINGS 0", "DATA 1 50"}));
}

TEST(Http2FlowControlTest, OurCreditGoesOutWhenHalfAStreamsWindowHasGathered) {
  SessionHarness server(Windows(100, 1 << 20));
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, false) + DataFrame(1, std::string(100, 'x'), false));
  EXPECT_TRUE(server.TakeFrames().empty());
  server.session.CreditStream(server.stream(1), 49);
  EXPECT_TRUE(server.TakeFrames().empty());
  server.session.CreditStream(server.stream(1), 1);
  EXPECT_EQ(server.TakeOutput(), WindowUpdateFrame(1, 50));
}

TEST(Http2FlowControlTest, OurCreditGoesOutWhenHalfTheConnectionsWindowHasGathered) {
  SessionHarness server(Windows(1 << 20, 100'000));
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, false) + ManyData(1, 60'000));
  server.session.CreditConnection(49'999);
  EXPECT_TRUE(server.TakeFrames().empty());
  server.session.CreditConnection(1);
  EXPECT_EQ(server.TakeOutput(), WindowUpdateFrame(0, 50'000));
}

TEST(Http2FlowControlTest, PeerThatOverrunsAStreamsWindowLosesTheStream) {
  SessionHarness server(Windows(100, 1 << 20));
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, false) + DataFrame(1, std::string(100, 'x'), false));
  EXPECT_TRUE(server.TakeFrames().empty());
  server.Feed(DataFrame(1, "y", false));
  EXPECT_EQ(server.TakeOutput(), ResetFrame(1, NGHTTP2_FLOW_CONTROL_ERROR));
  EXPECT_TRUE(server.stream(1).Has("close 3"));
  EXPECT_FALSE(server.session.finished());
}

TEST(Http2FlowControlTest, PeerThatOverrunsTheConnectionsWindowLosesTheConnection) {
  SessionHarness server(Windows(1 << 20, 100'000));
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, false) + ManyData(1, 100'000));
  EXPECT_TRUE(server.TakeFrames().empty());
  server.Feed(DataFrame(1, "y", false));
  const std::vector<Frame> frames = server.TakeFrames();
  ASSERT_EQ(Outline(frames), Lines({"GOAWAY 0"}));
  EXPECT_EQ(FromBigEndian(frames[0].payload.substr(4, 4)),
            static_cast<uint64_t>(NGHTTP2_FLOW_CONTROL_ERROR));
  EXPECT_TRUE(server.session.finished());
}

TEST(Http2FlowControlTest, DataOfAStreamThatIsGoneStillGetsTheConnectionsCredit) {
  SessionHarness server(Windows(1 << 20, 100'000));
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, false));
  server.session.Reset(server.stream(1), NGHTTP2_CANCEL);
  server.TakeFrames();
  uint64_t credit = 0;
  for (int i = 0; i < 20; ++i) {
    server.Feed(ManyData(1, 20'000));
    for (const Frame& frame : OfType(server.TakeFrames(), NGHTTP2_WINDOW_UPDATE)) {
      EXPECT_EQ(frame.stream_id, 0);
      credit += FromBigEndian(frame.payload);
    }
  }
  EXPECT_GT(credit, 20u * 20'000 - 50'000);
  EXPECT_LE(credit, 20u * 20'000);
}

TEST(Http2FlowControlTest, RefusedStreamsDataGetsTheConnectionsCredit) {
  Http2Limits limits = Windows(1 << 20, 100'000);
  limits.max_header_list_bytes = 100;
  SessionHarness server(limits);
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, false) + ManyData(1, 60'000));
  const std::vector<Frame> frames = server.TakeFrames();
  ASSERT_EQ(Outline(frames), Lines({"RST 1", "WINDOW 0"}));
  EXPECT_GE(FromBigEndian(frames[1].payload), 50'000u);
  EXPECT_EQ(server.stream(1).body, "");
}

// Each side sends far more than its peer's window, as each gives credit for what it has read.
TEST(Http2FlowControlTest, LargeBodiesPassThroughSmallWindowsBothWays) {
  SessionHarness server(Windows(1000, 2000));
  Http2Client client({.stream_window = 777, .gives_credit = true});
  const std::string question(30'000, 'q');
  const int32_t id = client.Request(kRequestFields);
  client.Send(id, question, true);
  size_t credited = 0;
  for (int round = 0; round < 1000 && !client.exchange(id).closed(); ++round) {
    server.Feed(client.TakeOutput());
    if (server.streams.contains(id) && server.stream(id).body.size() > credited) {
      const size_t fresh = server.stream(id).body.size() - credited;
      server.session.CreditConnection(fresh);
      server.session.CreditStream(server.stream(id), fresh);
      credited += fresh;
      if (server.stream(id).Has("end")) {
        server.stream(id).output().Append(std::string(20'000, 'a'));
        server.Respond(id);
        server.End(id);
      }
    }
    ASSERT_TRUE(client.Receive(server.TakeOutput()));
  }
  EXPECT_EQ(server.stream(id).body, question);
  EXPECT_EQ(client.exchange(id).data, std::string(20'000, 'a'));
  EXPECT_EQ(client.exchange(id).close_error, 0u);
}

}  // namespace
}  // namespace fastserve
