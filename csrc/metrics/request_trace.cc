#include "metrics/request_trace.h"

#include <algorithm>

#include "metrics/sampling.h"

namespace fastserve {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

int64_t Now() {
  return std::chrono::nanoseconds(RequestTrace::Clock::now().time_since_epoch()).count();
}

bool IsHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return ('0' <= c && c <= '9') || ('a' <= c && c <= 'f'); });
}

// An id: lower-case hexadecimal, and not zeros alone.
bool IsId(std::string_view text) {
  return IsHex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

}  // namespace

void RequestTrace::Begin(Stage stage) {
  int64_t never = 0;
  Of(stage).begun.compare_exchange_strong(never, Now(), kRelaxed);
}

void RequestTrace::End(Stage stage) { Of(stage).ended.store(Now(), kRelaxed); }

void RequestTrace::AddBatch(int64_t rows, int64_t batch_rows) {
  rows_.fetch_add(rows, kRelaxed);
  batches_.fetch_add(1, kRelaxed);
  batch_rows_.fetch_add(batch_rows, kRelaxed);
}

RequestTrace::Interval RequestTrace::Read(Stage stage) const {
  const Times& times = times_[static_cast<size_t>(stage)];
  return {times.begun.load(kRelaxed), times.ended.load(kRelaxed)};
}

RequestTrace::Batching RequestTrace::batching() const {
  return {rows_.load(kRelaxed), batches_.load(kRelaxed), batch_rows_.load(kRelaxed)};
}

std::optional<bool> TracedByParent(std::string_view traceparent) {
  // version "-" trace-id "-" parent-id "-" flags; later versions may go on after another dash.
  constexpr size_t kSize = 55;
  if (traceparent.size() < kSize) return std::nullopt;
  const std::string_view version = traceparent.substr(0, 2);
  const std::string_view flags = traceparent.substr(53, 2);
  const bool whole = traceparent.size() == kSize || (version != "00" && traceparent[kSize] == '-');
  const bool dashed = traceparent[2] == '-' && traceparent[35] == '-' && traceparent[52] == '-';
  if (!whole || !dashed || !IsHex(version) || version == "ff" || !IsHex(flags) ||
      !IsId(traceparent.substr(3, 32)) || !IsId(traceparent.substr(36, 16))) {
    return std::nullopt;
  }
  constexpr std::string_view kOdd = "13579bdf";  // the lowest bit: sampled
  return kOdd.find(flags[1]) != std::string_view::npos;
}

void TraceQueue::Enable(double ratio) {
  ratio_.store(ratio, kRelaxed);
  ReportQueue::Enable();
}

bool TraceQueue::ChooseByRatio() const { return IsSampled(ratio_.load(kRelaxed)); }

}  // namespace fastserve
