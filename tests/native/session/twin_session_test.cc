#include "session/twin_session.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "session/test_model.h"

namespace fastserve {
namespace {

namespace fs = std::filesystem;

SavedModelOptions OptionsFor(const std::string& directory) {
  return {.directory = directory, .tags = {"serve"}, .config_proto = ""};
}

std::unique_ptr<TwinSession> Load(const SavedModelOptions& options) {
  Result<std::unique_ptr<Session>> first = Session::LoadSavedModel(TensorFlow(), options);
  EXPECT_TRUE(first.ok()) << first.status().ToString();
  return std::make_unique<TwinSession>(std::move(*first), options);
}

// In a place of the test's own: tests run side by side.
fs::path CopyOfHalfPlusTwo() {
  const std::string test = testing::UnitTest::GetInstance()->current_test_info()->name();
  const fs::path copy = fs::path(testing::TempDir()) / ("TwinSessionTest." + test);
  fs::remove_all(copy);
  fs::copy(ModelDirectory("half_plus_two"), copy, fs::copy_options::recursive);
  return copy;
}

void KeepBusy(const Session& session, uint64_t runs) {
  for (uint64_t i = 0; i < runs; ++i) {
    const auto x = static_cast<float>(i);
    ASSERT_EQ(HalfPlusTwoOf(session, x), x / 2 + 2);
  }
}

bool GetsTwin(const TwinSession& session) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (!session.has_twin() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  return session.has_twin();
}

TEST(TwinSessionTest, AModelThatIsBusyGetsATwinWithTheSameAnswers) {
  const auto session = Load(OptionsFor(ModelDirectory("half_plus_two")));
  KeepBusy(*session, TwinSession::kBusyRuns - 1);
  EXPECT_FALSE(session->has_twin());
  KeepBusy(*session, 1);
  ASSERT_TRUE(GetsTwin(*session));
  KeepBusy(*session, 100);
}

size_t Threads() {
  return static_cast<size_t>(std::distance(fs::directory_iterator("/proc/self/task"), {}));
}

TEST(TwinSessionTest, ATwinIsTheOnlyOne) {
  SavedModelOptions options = OptionsFor(ModelDirectory("half_plus_two"));
  options.twin = true;
  const auto loaded = Session::LoadSavedModel(TensorFlow(), options);
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  const auto& session = dynamic_cast<const TwinSession&>(**loaded);
  KeepBusy(session, TwinSession::kBusyRuns);
  ASSERT_TRUE(GetsTwin(session));
  KeepBusy(session, 1);
  const size_t threads = Threads();
  KeepBusy(session, 4 * TwinSession::kBusyRuns);
  EXPECT_EQ(Threads(), threads);
}

TEST(TwinSessionTest, PlacesThatAreResolvedLaterAreFoundInBoth) {
  const auto session = Load(OptionsFor(ModelDirectory("half_plus_two")));
  ASSERT_TRUE(session->Resolve("serving_default_x").ok());
  KeepBusy(*session, TwinSession::kBusyRuns);
  ASSERT_TRUE(GetsTwin(*session));
  EXPECT_EQ(HalfPlusTwoOf(*session, 4), 4);
  EXPECT_EQ(session->Resolve("none:0").status().code(), StatusCode::kNotFound);
}

TEST(TwinSessionTest, EachKindOfRunHasItsOwnTurnOfTheTwin) {
  auto owner = Load(OptionsFor(ModelDirectory("identity")));
  const TwinSession& session = *owner;
  const TestModel model(std::move(owner));
  const auto right = [&](const std::string& signature, const HostTensor& x) {
    const auto ran = model.Run({{"x", x}}, {"y"}, signature);
    EXPECT_TRUE(ran.ok()) << ran.status().ToString();
    return ran.ok() && (*ran)[0].View().data == x.data && (*ran)[0].View().strings == x.strings;
  };
  const std::vector<std::string> text = {"text", std::string(100, 't')};
  for (uint64_t i = 0; i < TwinSession::kBusyRuns; ++i) ASSERT_TRUE(right("string", Strings(text)));
  ASSERT_TRUE(GetsTwin(session));
  ASSERT_TRUE(right("string", Strings(text)));
  const std::vector<float> number = {1.5f};
  for (uint64_t i = 0; i < 2 * TwinSession::kBusyRuns; ++i) {
    ASSERT_TRUE(right("float32", VectorOf(DataType::kFloat, number)));
  }
}

TEST(TwinSessionTest, RunsThatFailMakeNoModelBusy) {
  auto owner = Load(OptionsFor(ModelDirectory("identity")));
  const TwinSession& session = *owner;
  const TestModel model(std::move(owner));
  for (uint64_t i = 0; i < 2 * TwinSession::kBusyRuns; ++i) {
    ASSERT_FALSE(model.Run({{"x", Strings({"no number"})}}, {"y"}, "float32").ok());
  }
  EXPECT_FALSE(session.has_twin());
}

TEST(TwinSessionTest, RunsGoOnWithoutATwinWhereItCannotBeLoaded) {
  const fs::path copy = CopyOfHalfPlusTwo();
  const auto session = Load(OptionsFor(copy));
  fs::remove_all(copy);
  KeepBusy(*session, 2 * TwinSession::kBusyRuns);
}

TEST(TwinSessionTest, AModelWhoseVariablesAreGoneGetsNone) {
  const fs::path copy = CopyOfHalfPlusTwo();
  const auto session = Load(OptionsFor(copy));
  fs::remove_all(copy / "variables");
  KeepBusy(*session, 4 * TwinSession::kBusyRuns);
  EXPECT_FALSE(session->has_twin());
  fs::remove_all(copy);
}

TEST(TwinSessionTest, AModelMayBeFreedWhileItsTwinIsLoaded) {
  const auto session = Load(OptionsFor(ModelDirectory("half_plus_two")));
  KeepBusy(*session, TwinSession::kBusyRuns);
}

TEST(TwinSessionTest, ManyThreadsGetRightAnswersWhileTheTwinTakesOver) {
  const auto session = Load(OptionsFor(ModelDirectory("half_plus_two")));
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!session->has_twin()) KeepBusy(*session, 50);
      KeepBusy(*session, 200);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(TwinSessionTest, SmallModelsWithoutStateMayHaveOne) {
  const SavedModelOptions options = OptionsFor(ModelDirectory("half_plus_two"));
  const TestModel model("half_plus_two");
  EXPECT_TRUE(TwinSession::MayHelp(model.session(), options));
  const fs::path large = fs::path(testing::TempDir()) / "twin_session_test_large";
  fs::create_directories(large);
  std::FILE* file = std::fopen((large / "variables").c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fclose(file);
  fs::resize_file(large / "variables", 65 << 20);
  EXPECT_FALSE(TwinSession::MayHelp(model.session(), OptionsFor(large)));
  fs::remove_all(large);
}

TEST(OneThreadCostTest, SuitsRunsThatTheLeastCostOfLateSaysAreShort) {
  OneThreadCost cost;
  for (int i = 0; i < 16; ++i) cost.Record(i % 2 ? 1e4 : 1e8, 10);
  EXPECT_TRUE(cost.Suits(10));
  EXPECT_TRUE(cost.Suits(1000));
  EXPECT_FALSE(cost.Suits(10'000)) << "ten times as many elements as two milliseconds are worth";
}

TEST(OneThreadCostTest, NoticesThatRunsHaveBecomeLonger) {
  OneThreadCost cost;
  for (int i = 0; i < 100; ++i) cost.Record(1e4, 10);
  EXPECT_TRUE(cost.Suits(10));
  for (int i = 0; i < 1000; ++i) cost.Record(1e7, 10);
  EXPECT_FALSE(cost.Suits(10));
}

}  // namespace
}  // namespace fastserve
