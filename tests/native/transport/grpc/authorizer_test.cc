// Calls that are refused by their headers, over a socket.

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "metrics/metrics.h"
#include "transport/grpc/grpc_client.h"
#include "transport/grpc/recorded_call.h"
#include "transport/grpc/server.h"

namespace fastserve {
namespace {

using Asked = std::vector<std::pair<std::string, std::string>>;

// Answers those alone whose `authorization` is "let me in", and everything below /open/.
class AuthorizerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    GrpcServerOptions options;
    options.addresses = {"127.0.0.1:0"};
    server_ = std::make_unique<GrpcServer>(options);
    server_->AddUnary("/s/Echo", {.handle = [this](const CallPtr& call, const ByteBuffer& request) {
                        ++handled_;
                        call->Reply(Chain(request.view()));
                      }});
    server_->SetFallback([this](const CallPtr& call) -> std::unique_ptr<CallEvents> {
      ++handled_;
      {
        const std::lock_guard lock(mutex_);
        metadata_ = call->metadata();
      }
      call->Finish({}, {});
      return std::make_unique<RecordedCall>(log_);
    });
    server_->SetAuthorizer([this](std::string_view path, std::string_view authorization) -> Status {
      const std::lock_guard lock(mutex_);
      asked_.emplace_back(path, authorization);
      if (authorization == "let me in" || path.starts_with("/open/")) return {};
      return {StatusCode::kUnauthenticated, "not you"};
    });
    ASSERT_TRUE(server_->Start().ok());
    client_.emplace(server_->ports().at(0));
  }

  void ExpectRefused(const Exchange& exchange) {
    EXPECT_EQ(exchange.data, "");
    EXPECT_EQ(exchange.Field(":status"), "200");
    EXPECT_EQ(exchange.Field("grpc-status"), "16");
    EXPECT_EQ(exchange.Field("grpc-message"), "not you");
    EXPECT_EQ(handled_, 0);
  }
  Asked asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }
  static uint64_t Refusals() {
    uint64_t count = 0;
    for (const auto& [series, totals] : Metrics::Instance().Read().requests) {
      if (series.code == StatusCode::kUnauthenticated) count += totals.latency.count();
    }
    return count;
  }

  std::atomic<int> handled_ = 0;
  std::mutex mutex_;
  Asked asked_;
  Metadata metadata_;
  CallLog log_;
  std::unique_ptr<GrpcServer> server_;
  std::optional<GrpcClient> client_;
};

TEST_F(AuthorizerTest, EveryMethodIsAskedForAndItsHandlerComesAfter) {
  const Fields fields = {{"authorization", "let me in"}};
  EXPECT_EQ(client_->Ask("/s/Echo", "hello", fields).Field("grpc-status"), "0");
  EXPECT_EQ(client_->Ask("/s/Stream", "hello", fields).Field("grpc-status"), "0");
  EXPECT_EQ(client_->Ask("/open/Method", "hello").Field("grpc-status"), "0");
  EXPECT_EQ(handled_, 3);
  EXPECT_EQ(asked(),
            (Asked{{"/s/Echo", "let me in"}, {"/s/Stream", "let me in"}, {"/open/Method", ""}}));
}

TEST_F(AuthorizerTest, RefusedCallReachesNoHandlerAndTheConnectionGoesOn) {
  const uint64_t before = Refusals();
  ExpectRefused(client_->Ask("/s/Echo", "hello"));
  ExpectRefused(client_->Ask("/s/Stream", "hello", {{"authorization", "please"}}));
  EXPECT_EQ(Refusals(), before + 2);
  const Exchange& next = client_->Ask("/s/Echo", "me", {{"authorization", "let me in"}});
  EXPECT_EQ(SplitMessages(next.data), std::vector<std::string>{"me"});
}

TEST_F(AuthorizerTest, RefusalDoesNotWaitForTheBody) {
  for (const char* path : {"/s/Echo", "/s/Stream"}) {
    const int32_t id = client_->Begin(path, "", false);
    EXPECT_TRUE(
        client_->RunUntil([&] { return client_->exchange(id).Field("grpc-status") == "16"; }));
    client_->http2().Send(id, Message(std::string(1 << 20, 'x')), true);
    ExpectRefused(client_->WaitFor(id));
  }
}

TEST_F(AuthorizerTest, SeveralValuesAreJoined) {
  client_->Ask("/s/Echo", "", {{"authorization", "one"}, {"authorization", "two"}});
  EXPECT_EQ(asked(), (Asked{{"/s/Echo", "one, two"}}));
}

TEST_F(AuthorizerTest, SecretDoesNotReachTheHandler) {
  client_->Ask("/s/Stream", "", {{"authorization", "let me in"}, {"custom", "value"}});
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(metadata_, (Metadata{{"custom", "value"}}));
}

TEST_F(AuthorizerTest, WhatIsNoGrpcIsNotAskedFor) {
  const int32_t id = client_->http2().Request(
      {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "localhost"}});
  client_->http2().Send(id, "", true);
  EXPECT_EQ(client_->WaitFor(id).Field(":status"), "405");
  EXPECT_TRUE(asked().empty());
}

}  // namespace
}  // namespace fastserve
