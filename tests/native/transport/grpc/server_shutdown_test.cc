// How a server ends: gracefully, out of patience, or at once.

#include <gtest/gtest.h>

#include <future>
#include <string>
#include <thread>
#include <vector>

#include "transport/grpc/server_harness.h"

namespace fastserve {
namespace {

using Lines = std::vector<std::string>;
using std::chrono::milliseconds;

class ServerShutdownTest : public ServerTest {
 protected:
  std::future<bool> ShutdownWithin(std::chrono::milliseconds grace) {
    return std::async(std::launch::async, [this, grace] { return server_->Shutdown(grace); });
  }
  // Reads the warning and the final GOAWAY.
  static bool SeesDrain(GrpcClient& client) {
    return client.RunUntil([&] { return client.http2().goaways().size() == 2; });
  }
};

TEST_F(ServerShutdownTest, CallInFlightIsAnsweredWithinTheGrace) {
  GrpcClient client(port_);
  const int32_t id = client.Begin("/s/Keep", Message(""), true);
  const CallPtr call = kept_.Take();
  std::future<bool> clean = ShutdownWithin(kPatience);
  EXPECT_TRUE(SeesDrain(client));
  EXPECT_FALSE(call->done());
  call->Reply(Chain("just in time"));
  EXPECT_EQ(SplitMessages(client.WaitFor(id).data), Lines{"just in time"});
  EXPECT_EQ(client.exchange(id).Field("grpc-status"), "0");
  EXPECT_TRUE(client.WaitForEnd());
  client.Abort();
  EXPECT_TRUE(clean.get());
}

TEST_F(ServerShutdownTest, StreamInFlightGoesOnWithinTheGrace) {
  GrpcClient client(port_);
  const int32_t id = client.Begin("/s/EchoStream", Message("before"), false);
  ASSERT_TRUE(client.RunUntil([&] { return client.exchange(id).data == Message("before"); }));
  std::future<bool> clean = ShutdownWithin(kPatience);
  EXPECT_TRUE(SeesDrain(client));
  client.http2().Send(id, Message("after"), true);
  EXPECT_EQ(SplitMessages(client.WaitFor(id).data), Lines({"before", "after"}));
  EXPECT_TRUE(client.WaitForEnd());
  client.Abort();
  EXPECT_TRUE(clean.get());
}

TEST_F(ServerShutdownTest, LargeAnswerIsSentWholeWithinTheGrace) {
  GrpcClient client(port_, {.stream_window = 1 << 20, .max_frame_size = 1 << 20});
  const int32_t id = client.Begin("/s/Keep", Message(""), true);
  const CallPtr call = kept_.Take();
  std::future<bool> clean = ShutdownWithin(kPatience);
  EXPECT_TRUE(SeesDrain(client));
  const std::string large(5 << 20, 'x');
  call->Reply(Chain(large));
  EXPECT_TRUE(client.WaitFor(id).data == Message(large));
  EXPECT_EQ(client.exchange(id).Field("grpc-status"), "0");
  EXPECT_TRUE(client.WaitForEnd());
  client.Abort();
  EXPECT_TRUE(clean.get());
}

TEST_F(ServerShutdownTest, CallUnansweredAfterTheGraceIsCutOff) {
  GrpcClient client(port_);
  const int32_t id = client.Begin("/s/Keep", Message(""), true);
  const CallPtr unary = kept_.Take();
  client.Begin("/s/Stream", "", false);
  const CallPtr stream = kept_.Take();
  EXPECT_FALSE(server_->Shutdown(milliseconds(20)));
  EXPECT_TRUE(unary->done());
  EXPECT_TRUE(stream->done());
  EXPECT_EQ(log_.lines(), Lines{"done"});
  EXPECT_TRUE(client.WaitForEnd());
  EXPECT_EQ(client.exchange(id).data, "");
  unary->Reply(Chain("too late"));
  stream->SendMessage(Chain("too late"));
}

TEST_F(ServerShutdownTest, AnswerThatTheClientDoesNotReadCountsAsCutOff) {
  GrpcClient client(port_);
  client.Begin("/s/Keep", Message(""), true);
  kept_.Take()->Reply(Chain(std::string(1 << 20, 'x')));  // the client's window is smaller
  EXPECT_FALSE(server_->Shutdown(milliseconds(20)));
}

TEST_F(ServerShutdownTest, IdleClientIsToldAndReleased) {
  GrpcClient client(port_);
  client.Ask("/s/Echo", "hello");
  std::future<bool> clean = ShutdownWithin(kPatience);
  EXPECT_TRUE(client.WaitForEnd());
  EXPECT_FALSE(client.http2().goaways().empty());
  client.Abort();
  EXPECT_TRUE(clean.get());
}

TEST_F(ServerShutdownTest, SilentClientHoldsUpTheEndForAWhileOnly) {
  const UniqueFd silent = ConnectTo("127.0.0.1:" + std::to_string(port_));
  const std::string hello = std::string(kPreface) + SettingsFrame();
  ASSERT_EQ(send(silent.get(), hello.data(), hello.size(), 0), static_cast<ssize_t>(hello.size()));
  char byte;
  ASSERT_EQ(recv(silent.get(), &byte, 1, 0), 1);  // so the server knows of it
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(server_->Shutdown(kPatience));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kPatience);
}

TEST_F(ServerShutdownTest, NobodyConnectsAfterwards) {
  EXPECT_TRUE(server_->Shutdown(milliseconds(0)));
  EXPECT_FALSE(ConnectTo("127.0.0.1:" + std::to_string(port_)));
}

TEST_F(ServerShutdownTest, MayBeAskedForTwiceAndByTwoThreads) {
  GrpcClient client(port_);
  client.Begin("/s/Keep", Message(""), true);
  ASSERT_TRUE(kept_.Take());
  std::future<bool> first = ShutdownWithin(milliseconds(20));
  std::future<bool> second = ShutdownWithin(milliseconds(20));
  const bool first_clean = first.get();
  const bool second_clean = second.get();
  EXPECT_NE(first_clean, second_clean) << "one of them cut the call off";
  EXPECT_TRUE(server_->Shutdown(kPatience));
}

TEST_F(ServerShutdownTest, AnswersMayComeWhileAndAfterTheServerGoes) {
  GrpcClient client(port_);
  std::vector<CallPtr> calls;
  for (int i = 0; i < 50; ++i) {
    client.Begin("/s/Keep", Message(""), true);
    calls.push_back(kept_.Take());
  }
  std::thread answering([&] {
    for (const CallPtr& call : calls) call->Reply(Chain("answer"));
  });
  server_.reset();
  answering.join();
  for (const CallPtr& call : calls) EXPECT_TRUE(call->done());
}

TEST_F(ServerShutdownTest, ClientsMayConnectWhileTheServerGoes) {
  std::vector<std::thread> clients;
  std::atomic<int> connected = 0;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      while (const UniqueFd fd = ConnectTo("127.0.0.1:" + std::to_string(port_))) ++connected;
    });
  }
  EXPECT_TRUE(Eventually([&] { return connected >= 20; }));
  EXPECT_TRUE(server_->Shutdown(milliseconds(0)));
  for (std::thread& client : clients) client.join();
}

TEST(ServerLifeTest, ServerThatNeverStartedShutsDown) {
  GrpcServer server({.addresses = {"127.0.0.1:0"}});
  EXPECT_TRUE(server.Shutdown(milliseconds(0)));
}

}  // namespace
}  // namespace fastserve
