#include "serving/batcher.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "serving/run_task.h"
#include "serving/with_model/load_servable.h"

namespace fastserve {
namespace {

// A request for half_plus_two: y = x / 2 + 2, row by row.
class HalfPlusTwo final : public RunTask {
 public:
  HalfPlusTwo(ServablePtr servable, std::vector<float> x)
      : servable_(std::move(servable)),
        x_(std::move(x)),
        subject_{{servable_->FindSignature("")}, x_.size() * sizeof(float), ApiMethod::kPredict} {}

  // The answer, or what went wrong.
  std::future<Result<std::vector<float>>> outcome() { return outcome_.get_future(); }

  const Servable& servable() const override { return *servable_; }
  std::optional<Clock::time_point> deadline() const override { return std::nullopt; }
  bool abandoned() const override { return gone; }
  const RunSubject& subject() const override { return subject_; }
  Result<RunRequest> Prepare() override {
    const BoundSignature& bound = subject_.first();
    RunRequest request;
    request.feeds.push_back(bound.feeds[0]);
    request.fetches.push_back(bound.fetches[0]);
    request.inputs.push_back(VectorOf(DataType::kFloat, x_));
    return request;
  }
  void Finish(Result<RunOutputs> ran) override {
    if (!ran.ok()) return outcome_.set_value(ran.status());
    const ByteView bytes = ran->tensors[0].data;
    std::vector<float> y(bytes.size() / sizeof(float));
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(y.data()));
    outcome_.set_value(std::move(y));
  }

  std::atomic<bool> gone = false;

 private:
  const ServablePtr servable_;
  const std::vector<float> x_;
  const RunSubject subject_;
  std::promise<Result<std::vector<float>>> outcome_;
};

struct Batched {
  explicit Batched(BatchingOptions options, int threads = 2)
      : policy(std::make_shared<BatchPolicy>(BatchPolicy::Options{{"", std::move(options)}})),
        scheduler(std::make_shared<BatchScheduler>(threads, "test")) {
    Result<ServablePtr> loaded = Servable::Load(
        TensorFlow(), "half_plus_two", 1,
        {.directory = ModelDirectory("half_plus_two"), .tags = {"serve"}, .config_proto = ""},
        Batching{policy, scheduler}, nullptr);
    EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
    servable = *loaded;
  }

  std::shared_ptr<HalfPlusTwo> Submit(std::vector<float> x) {
    auto task = std::make_shared<HalfPlusTwo>(servable, std::move(x));
    outcomes.push_back(task->outcome());
    Enqueue(task);
    return task;
  }

  std::shared_ptr<BatchPolicy> policy;
  std::shared_ptr<BatchScheduler> scheduler;
  ServablePtr servable;
  std::vector<std::future<Result<std::vector<float>>>> outcomes;
};

TEST(BatcherTest, EachRequestGetsItsOwnRows) {
  Batched batched({.max_batch_size = 6, .batch_timeout = std::chrono::hours(1)});
  batched.Submit({0});
  batched.Submit({2, 4});
  batched.Submit({6, 8, 10});
  EXPECT_EQ(*batched.outcomes[0].get(), (std::vector<float>{2}));
  EXPECT_EQ(*batched.outcomes[1].get(), (std::vector<float>{3, 4}));
  EXPECT_EQ(*batched.outcomes[2].get(), (std::vector<float>{5, 6, 7}));
}

TEST(BatcherTest, TheRowsOfACutRequestComeInOrder) {
  Batched batched(
      {.max_batch_size = 100, .enable_large_batch_splitting = true, .max_execution_batch_size = 3});
  batched.Submit({0, 2, 4, 6, 8, 10, 12, 14});
  EXPECT_EQ(*batched.outcomes[0].get(), (std::vector<float>{2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(BatcherTest, NewOptionsHoldForWhatComesAndOldOnesForWhatWaits) {
  Batched batched({.max_batch_size = 2, .batch_timeout = std::chrono::hours(1)});
  batched.Submit({0});
  ASSERT_TRUE(batched.policy->Set({{"", {.max_batch_size = 1}}}).ok());
  batched.Submit({2});
  EXPECT_EQ(*batched.outcomes[1].get(), (std::vector<float>{3}));
  batched.Submit({4, 6});
  EXPECT_EQ(batched.outcomes[2].get().status().message(),
            "Task size 2 is larger than maximum input batch size 1");
  batched.scheduler->StopWaiting();
  EXPECT_EQ(*batched.outcomes[0].get(), (std::vector<float>{2}));
  EXPECT_EQ(batched.policy->Set({{"", {.max_batch_size = 0}}}).code(),
            StatusCode::kInvalidArgument);
}

TEST(BatcherTest, AnAbandonedRequestIsNotRun) {
  Batched batched({.max_batch_size = 2, .batch_timeout = std::chrono::hours(1)});
  batched.Submit({0})->gone = true;
  batched.Submit({2});
  EXPECT_EQ(batched.outcomes[0].get().status().code(), StatusCode::kCancelled);
  EXPECT_EQ(*batched.outcomes[1].get(), (std::vector<float>{3}));
}

TEST(BatcherTest, ManyThreadsGetTheirOwnAnswersWhileOptionsChange) {
  Batched batched({.max_batch_size = 8, .max_enqueued_batches = 1000});
  std::vector<std::thread> clients;
  for (int client = 0; client < 4; ++client) {
    clients.emplace_back([&, client] {
      for (int n = 0; n < 300; ++n) {
        const float x = static_cast<float>(client * 1000 + n);
        const auto task =
            std::make_shared<HalfPlusTwo>(batched.servable, std::vector<float>(1 + n % 3, x));
        auto outcome = task->outcome();
        Enqueue(task);
        task->gone = n % 7 == 0;  // maybe in time
        const Result<std::vector<float>> y = outcome.get();
        if (y.ok()) {
          EXPECT_EQ(*y, std::vector<float>(1 + n % 3, x / 2 + 2));
        } else {
          EXPECT_TRUE(task->gone) << y.status().ToString();
        }
      }
    });
  }
  for (int64_t n = 0; n < 50; ++n) {
    EXPECT_TRUE(
        batched.policy->Set({{"", {.max_batch_size = 3 + n, .max_enqueued_batches = 1000}}}).ok());
  }
  for (std::thread& client : clients) client.join();
}

}  // namespace
}  // namespace fastserve
