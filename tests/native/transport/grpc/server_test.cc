// Calls over sockets: answered at once, later, by other threads, too late, or never.

#include "transport/grpc/server.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "transport/grpc/server_harness.h"

namespace fastserve {
namespace {

using Lines = std::vector<std::string>;

void ExpectEcho(const Exchange& exchange, const std::string& text) {
  EXPECT_EQ(SplitMessages(exchange.data), Lines{text});
  EXPECT_EQ(exchange.Field("grpc-status"), "0");
  EXPECT_EQ(exchange.close_error, 0u);
}

TEST_F(ServerTest, AnswersAtOnceAndFromAnotherThread) {
  GrpcClient client(port_);
  ExpectEcho(client.Ask("/s/Echo", "now"), "now");
  ExpectEcho(client.Ask("/s/Later", "soon"), "soon");
}

TEST_F(ServerTest, UnknownMethodIsUnimplemented) {
  GrpcClient client(port_);
  EXPECT_EQ(client.Ask("/s/Unknown", "?").Field("grpc-status"), "12");
  ExpectEcho(client.Ask("/s/Echo", "and it goes on"), "and it goes on");
}

TEST_F(ServerTest, CallKnowsItsPeer) {
  GrpcClient client(port_);
  client.Begin("/s/Keep", Message(""), true);
  const CallPtr call = kept_.Take();
  ASSERT_TRUE(call);
  EXPECT_EQ(call->peer().substr(0, 15), "ipv4:127.0.0.1:");
}

TEST_F(ServerTest, MessageOverTheLimitIsRefusedAndTheConnectionGoesOn) {
  GrpcClient client(port_);
  const Exchange& refused = client.Ask("/s/Echo", std::string((4 << 20) + 1, 'x'));
  EXPECT_EQ(refused.Field("grpc-status"), "8");
  EXPECT_EQ(refused.Field("grpc-message"),
            "Received message larger than max (4194305 vs. 4194304)");
  const std::string largest(4 << 20, 'y');
  EXPECT_TRUE(client.Ask("/s/Echo", largest).data == Message(largest));
}

TEST_F(ServerTest, LargeBorrowedAnswerArrivesAndItsOwnerIsLetGo) {
  GrpcClient client(port_);
  const int32_t id = client.Begin("/s/Keep", Message(""), true);
  auto bytes = std::make_shared<std::string>(5 << 20, '\0');
  for (size_t i = 0; i < bytes->size(); ++i) (*bytes)[i] = static_cast<char>(i * 31 % 251);
  const std::string expected = *bytes;
  const std::weak_ptr<const std::string> owner = bytes;
  ByteChain answer = Chain("head");
  answer.Borrow(*bytes, bytes);
  bytes.reset();
  kept_.Take()->Reply(std::move(answer));
  EXPECT_TRUE(client.WaitFor(id).data == Message("head" + expected));
  EXPECT_TRUE(Eventually([&] { return owner.expired(); }));
}

TEST_F(ServerTest, StreamEchoesFromOtherThreads) {
  constexpr int kMessages = 200;
  GrpcClient client(port_);
  const int32_t id = client.Begin("/s/EchoStream", "", false);
  Lines sent;
  for (int i = 0; i < kMessages; ++i) {
    sent.push_back("message " + std::to_string(i));
    client.http2().Send(id, Message(sent.back()), i + 1 == kMessages);
  }
  const Exchange& exchange = client.WaitFor(id);
  EXPECT_EQ(SplitMessages(exchange.data), sent);
  EXPECT_EQ(exchange.trailers, (Fields{{"grpc-status", "0"}, {"said", "bye"}}));
}

TEST_F(ServerTest, StreamAnswersBeforeItsRequestIsComplete) {
  GrpcClient client(port_);
  const int32_t id = client.Begin("/s/EchoStream", "", false);
  std::string expected;
  for (const char* text : {"ping", "pong"}) {
    client.http2().Send(id, Message(text), false);
    expected += Message(text);
    EXPECT_TRUE(client.RunUntil([&] { return client.exchange(id).data == expected; }));
  }
  EXPECT_FALSE(client.exchange(id).closed());
}

TEST_F(ServerTest, CancelTellsTheHandlerAndDropsItsAnswer) {
  GrpcClient client(port_);
  const int32_t id = client.Begin("/s/Stream", Message("one"), false);
  const CallPtr call = kept_.Take();
  ASSERT_TRUE(call);
  EXPECT_FALSE(call->done());
  client.http2().Reset(id, NGHTTP2_CANCEL);
  ExpectEcho(client.Ask("/s/Echo", "after"), "after");
  EXPECT_TRUE(log_.WaitFor("done"));
  EXPECT_TRUE(call->done());
  call->Reply(Chain("late"));
  ExpectEcho(client.Ask("/s/Echo", "and after that"), "and after that");
  EXPECT_EQ(client.exchange(id).data, "");
}

TEST_F(ServerTest, DeadlineAnswersInTheHandlersPlace) {
  GrpcClient client(port_);
  const auto begin = Call::Clock::now();
  const Exchange& exchange = client.Ask("/s/Keep", "", {{"grpc-timeout", "10m"}});
  EXPECT_GE(Call::Clock::now() - begin, std::chrono::milliseconds(10));
  EXPECT_EQ(exchange.Field("grpc-status"), "4");
  EXPECT_EQ(exchange.Field("grpc-message"), "Deadline Exceeded");
  const CallPtr call = kept_.Take();
  ASSERT_TRUE(call);
  EXPECT_TRUE(call->done());
  call->Reply(Chain("late"));
}

// Either may win; the client gets exactly one whole answer.
TEST_F(ServerTest, AnswersThatRaceWithTheirDeadlinesAreWhole) {
  GrpcClient client(port_);
  std::vector<int32_t> ids;
  for (int i = 0; i < 200; ++i) {
    const std::string timeout = std::to_string(i * 10) + "u";
    ids.push_back(client.Begin("/s/Later", Message("x"), true, {{"grpc-timeout", timeout}}));
  }
  for (const int32_t id : ids) {
    const Exchange& exchange = client.WaitFor(id);
    const bool in_time = exchange.Field("grpc-status") == "0";
    EXPECT_EQ(exchange.Field("grpc-status"), in_time ? "0" : "4");
    EXPECT_EQ(exchange.data, in_time ? Message("x") : "");
  }
}

TEST_F(ServerTest, ManyConnectionsWithManyStreamsAreAllAnswered) {
  constexpr int kConnections = 8;
  constexpr int kStreams = 50;
  std::vector<std::thread> clients;
  for (int c = 0; c < kConnections; ++c) {
    clients.emplace_back([this, c] {
      GrpcClient client(port_);
      std::vector<int32_t> ids;
      const auto text = [c](int i) { return std::to_string(c) + "/" + std::to_string(i); };
      for (int i = 0; i < kStreams; ++i) {
        ids.push_back(client.Begin(i % 2 ? "/s/Later" : "/s/EchoStream", Message(text(i)), true));
      }
      for (int i = 0; i < kStreams; ++i) ExpectEcho(client.WaitFor(ids[i]), text(i));
    });
  }
  for (std::thread& client : clients) client.join();
}

TEST_F(ServerTest, ConnectionLostInTheMiddleOfARequestEndsItsCalls) {
  GrpcClient client(port_);
  client.Begin("/s/Keep", Message(""), true);
  const CallPtr unary = kept_.Take();
  client.Begin("/s/Echo", Message("unfinished").substr(0, 9), false);
  client.Begin("/s/Stream", Message("one") + Message("two").substr(0, 7), false);
  const CallPtr stream = kept_.Take();
  ASSERT_TRUE(unary && stream);
  EXPECT_TRUE(log_.WaitFor("message one"));
  client.Abort();
  EXPECT_TRUE(log_.WaitFor("done"));
  EXPECT_TRUE(stream->done());
  EXPECT_TRUE(Eventually([&] { return unary->done(); }));
  unary->Reply(Chain("to nobody"));
  stream->SendMessage(Chain("to nobody"));
  EXPECT_EQ(log_.lines(), Lines({"message one", "done"}));
}

TEST_F(ServerTest, ConnectionLostInTheMiddleOfAnAnswerFreesIt) {
  GrpcClient client(port_, {.stream_window = 1 << 20});
  const int32_t id = client.Begin("/s/Keep", Message(""), true);
  auto bytes = std::make_shared<const std::string>(32 << 20, 'x');
  const std::weak_ptr<const std::string> owner = bytes;
  ByteChain answer;
  answer.Borrow(*bytes, bytes);
  bytes.reset();
  kept_.Take()->Reply(std::move(answer));
  EXPECT_TRUE(client.RunUntil([&] { return client.exchange(id).data.size() > 100'000; }));
  EXPECT_FALSE(owner.expired());
  client.Abort();
  EXPECT_TRUE(Eventually([&] { return owner.expired(); }));
}

TEST_F(ServerTest, ClientsThatComeAndGoDisturbNobody) {
  GrpcClient steady(port_);
  for (int i = 0; i < 40; ++i) {
    GrpcClient client(port_);
    client.Begin(i % 2 ? "/s/Later" : "/s/EchoStream", Message("x"), i % 4 < 2);
    if (i % 3 != 0) client.Abort();  // else it closes in good order, its answer unread
    if (i % 10 == 0) ExpectEcho(steady.Ask("/s/Later", "steady"), "steady");
  }
  ExpectEcho(steady.Ask("/s/Echo", "still here"), "still here");
}

TEST_F(ServerTest, PeerThatDoesNotSpeakHttp2IsSentAwayAndOthersServed) {
  const UniqueFd stranger = ConnectTo("127.0.0.1:" + std::to_string(port_));
  const std::string request = "GET / HTTP/1.1\r\n\r\n";
  ASSERT_EQ(send(stranger.get(), request.data(), request.size(), 0),
            static_cast<ssize_t>(request.size()));
  std::array<char, 1000> room;
  ssize_t size = 0;
  std::string received;
  while ((size = recv(stranger.get(), room.data(), room.size(), 0)) > 0) {
    received.append(room.data(), static_cast<size_t>(size));
  }
  EXPECT_EQ(size, 0);
  EXPECT_EQ(DecodeFrames(received).at(0).type, NGHTTP2_SETTINGS);
  GrpcClient client(port_);
  ExpectEcho(client.Ask("/s/Echo", "fine"), "fine");
}

TEST(ServerStartTest, TakenPortIsAnErrorThatNamesIt) {
  GrpcServer first({.addresses = {"127.0.0.1:0"}});
  ASSERT_TRUE(first.Start().ok());
  const std::string address = "127.0.0.1:" + std::to_string(first.ports().at(0));
  GrpcServer second({.addresses = {"127.0.0.1:0", address}});
  const Status status = second.Start();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_NE(status.message().find(address), std::string::npos) << status.message();
  EXPECT_TRUE(second.ports().empty());
}

TEST(ServerStartTest, ListensOnSeveralAddressesAtOnce) {
  const std::string path =
      std::filesystem::temp_directory_path() / ("server_test." + std::to_string(getpid()));
  GrpcServer server({.addresses = {"127.0.0.1:0", "unix:" + path, "[::1]:0"}});
  server.AddUnary("/s/Peer", {.handle = [](const CallPtr& call, const ByteBuffer&) {
                    call->Reply(Chain(call->peer()));
                  }});
  ASSERT_TRUE(server.Start().ok());
  const std::vector<int> ports = server.ports();
  ASSERT_EQ(ports.size(), 3u);
  EXPECT_EQ(ports[1], 0);
  const std::pair<std::string, std::string> kCases[] = {
      {"127.0.0.1:" + std::to_string(ports[0]), "ipv4:127.0.0.1:"},
      {"unix:" + path, "unix:"},
      {"[::1]:" + std::to_string(ports[2]), "ipv6:[::1]:"}};
  for (const auto& [address, expected] : kCases) {
    GrpcClient client(ConnectTo(address));
    const Lines messages = SplitMessages(client.Ask("/s/Peer", "").data);
    ASSERT_EQ(messages.size(), 1u);
    EXPECT_EQ(messages[0].substr(0, expected.size()), expected);
  }
}

TEST(ServerStartTest, UnimplementedWithoutAnyMethod) {
  GrpcServer server({.addresses = {"127.0.0.1:0"}});
  ASSERT_TRUE(server.Start().ok());
  GrpcClient client(server.ports().at(0));
  EXPECT_EQ(client.Ask("/s/Echo", "").Field("grpc-status"), "12");
}

}  // namespace
}  // namespace fastserve
