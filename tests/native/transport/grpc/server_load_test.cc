// What all connections of a server may hold together.

#include "transport/grpc/server_load.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "transport/grpc/server_harness.h"

namespace fastserve {
namespace {

using Lines = std::vector<std::string>;

constexpr size_t kRequests = 4;
constexpr size_t kBytes = 4 << 20;
constexpr size_t kWindow = 1 << 20;  // of a connection

class ServerLoadTest : public ServerTest {
 protected:
  GrpcServerOptions Options() const override {
    GrpcServerOptions options = ServerTest::Options();
    options.load = {.requests = kRequests, .bytes = kBytes};
    options.connections.http2.connection_window = kWindow;
    return options;
  }
  // Makes the server keep an answer for a client that gives no credit.
  void LeaveAnswer(GrpcClient& client, size_t bytes) {
    const int32_t id = client.Begin("/s/Keep", Message(""), true);
    kept_.Take()->Reply(Chain(std::string(bytes, 'x')));
    ASSERT_TRUE(client.RunUntil([&] { return !client.exchange(id).data.empty(); }));
  }
};

void ExpectRefused(const Exchange& exchange, const std::string& what) {
  EXPECT_EQ(exchange.Field("grpc-status"), "8");
  EXPECT_EQ(exchange.Field("grpc-message"),
            "The server has all the " + what + " in flight that it takes (" +
                std::to_string(what == "bytes" ? kBytes : kRequests) + "); try again later");
}

bool IsEchoed(GrpcClient& client) {
  return client.Ask("/s/Echo", "hello").Field("grpc-status") == "0";
}

TEST_F(ServerLoadTest, RequestsBeyondThoseOfAllConnectionsAreRefusedUntilOneIsAnswered) {
  GrpcClient one(port_), other(port_);
  std::vector<CallPtr> calls;
  for (size_t i = 0; i < kRequests; ++i) {
    (i % 2 ? one : other).Begin("/s/Keep", Message(""), true);
    calls.push_back(kept_.Take());
    ASSERT_TRUE(calls.back());
  }
  ExpectRefused(one.Ask("/s/Echo", "one too many"), "requests");
  ExpectRefused(other.Ask("/s/Echo", "one too many"), "requests");
  calls.back()->Reply({});
  EXPECT_TRUE(Eventually([&] { return IsEchoed(one); }));
}

TEST_F(ServerLoadTest, RequestsOfAClientThatGoesAreCountedNoLonger) {
  GrpcClient other(port_);
  {
    GrpcClient one(port_);
    for (size_t i = 0; i < kRequests; ++i) {
      one.Begin("/s/Keep", Message(""), true);
      ASSERT_TRUE(kept_.Take());
    }
    ExpectRefused(other.Ask("/s/Echo", "one too many"), "requests");
    one.Abort();
  }
  EXPECT_TRUE(Eventually([&] { return IsEchoed(other); }));
}

TEST_F(ServerLoadTest, CallsThatOthersAnswerAreNotCounted) {
  GrpcClient client(port_);
  for (size_t i = 0; i < 2 * kRequests; ++i) {
    client.Begin("/s/Stream", "", false);
    ASSERT_TRUE(kept_.Take());
  }
  EXPECT_TRUE(IsEchoed(client));
}

TEST_F(ServerLoadTest, AnswersThatAreNotTakenCountUntilTheirClientGoes) {
  GrpcClient reader(port_, {.gives_credit = false}), other(port_);
  LeaveAnswer(reader, kBytes + 100'000);
  ExpectRefused(other.Ask("/s/Echo", "too much"), "bytes");
  reader.Abort();
  EXPECT_TRUE(Eventually([&] { return IsEchoed(other); }));
}

TEST_F(ServerLoadTest, ClientIsSlowedDownAboveHalfOfTheBytesAndServedAllTheSame) {
  GrpcClient reader(port_, {.gives_credit = false}), other(port_);
  LeaveAnswer(reader, kBytes / 2 + 100'000);
  const std::string text(kWindow + 500'000, 'y');
  EXPECT_EQ(SplitMessages(other.Ask("/s/Echo", text).data), Lines{text});
}

TEST_F(ServerLoadTest, RequestThatWaitsTooLongForCreditIsRefused) {
  GrpcClient reader(port_, {.gives_credit = false}), other(port_);
  ASSERT_TRUE(IsEchoed(other));  // and it knows its windows
  const std::string message = Message(std::string(kWindow + 500'000, 'x'));
  const int32_t id = other.Begin("/s/Echo", message.substr(0, 10), false);
  ASSERT_TRUE(IsEchoed(other));  // and the server has taken the call
  LeaveAnswer(reader, kBytes + 100'000);
  other.http2().Send(id, message.substr(10), true);
  ASSERT_TRUE(other.RunUntil([&] { return other.exchange(id).ended; }));
  ExpectRefused(other.exchange(id), "bytes");
  reader.Abort();
  EXPECT_TRUE(Eventually([&] { return IsEchoed(other); }));
}

TEST(LoadShareTest, WhatIsNotPublishedCountsForItsOwnConnectionOnly) {
  ServerLoad load({.requests = 10, .bytes = 100});
  LoadShare one(load);
  {
    LoadShare other(load);
    one.AddRequest();
    one.AddBytes(30);
    EXPECT_EQ(one.all_requests(), 1u);
    EXPECT_EQ(other.all_requests(), 0u);
    one.Publish();
    one.DropBytes(20);
    other.AddBytes(5);
    EXPECT_EQ(one.all_bytes(), 10u);
    EXPECT_EQ(other.all_bytes(), 35u);
    one.Publish();
    other.Publish();
    EXPECT_EQ(load.bytes(), 15u);
  }
  EXPECT_EQ(load.bytes(), 10u);
  EXPECT_EQ(load.requests(), 1u);
}

}  // namespace
}  // namespace fastserve
