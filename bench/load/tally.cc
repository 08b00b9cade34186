#include "load/tally.h"

#include <ctime>

namespace fastserve::bench {

uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void Tally::Sent(const Arrival& arrival) {
  if (arrival.counts.value_or(false)) lags_.Add(NowNs() - arrival.due_ns);
}

void Tally::Right(Phase phase, const Arrival& arrival, size_t answer) {
  const bool in_window = phase == Phase::kMeasure;
  ++by_answer_[answer];
  ++(in_window ? right_in_window_ : right_outside_window_);
  if (arrival.counts.value_or(in_window)) latencies_.Add(NowNs() - arrival.due_ns);
}

void Tally::Wrong(const std::string& kind, std::string_view detail) {
  ErrorKind& error = errors_[kind];
  if (error.count++ == 0) error.sample = detail;
}

void Tally::Merge(const Tally& other) {
  latencies_.Merge(other.latencies_);
  lags_.Merge(other.lags_);
  right_in_window_ += other.right_in_window_;
  right_outside_window_ += other.right_outside_window_;
  for (size_t i = 0; i < by_answer_.size(); ++i) by_answer_[i] += other.by_answer_[i];
  for (const auto& [kind, error] : other.errors_) {
    ErrorKind& mine = errors_[kind];
    if (mine.count == 0) mine.sample = error.sample;
    mine.count += error.count;
  }
}

}  // namespace fastserve::bench
