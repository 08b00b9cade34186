#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "codec/wire_building.h"
#include "serving/server.h"
#include "session/test_model.h"
#include "transport/grpc/grpc_client.h"

// Counts what the server's threads take from the heap for requests, by a malloc() that takes the C
// library's place: for `new`, for nghttp2 and for TensorFlow too.
namespace {

enum class Side { kServer, kClient };
thread_local Side side = Side::kServer;
thread_local int runtime_depth = 0;  // calls of TensorFlow's C API that the thread is in

std::atomic<size_t> taken_by_us{0};
std::atomic<size_t> taken_by_runtime{0};

void* Counted(void* block) {
  if (side == Side::kServer) ++(runtime_depth > 0 ? taken_by_runtime : taken_by_us);
  return block;
}

}  // namespace

#define FASTSERVE_REPLACES extern "C" __attribute__((visibility("default")))

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
}

FASTSERVE_REPLACES void* malloc(size_t size) { return Counted(__libc_malloc(size)); }
FASTSERVE_REPLACES void* calloc(size_t count, size_t size) {
  return Counted(__libc_calloc(count, size));
}
FASTSERVE_REPLACES void* realloc(void* block, size_t size) {
  return Counted(__libc_realloc(block, size));
}
FASTSERVE_REPLACES void* aligned_alloc(size_t alignment, size_t size) {
  return Counted(__libc_memalign(alignment, size));
}
FASTSERVE_REPLACES int posix_memalign(void** block, size_t alignment, size_t size) {
  *block = Counted(__libc_memalign(alignment, size));
  return *block != nullptr ? 0 : ENOMEM;
}

namespace fastserve {
namespace {

// A function of TensorFlow's C API that notes that its thread is inside.
template <auto kFunction>
struct Noted;
template <class Answer, class... Arguments, Answer (*TfApi::*kFunction)(Arguments...)>
struct Noted<kFunction> {
  static Answer Call(Arguments... arguments) {
    struct Inside {
      Inside() { ++runtime_depth; }
      ~Inside() { --runtime_depth; }
    } const inside;
    return (TensorFlow().*kFunction)(arguments...);
  }
};

const TfApi& NotedTensorFlow() {
#define FASTSERVE_NOTED(function) &Noted<&TfApi::function>::Call,
  static const TfApi noted = {FASTSERVE_TF_FUNCTIONS(FASTSERVE_NOTED)};
#undef FASTSERVE_NOTED
  return noted;
}

// A server of half_plus_two, and a client on the test's thread.
class AllocationTest : public ::testing::Test {
 protected:
  static constexpr size_t kRequests = 1'000;

  void SetUp() override {
    side = Side::kClient;
    const Result<ServablePtr> servable = Servable::Load(
        NotedTensorFlow(), "half_plus_two", 1,
        {.directory = ModelDirectory("half_plus_two"), .tags = {"serve"}, .config_proto = ""},
        std::nullopt, nullptr);
    ASSERT_TRUE(servable.ok()) << servable.status().ToString();
    server_.router().Publish(std::make_shared<const RoutingSnapshot>(
        std::vector{*servable}, std::map<std::string, VersionLabels>()));
    const Result<std::vector<int>> ports = server_.Start();
    ASSERT_TRUE(ports.ok()) << ports.status().ToString();
    client_ = std::make_unique<GrpcClient>(ports->at(0));
  }

  // What the server takes from the heap for kRequests requests of so many floats, so many of them
  // at a time, when it has warmed up. The least of some rounds: a thread that loses its core in the
  // middle of runs takes them for dear, and the next requests for the workers', whose way costs
  // more.
  struct Taken {
    size_t by_us;
    size_t by_runtime;
  };
  Taken TakenBy(size_t floats, size_t at_a_time) {
    constexpr int kRounds = 5;
    Ask(floats, at_a_time);
    Taken least{SIZE_MAX, SIZE_MAX};
    for (int i = 0; i < kRounds; ++i) {
      const Taken before{taken_by_us, taken_by_runtime};
      Ask(floats, at_a_time);
      least.by_us = std::min(least.by_us, taken_by_us - before.by_us);
      least.by_runtime = std::min(least.by_runtime, taken_by_runtime - before.by_runtime);
    }
    return least;
  }

 private:
  static ServerOptions Options() {
    ServerOptions options;
    options.grpc.addresses = {"127.0.0.1:0"};
    return options;
  }
  static std::string Request(size_t floats) {
    constexpr int kFloat = 1;
    std::string values;
    for (size_t i = 0; i < floats; ++i) values += Bits({2.0f});
    const std::string tensor =
        TensorHead(kFloat, {static_cast<int64_t>(floats)}) + BytesField(5, values);
    return BytesField(1, BytesField(1, "half_plus_two")) + MapEntryField(2, "x", tensor);
  }

  void Ask(size_t floats, size_t at_a_time) {
    const std::string message = Message(Request(floats));
    for (size_t sent = 0; sent < kRequests; sent += at_a_time) {
      std::vector<int32_t> calls;
      for (size_t i = 0; i < at_a_time; ++i) {
        calls.push_back(client_->Begin("/tensorflow.serving.PredictionService/Predict", message,
                                       true, {{"grpc-timeout", "10S"}}));
      }
      for (const int32_t call : calls) {
        const Exchange& answer = client_->WaitFor(call);
        ASSERT_EQ(answer.Field("grpc-status"), "0") << answer.Field("grpc-message");
        ASSERT_NE(answer.data.find(Bits({3.0f})), std::string::npos);
      }
    }
  }

  Server server_{Options()};
  std::unique_ptr<GrpcClient> client_;
};

// All of ours comes from the BlockPool. TensorFlow 2.21 takes 46 on its own.
TEST_F(AllocationTest, APredictTakesNothingOfOursFromTheHeap) {
  const Taken taken = TakenBy(1, 1);
  EXPECT_EQ(taken.by_us, 0u);
  EXPECT_GT(taken.by_runtime, kRequests) << "the replaced malloc() does not count";
}

TEST_F(AllocationTest, SoDoManyAtOnce) { EXPECT_EQ(TakenBy(1, 50).by_us, 0u); }

// The message is larger than what the pool keeps; the answer's bytes are TensorFlow's.
TEST_F(AllocationTest, ALargeOneTakesItsMessage) { EXPECT_LE(TakenBy(16'384, 1).by_us, kRequests); }

}  // namespace
}  // namespace fastserve
