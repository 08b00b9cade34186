#include "metrics/request_trace.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "metrics/metrics.h"
#include "metrics/request_record.h"

namespace fastserve {
namespace {

const std::string kIds = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
const std::string kTraced = "00-" + kIds + "-01";
const std::string kUntraced = "00-" + kIds + "-00";

TEST(TracedByParent, IsTheLowestBitOfTheFlags) {
  EXPECT_EQ(TracedByParent(kTraced), true);
  EXPECT_EQ(TracedByParent(kUntraced), false);
  EXPECT_EQ(TracedByParent("00-" + kIds + "-ff"), true);
  EXPECT_EQ(TracedByParent("00-" + kIds + "-f2"), false);
  EXPECT_EQ(TracedByParent("cc-" + kIds + "-01"), true) << "a later version";
  EXPECT_EQ(TracedByParent("cc-" + kIds + "-01-more"), true);
}

TEST(TracedByParent, IsNothingOfAMalformedHeader) {
  for (const std::string& header : std::vector<std::string>{
           "",
           kTraced.substr(1),
           kTraced + "-",
           "ff-" + kIds + "-01",
           "0x-" + kIds + "-01",
           "cc-" + kIds + "-01.more",
           "00-" + kIds + "-0x",
           "00_" + kIds + "-01",
           "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
           "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
       }) {
    EXPECT_EQ(TracedByParent(header), std::nullopt) << header;
  }
}

TEST(RequestTrace, OfAStageCountsTheFirstBeginAndTheLastEnd) {
  RequestTrace trace;
  EXPECT_EQ(trace.Read(Stage::kRun).begun, 0);
  const auto tick = [] {
    const auto begun = RequestTrace::Clock::now();
    while (RequestTrace::Clock::now() == begun) std::this_thread::yield();
  };
  trace.Begin(Stage::kRun);
  const int64_t begun = trace.Read(Stage::kRun).begun;
  tick();
  trace.Begin(Stage::kRun);
  EXPECT_EQ(trace.Read(Stage::kRun).begun, begun);
  EXPECT_EQ(trace.Read(Stage::kRun).ended, 0);
  tick();
  trace.End(Stage::kRun);
  const int64_t ended = trace.Read(Stage::kRun).ended;
  EXPECT_GT(ended, begun);
  tick();
  { const TimedStage again(&trace, Stage::kRun); }
  EXPECT_GT(trace.Read(Stage::kRun).ended, ended);
  EXPECT_EQ(trace.Read(Stage::kQueue).begun, 0);
}

// The queue is one for the process; a test leaves it on, with a ratio of 0.
class TraceQueueTest : public ::testing::Test {
 protected:
  void SetUp() override { Enable(0); }
  void TearDown() override { Enable(0); }

  static void Enable(double ratio) { Metrics::Instance().traces().Enable(ratio); }
  // The traces that a request with that header leaves.
  static auto Traces(Protocol protocol, const std::string& traceparent) {
    RequestRecord record;
    record.Start(protocol, "unix:");
    if (!traceparent.empty()) record.TraceContext(traceparent);
    if (protocol == Protocol::kRest) record.Trace();
    record.Received(10);
    record.Ask(ApiMethod::kPredict, "traced");
    record.End(StatusCode::kNotFound, 0);
    return Metrics::Instance().traces().Take({});
  }
};

TEST_F(TraceQueueTest, HasWhatItsClientWantsTraced) {
  const auto traces = Traces(Protocol::kGrpc, kTraced);
  ASSERT_EQ(traces.size(), 1u);
  EXPECT_EQ(traces[0]->ended.traceparent, kTraced);
  EXPECT_EQ(traces[0]->ended.model, "traced");
  EXPECT_EQ(traces[0]->ended.outcome.code, StatusCode::kNotFound);
  const RequestTrace::Interval whole = traces[0]->Read(Stage::kRequest);
  const RequestTrace::Interval receipt = traces[0]->Read(Stage::kReceive);
  EXPECT_GT(whole.begun, 0);
  EXPECT_LE(whole.begun, receipt.begun);
  EXPECT_LE(receipt.begun, receipt.ended);
  EXPECT_LE(receipt.ended, whole.ended);
  EXPECT_TRUE(Traces(Protocol::kGrpc, "").empty());
  EXPECT_TRUE(Traces(Protocol::kGrpc, "not a traceparent").empty());
}

TEST_F(TraceQueueTest, OfTheOthersHasAShare) {
  Enable(1);
  EXPECT_EQ(Traces(Protocol::kGrpc, "").size(), 1u);
  EXPECT_EQ(Traces(Protocol::kGrpc, "not a traceparent").size(), 1u);
  EXPECT_TRUE(Traces(Protocol::kGrpc, kUntraced).empty()) << "its client wants it not to be";
}

TEST_F(TraceQueueTest, HasNoneOverRest) {
  Enable(1);
  EXPECT_TRUE(Traces(Protocol::kRest, "").empty());
}

TEST(AccessLog, HasRequestsOverGrpcAlone) {
  ReportQueue<EndedRequest>& log = Metrics::Instance().access_log();
  log.Enable();
  for (const Protocol protocol : {Protocol::kRest, Protocol::kGrpc}) {
    RequestRecord record;
    record.Start(protocol, {});
    record.End(StatusCode::kOk, 0);
  }
  const auto logged = log.Take({});
  ASSERT_EQ(logged.size(), 1u);
  EXPECT_EQ(logged[0].outcome.protocol, Protocol::kGrpc);
}

}  // namespace
}  // namespace fastserve
