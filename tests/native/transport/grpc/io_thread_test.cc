#include "transport/grpc/io_thread.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <future>
#include <string>
#include <vector>

#include "transport/grpc/grpc_client.h"
#include "transport/grpc/recorded_call.h"

namespace fastserve {
namespace {

// Finishes every call that was begun once its own request ends.
class FinishAll : public CallEvents {
 public:
  explicit FinishAll(const std::vector<CallPtr>& calls) : calls_(calls) {}
  void OnMessage(ByteBuffer) override {}
  void OnHalfClose() override {
    // Backslashes, for which Huffman codes are too long to be used.
    const Status status = Status::Internal(std::string(1024, '\\'));
    for (const CallPtr& call : calls_) call->Finish(status, {});
  }
  void OnDrained() override {}
  void OnDone() override {}

 private:
  const std::vector<CallPtr>& calls_;
};

UniqueFd MakeServerEnd(UniqueFd* client) {
  std::array<int, 2> fds;
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()), 0);
  *client = UniqueFd(fds[0]);
  const int room = 8 << 20;  // as much as the machine allows, so that writing is not interrupted
  setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
  return UniqueFd(fds[1]);
}

// More than a connection writes in one turn: the drain ended in mid-answer when the socket had
// taken all of that, for nothing was left in the output at that moment.
TEST(IoThreadTest, DrainSendsAllAnswersHoweverManyThereAreInATurn) {
  constexpr int kCalls = 4096;
  std::vector<CallPtr> calls;  // the loop's until the thread is joined
  MethodTable methods;
  const ConnectionOptions options;
  methods.fallback = [&](CallPtr call) {
    calls.push_back(std::move(call));
    return std::make_unique<FinishAll>(calls);
  };
  methods.methods["/s/Hello"] = {
      .handle = [](const CallPtr& call, const ByteBuffer&) { call->Reply({}); }};
  ServerLoad load;
  ConnectionGate gate;
  auto thread = *IoThread::Start(methods, options, load, gate, 0);
  UniqueFd client_fd;
  gate.Enter();
  thread->Adopt(MakeServerEnd(&client_fd), nullptr, "unix:");
  GrpcClient client(std::move(client_fd));
  client.Ask("/s/Hello", "");  // from now on it knows how many streams it may open
  std::vector<int32_t> ids;
  for (int i = 0; i < kCalls; ++i) ids.push_back(client.Begin("/s/m", "", false));
  thread->StartDrain();
  ASSERT_TRUE(client.RunUntil([&] { return client.http2().goaways().size() == 2; }));
  client.http2().Send(ids.back(), "", true);
  EXPECT_TRUE(client.WaitForEnd());
  int answered = 0;
  for (const int32_t id : ids) answered += client.exchange(id).Field("grpc-status") == "13";
  EXPECT_EQ(answered, kCalls);
  EXPECT_EQ(thread->CutOff(), 0u);
}

// A busy client has a dozen calls run that take all of a turn each; another, which asks while the
// first of them runs, is answered among them.
TEST(IoThreadTest, ClientOfOneCallDoesNotWaitForAllCallsOfAnother) {
  constexpr int kCalls = 12;
  std::string order;  // the loop's until the thread is joined
  GrpcClient* modest = nullptr;
  MethodTable methods;
  const ConnectionOptions options;
  methods.methods["/s/Long"] = {.handle = [&](const CallPtr& call, const ByteBuffer&) {
    if (order.empty()) modest->Begin("/s/Short", Message(""), true);
    order += 'L';
    OutlastTurn();
    call->Reply({});
  }};
  methods.methods["/s/Short"] = {.handle = [&](const CallPtr& call, const ByteBuffer&) {
    order += 's';
    call->Reply({});
  }};
  ServerLoad load;
  ConnectionGate gate;
  auto thread = *IoThread::Start(methods, options, load, gate, 0);
  const auto connect = [&] {
    UniqueFd fd;
    gate.Enter();
    thread->Adopt(MakeServerEnd(&fd), nullptr, "unix:");
    return fd;
  };
  GrpcClient other(connect());
  modest = &other;
  GrpcClient busy(connect());
  for (int i = 0; i < kCalls; ++i) {
    busy.http2().Send(busy.http2().Request(CallFields("/s/Long")), Message(""), true);
  }
  EXPECT_TRUE(busy.RunUntil([&] { return busy.exchange(2 * kCalls - 1).closed(); }));
  thread->CutOff();
  EXPECT_EQ(std::count(order.begin(), order.end(), 'L'), kCalls);
  EXPECT_LE(order.find('s'), 2u) << order;
}

TEST(IoThreadTest, CutOffCountsTheCallsThatWereNotAnswered) {
  std::promise<void> three_came;
  MethodTable methods;
  const ConnectionOptions options;
  std::vector<CallPtr> calls;
  methods.methods["/s/m"] = {.handle = [&](CallPtr call, const ByteBuffer&) {
    calls.push_back(std::move(call));
    if (calls.size() == 3) three_came.set_value();
  }};
  ServerLoad load;
  ConnectionGate gate;
  auto thread = *IoThread::Start(methods, options, load, gate, 0);
  UniqueFd client_fd;
  gate.Enter();
  thread->Adopt(MakeServerEnd(&client_fd), nullptr, "unix:");
  EXPECT_EQ(thread->connections(), 1u);
  EXPECT_FALSE(gate.WaitEmpty(std::chrono::steady_clock::now()));
  GrpcClient client(std::move(client_fd));
  for (int i = 0; i < 3; ++i) client.Begin("/s/m", Message(""), true);
  ASSERT_EQ(three_came.get_future().wait_for(kPatience), std::future_status::ready);
  EXPECT_EQ(thread->CutOff(), 3u);
  EXPECT_EQ(thread->connections(), 0u);
  EXPECT_TRUE(gate.WaitEmpty(std::chrono::steady_clock::now()));
  for (const CallPtr& call : calls) EXPECT_TRUE(call->done());
}

}  // namespace
}  // namespace fastserve
