#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "transport/grpc/grpc_client.h"
#include "transport/grpc/recorded_call.h"
#include "transport/grpc/server.h"

namespace fastserve {

// Threads that run what they are given, so that answers come from elsewhere than the I/O threads.
class Helpers {
 public:
  explicit Helpers(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
  }
  ~Helpers() {
    Post(nullptr);
    for (std::thread& thread : threads_) thread.join();
  }
  void Post(std::function<void()> task) {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    changed_.notify_all();
  }

 private:
  void Run() {
    for (std::unique_lock lock(mutex_);;) {
      changed_.wait(lock, [this] { return !tasks_.empty(); });
      if (tasks_.front() == nullptr) return;
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;  // a null one ends all threads
  std::vector<std::thread> threads_;
};

// Calls that handlers have put aside for the test.
class KeptCalls {
 public:
  void Add(CallPtr call) {
    const std::lock_guard lock(mutex_);
    calls_.push_back(std::move(call));
    changed_.notify_all();
  }
  // The next call, in order of arrival; null when none comes.
  CallPtr Take() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience, [this] { return !calls_.empty(); })) return nullptr;
    CallPtr call = std::move(calls_.front());
    calls_.pop_front();
    return call;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<CallPtr> calls_;
};

// For what nobody tells the test of. False when patience ends.
template <class Condition>
bool Eventually(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

// Sends every message back, from the helpers' threads, and ends when the client has.
class EchoStream : public CallEvents {
 public:
  EchoStream(CallPtr call, Helpers& helpers) : call_(std::move(call)), helpers_(helpers) {}
  void OnMessage(ByteBuffer message) override {
    call_->SendMessage(Chain(message.view()));
    helpers_.Post([call = call_, size = message.size()] { call->MessageConsumed(size); });
  }
  void OnHalfClose() override {
    helpers_.Post([call = call_] { call->Finish({}, {{"said", "bye"}}); });
  }
  void OnDrained() override {}
  void OnDone() override {}

 private:
  const CallPtr call_;
  Helpers& helpers_;
};

// A server on a free port of this machine with a method for each way to answer.
class ServerTest : public ::testing::Test {
 protected:
  virtual GrpcServerOptions Options() const {
    GrpcServerOptions options;
    options.addresses = {"127.0.0.1:0"};
    options.io_threads = 2;
    options.connections.calls.max_message_bytes = 4 << 20;
    return options;
  }

  void SetUp() override {
    server_ = std::make_unique<GrpcServer>(Options());
    server_->AddUnary("/s/Echo", {.handle = [](const CallPtr& call, const ByteBuffer& request) {
                        call->Reply(Chain(request.view()));
                      }});
    server_->AddUnary("/s/Later", {.handle = [this](CallPtr call, ByteBuffer request) {
                        helpers_.Post([call = std::move(call), request = std::move(request)] {
                          call->Reply(Chain(request.view()));
                        });
                      }});
    server_->AddUnary("/s/Keep", {.handle = [this](CallPtr call, const ByteBuffer&) {
                        kept_.Add(std::move(call));
                      }});
    server_->SetFallback([this](const CallPtr& call) { return MakeStream(call); });
    const Status status = server_->Start();
    ASSERT_TRUE(status.ok()) << status.ToString();
    port_ = server_->ports().at(0);
  }

  std::unique_ptr<CallEvents> MakeStream(const CallPtr& call) {
    if (call->path() == "/s/EchoStream") return std::make_unique<EchoStream>(call, helpers_);
    if (call->path() != "/s/Stream") return nullptr;
    kept_.Add(call);
    return std::make_unique<RecordedCall>(log_);
  }

  KeptCalls kept_;
  CallLog log_;
  Helpers helpers_{2};
  std::unique_ptr<GrpcServer> server_;
  int port_ = 0;
};

}  // namespace fastserve
