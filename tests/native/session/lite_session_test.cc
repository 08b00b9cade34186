#include "session/lite_session.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <thread>

#include "session/test_model.h"

namespace fastserve {
namespace {

// A model of tensors x, y and s in one graph, z in another, and a queue to its interpreters.
class LiteSessionTest : public ::testing::Test {
 protected:
  using Answer = std::function<void(std::unique_ptr<LiteRun>)>;

  TF_Output Place(std::string_view name) const { return *session_.Resolve(name); }

  LiteRun::Outcome Run(const std::vector<std::string_view>& feeds,
                       const std::vector<HostTensor>& values,
                       const std::vector<std::string_view>& fetches) const {
    std::vector<TF_Output> fed;
    std::vector<TF_Output> fetched;
    PooledVector<RuntimeTensor> tensors;
    std::vector<TF_Tensor*> handles;
    for (const std::string_view name : feeds) fed.push_back(Place(name));
    for (const std::string_view name : fetches) fetched.push_back(Place(name));
    for (const HostTensor& value : values) {
      tensors.push_back(*RuntimeTensor::FromHost(TensorFlow(), value));
      handles.push_back(tensors.back().get());
    }
    return session_.Run(fed, handles, fetched);
  }

  // Feeds x, fetches `fetches`, and lets `answer` be the interpreter.
  LiteRun::Outcome RunAnsweredBy(Answer answer, const std::vector<std::string_view>& fetches) {
    std::thread interpreter([&] { answer(queue_->Next()); });
    LiteRun::Outcome outcome = Run({"x"}, {VectorOf<float>(DataType::kFloat, {1, 2, 3})}, fetches);
    interpreter.join();
    return outcome;
  }

  const std::shared_ptr<LiteQueue> queue_ = std::make_shared<LiteQueue>();
  LiteSession session_{TensorFlow(),
                       "signatures",
                       {{"x", DataType::kFloat, 0},
                        {"y", DataType::kFloat, 0},
                        {"s", DataType::kString, 0},
                        {"z", DataType::kFloat, 1}},
                       queue_};
};

TEST_F(LiteSessionTest, AnInterpreterGetsInputsAndGivesOutputs) {
  const std::vector<float> ones = {1, 1};
  const auto outcome = RunAnsweredBy(
      [&](std::unique_ptr<LiteRun> run) {
        EXPECT_EQ(run->graph(), 0);
        EXPECT_EQ(run->outputs(), (std::vector<size_t>{2, 1}));
        ASSERT_EQ(run->inputs().size(), 1u);
        EXPECT_EQ(run->inputs()[0].tensor, 0u);
        EXPECT_EQ(run->inputs()[0].value.dims, (Dims{3}));
        float last = 0;
        std::memcpy(&last, run->inputs()[0].value.data.data() + 2 * sizeof(float), sizeof(last));
        EXPECT_EQ(last, 3);
        HostTensor strings;
        strings.dims = {1, 1};
        strings.strings = {"three"};
        run->Finish({strings, VectorOf(DataType::kFloat, ones)});
      },
      {"s", "y"});
  ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
  ASSERT_EQ(outcome->size(), 2u);
  const HostTensor strings = (*outcome)[0].View();
  EXPECT_EQ(strings.dtype, DataType::kString);
  EXPECT_EQ(strings.dims, (Dims{1, 1}));
  EXPECT_EQ(strings.strings, (std::vector<std::string_view>{"three"}));
  const HostTensor numbers = (*outcome)[1].View();
  EXPECT_EQ(numbers.dtype, DataType::kFloat);
  EXPECT_EQ(numbers.data, VectorOf(DataType::kFloat, ones).data);
}

TEST_F(LiteSessionTest, RunsGoOnAtTheSameTime) {
  // Neither is answered before both are under way.
  std::thread interpreters([&] {
    const auto first = queue_->Next();
    const auto second = queue_->Next();
    for (LiteRun* run : {second.get(), first.get()}) run->Finish({run->inputs()[0].value});
  });
  const auto echo = [&](float value) {
    const std::vector<float> sent = {value};
    const auto outcome = Run({"x"}, {VectorOf(DataType::kFloat, sent)}, {"y"});
    ASSERT_TRUE(outcome.ok());
    EXPECT_EQ((*outcome)[0].View().data, VectorOf(DataType::kFloat, sent).data);
  };
  std::thread other([&] { echo(1); });
  echo(2);
  other.join();
  interpreters.join();
}

TEST_F(LiteSessionTest, AnInterpretersErrorIsTheOutcome) {
  const auto outcome = RunAnsweredBy(
      [](std::unique_ptr<LiteRun> run) {
        run->Fail(Status::Internal("no"));
        run->Fail(Status::Unknown("the first one counts"));
      },
      {"y"});
  EXPECT_EQ(outcome.status().ToString(), "INTERNAL: no");
}

TEST_F(LiteSessionTest, ARunThatIsDroppedFails) {
  const auto outcome = RunAnsweredBy([](std::unique_ptr<LiteRun>) {}, {"y"});
  EXPECT_EQ(outcome.status().ToString(),
            "INTERNAL: The TensorFlow Lite interpreter gave no answer");
}

TEST_F(LiteSessionTest, OutputsThatCannotBeAreRefused) {
  const std::vector<float> two = {1, 2};
  HostTensor square = VectorOf(DataType::kFloat, two);
  square.dims = {2, 2};
  HostTensor negative = VectorOf(DataType::kFloat, two);
  negative.dims = {-2};
  for (const std::vector<HostTensor>& values :
       {std::vector<HostTensor>{square}, {negative}, {HostTensor()}, {}}) {
    const auto outcome =
        RunAnsweredBy([&](std::unique_ptr<LiteRun> run) { run->Finish(values); }, {"y"});
    EXPECT_EQ(outcome.status().code(), StatusCode::kInternal);
  }
}

TEST_F(LiteSessionTest, AnInputOfAnotherDtypeIsRefused) {
  const std::vector<int32_t> numbers = {1};
  EXPECT_EQ(Run({"x"}, {VectorOf(DataType::kInt32, numbers)}, {"y"}).status().ToString(),
            "INVALID_ARGUMENT: Input tensor x is to be float but int32 is provided");
}

TEST_F(LiteSessionTest, ARunStaysWithinOneGraph) {
  const std::vector<float> one = {1};
  const HostTensor value = VectorOf(DataType::kFloat, one);
  EXPECT_EQ(Run({"x"}, {value}, {"y", "z"}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Run({"x", "z"}, {value, value}, {"y"}).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(LiteSessionTest, AnUnknownTensorIsNotFound) {
  EXPECT_EQ(session_.Resolve("w").status().code(), StatusCode::kNotFound);
  EXPECT_NE(Place("x").oper, nullptr);
}

TEST(LiteSessionLifeTest, ItsEndWaitsForTheInterpreters) {
  const auto queue = std::make_shared<LiteQueue>();
  std::atomic<int> freed = 0;
  std::vector<std::thread> interpreters;
  {
    const LiteSession session(TensorFlow(), "", {}, queue);
    for (int i = 0; i < 3; ++i) {
      queue->Enter();
      interpreters.emplace_back([&] {
        EXPECT_EQ(queue->Next(), nullptr);
        ++freed;
        queue->Leave();
      });
    }
  }
  EXPECT_EQ(freed, 3);
  for (std::thread& interpreter : interpreters) interpreter.join();
}

}  // namespace
}  // namespace fastserve
