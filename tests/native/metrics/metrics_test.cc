#include "metrics/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "metrics/request_record.h"

namespace fastserve {
namespace {

// Metrics are one for the process, so every test has models of its own.
uint64_t CountOf(const MetricsSnapshot::Rows<RequestSeries, RequestTotals>& rows,
                 const std::string& model, const std::string& version, StatusCode code) {
  uint64_t count = 0;
  for (const auto& [series, totals] : rows) {
    if (series.model == model && series.version == version && series.code == code) {
      count += totals.latency.count();
    }
  }
  return count;
}

void Answer(const SignatureMetricsPtr& signature, StatusCode code) {
  RequestRecord record;
  record.Start(Protocol::kGrpc, "unix:");
  record.Received(10);
  record.Ask(ApiMethod::kPredict, "ignored");
  record.Route(signature);
  record.End(code, 20);
  record.End(StatusCode::kInternal, 20);
}

TEST(RequestRecord, CountsARoutedRequestOnceByItsFirstOutcome) {
  const auto signature = std::make_shared<SignatureMetrics>("routed", 7, "s");
  Answer(signature, StatusCode::kOk);
  const MetricsSnapshot read = Metrics::Instance().Read();
  EXPECT_EQ(CountOf(read.requests, "routed", "7", StatusCode::kOk), 1u);
  EXPECT_EQ(CountOf(read.requests, "routed", "7", StatusCode::kInternal), 0u);
  const auto found = std::find_if(read.requests.begin(), read.requests.end(),
                                  [](const auto& row) { return row.first.model == "routed"; });
  EXPECT_EQ(found->first.signature, "s");
  EXPECT_EQ(found->second.bytes_in, 10u);
  EXPECT_EQ(found->second.bytes_out, 20u);
}

TEST(RequestRecord, CountsWhatFoundNoSignatureByItsModel) {
  {
    RequestRecord record;
    record.Start(Protocol::kRest, {});
    record.Ask(ApiMethod::kRegress, "unrouted");
    record.End(StatusCode::kNotFound, 0);
  }
  const MetricsSnapshot read = Metrics::Instance().Read();
  EXPECT_EQ(CountOf(read.requests, "unrouted", "", StatusCode::kNotFound), 1u);
}

TEST(RequestRecord, ThatIsDroppedCountsAsCancelledAndACodeThatIsNoneAsUnknown) {
  const auto signature = std::make_shared<SignatureMetrics>("dropped", 1, "s");
  {
    RequestRecord record;
    record.Start(Protocol::kGrpc, {});
    record.Route(signature);
    EXPECT_GT(Metrics::Instance().Read().in_flight[0], 0);
  }
  Answer(signature, static_cast<StatusCode>(99));
  const MetricsSnapshot read = Metrics::Instance().Read();
  EXPECT_EQ(CountOf(read.requests, "dropped", "1", StatusCode::kCancelled), 1u);
  EXPECT_EQ(CountOf(read.requests, "dropped", "1", StatusCode::kUnknown), 1u);
  EXPECT_EQ(read.in_flight[0], 0);
}

TEST(Metrics, WhatAVersionHasCountedStaysInTheTotalsOfItsModel) {
  for (int64_t version : {1, 2}) {
    const auto signature = std::make_shared<SignatureMetrics>("retired", version, "s");
    Answer(signature, StatusCode::kOk);
    signature->RecordRun(ApiMethod::kPredict, std::chrono::microseconds(15));
    signature->RecordExamples(3);
  }
  const MetricsSnapshot read = Metrics::Instance().Read();
  EXPECT_EQ(CountOf(read.requests, "retired", "1", StatusCode::kOk), 0u);
  EXPECT_EQ(CountOf(read.retired_requests, "retired", "", StatusCode::kOk), 2u);
  EXPECT_EQ(read.examples.at("retired").sum, 6u);
  const auto runs = std::find_if(read.retired_runs.begin(), read.retired_runs.end(),
                                 [](const auto& row) { return row.first.model == "retired"; });
  ASSERT_NE(runs, read.retired_runs.end());
  EXPECT_EQ(runs->second.counts[1], 2u);
  EXPECT_EQ(runs->second.sum, 30'000u);
}

TEST(BatchingMetrics, AreCountedByVersionAndForTheProcess) {
  BatchingMetrics batching("batched", 3);
  batching.RecordQueued(std::chrono::microseconds(150));
  batching.RecordInput(3);
  batching.RecordBatch(4, 1);
  const MetricsSnapshot read = Metrics::Instance().Read();
  const auto row = std::find_if(read.batching.begin(), read.batching.end(),
                                [](const auto& each) { return each.model == "batched"; });
  ASSERT_NE(row, read.batching.end());
  EXPECT_EQ(row->version, "3");
  EXPECT_EQ(row->rows.counts[2], 1u);  // more than 2, up to 4
  EXPECT_EQ(row->padding, 1u);
  EXPECT_EQ(row->queued.sum, 150'000u);
  EXPECT_EQ(read.processed_batch_size.counts[3], 1u);  // at least 4: an exclusive bound
  EXPECT_EQ(read.input_batch_size.sum, 3u);
  EXPECT_EQ(read.padding_size.at(4).sum, 1u);
  EXPECT_EQ(read.queuing_latency.counts[3], 1u);  // from 144 us to 172.8 us
}

TEST(ReportQueue, IsTakenInOrderAndBounded) {
  ReportQueue<EndedRequest> queue(100);
  for (size_t i = 0; i < 105; ++i) queue.Push({.outcome = {.bytes_in = i}, .model = "m"});
  EXPECT_EQ(queue.dropped(), 5u);
  const auto taken = queue.Take(std::chrono::milliseconds(0));
  ASSERT_EQ(taken.size(), 100u);
  EXPECT_EQ(taken[1].outcome.bytes_in, 1u);
  EXPECT_TRUE(queue.Take(std::chrono::milliseconds(1)).empty());
}

TEST(RequestLog, KeepsTheShareThatIsAskedForUpToItsBytes) {
  const SignatureMetrics always("always", 1, "s"), never("never", 1, "s"), half("half", 1, "s");
  RequestLog log;
  ByteChain answer;
  answer.Append("answer");
  log.Offer(always, ApiMethod::kPredict, "nobody asks for it", answer);
  log.SetRates({{"always", 1.0}, {"never", 0.0}, {"half", 0.5}});
  log.Offer(always, ApiMethod::kPredict, "request", answer);
  for (int i = 0; i < 1000; ++i) log.Offer(never, ApiMethod::kPredict, "request", answer);
  const auto kept = log.Take();
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].model, "always");
  EXPECT_EQ(kept[0].request, "request");
  EXPECT_EQ(kept[0].answer, "answer");
  for (int i = 0; i < 1000; ++i) log.Offer(half, ApiMethod::kPredict, "request", answer);
  EXPECT_NEAR(static_cast<double>(log.Take().size()), 500.0, 150.0);
  const std::string large(RequestLog::kMaxBytes / 2, 'x');
  for (int i = 0; i < 3; ++i) log.Offer(always, ApiMethod::kPredict, large, answer);
  EXPECT_EQ(log.dropped(), 2u);
  EXPECT_EQ(log.Take().size(), 1u);
  log.Offer(always, ApiMethod::kPredict, large, answer);
  EXPECT_EQ(log.Take().size(), 1u);
}

// The last test, since it leaves no room for the names of others.
TEST(Metrics, NamesThatClientsMakeUpAreBoundedButNoLoadedModelIsAmongTheOthers) {
  const auto loaded = std::make_shared<SignatureMetrics>("loaded", 1, "s");
  Metrics& metrics = Metrics::Instance();
  for (size_t i = 0; i < Metrics::kMaxUnknownModels + 100; ++i) {
    metrics.RecordUnrouted("made-up-" + std::to_string(i), {.code = StatusCode::kAborted});
  }
  metrics.RecordUnrouted("loaded", {.code = StatusCode::kAborted});
  const auto rows = metrics.Read().requests;
  EXPECT_GE(CountOf(rows, std::string(Metrics::kOtherModel), "", StatusCode::kAborted), 100u);
  EXPECT_EQ(CountOf(rows, "loaded", "", StatusCode::kAborted), 1u);
  EXPECT_EQ(CountOf(rows, "made-up-0", "", StatusCode::kAborted), 1u);
}

}  // namespace
}  // namespace fastserve
