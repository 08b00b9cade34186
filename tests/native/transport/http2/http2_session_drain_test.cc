// How a connection ends in good order.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "transport/http2/http2_client.h"
#include "transport/http2/http2_session.h"
#include "transport/http2/session_harness.h"

namespace fastserve {
namespace {

using Lines = std::vector<std::string>;

constexpr int32_t kNoLastStream = 0x7fffffff;

std::string PingAck() { return Encode({NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, std::string(8, '\0')}); }

void Answer(SessionHarness& server, int32_t id) {
  const Http2Field fields[] = {{":status", "200"}};
  server.session.Respond(server.stream(id), fields, true);
}

TEST(Http2DrainTest, WarnsFirstAndNamesTheLastStreamWhenThePeerHasReadTheWarning) {
  SessionHarness server;
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, true));
  server.session.StartDrain();
  EXPECT_FALSE(server.session.drained());
  EXPECT_EQ(server.TakeOutput(), PingFrame(std::string(8, '\0')) + GoawayFrame(kNoLastStream, 0));
  // Opened before the peer read the warning, and so served.
  server.Feed(HeadersFrame(3, kRequestFields, true) + PingAck());
  EXPECT_TRUE(server.stream(3).Has("end"));
  EXPECT_TRUE(server.session.drained());
  EXPECT_EQ(server.TakeOutput(), GoawayFrame(3, 0));
}

TEST(Http2DrainTest, StreamsAfterTheLastAreIgnoredAndTheOthersServed) {
  SessionHarness server;
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, true));
  server.session.StartDrain();
  server.session.FinishDrain();
  server.TakeFrames();
  server.Feed(HeadersFrame(3, kRequestFields, true));
  EXPECT_FALSE(server.streams.contains(3));
  EXPECT_FALSE(server.session.finished());
  Answer(server, 1);
  EXPECT_EQ(Outline(server.TakeFrames()), Lines({"HEADERS 1 end"}));
  EXPECT_TRUE(server.session.finished());
}

TEST(Http2DrainTest, EndsOnlyOnce) {
  SessionHarness server;
  server.Greet();
  server.session.StartDrain();
  server.session.FinishDrain();
  server.Feed(PingAck());
  server.session.FinishDrain();
  EXPECT_EQ(OfType(server.TakeFrames(), NGHTTP2_GOAWAY).size(), 2u);  // the warning, the end
}

TEST(Http2DrainTest, PingAcknowledgedWithoutADrainEndsNothing) {
  SessionHarness server;
  server.Greet();
  server.Feed(PingAck());
  EXPECT_FALSE(server.session.drained());
  EXPECT_TRUE(server.TakeFrames().empty());
}

TEST(Http2DrainTest, ClientSeesTheWarningThenTheEndAndAllItsAnswers) {
  SessionHarness server;
  Http2Client client;
  const int32_t id = client.Request(kRequestFields);
  client.Send(id, "body", true);
  server.Feed(client.TakeOutput());
  server.session.StartDrain();
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(client.Receive(server.TakeOutput()));
    server.Feed(client.TakeOutput());
  }
  EXPECT_EQ(client.goaways(), (std::vector<int32_t>{kNoLastStream, id}));
  EXPECT_FALSE(client.exchange(id).closed());
  Answer(server, id);
  ASSERT_TRUE(client.Receive(server.TakeOutput()));
  EXPECT_EQ(client.exchange(id).close_error, 0u);
}

TEST(Http2DrainTest, PeersGoawayLetsItsOpenStreamsFinish) {
  SessionHarness server;
  server.Greet();
  server.Feed(HeadersFrame(1, kRequestFields, true) + GoawayFrame(0, NGHTTP2_NO_ERROR));
  EXPECT_FALSE(server.session.finished());
  server.Respond(1);
  server.Append(1, "answer");
  server.End(1);
  EXPECT_EQ(Outline(server.TakeFrames()), Lines({"HEADERS 1", "DATA 1 6", "HEADERS 1 end"}));
  EXPECT_TRUE(server.stream(1).Has("close 0"));
}

TEST(Http2DrainTest, SessionMayEndWithStreamsOpen) {
  auto server = std::make_unique<SessionHarness>();
  server->Greet({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 10}});
  server->Feed(HeadersFrame(1, kRequestFields, true));
  server->stream(1).output().Append(std::string(100, 'x'));
  server->Respond(1);
  server->TakeFrames();
  server.reset();  // the sanitizers look on
}

}  // namespace
}  // namespace fastserve
