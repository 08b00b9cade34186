#include "load/tally.h"

#include <ctime>

namespace fastserve::bench {

uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void Tally::Right(Phase phase, uint64_t sent_ns, size_t answer) {
  ++by_answer_[answer];
  if (phase == Phase::kMeasure) {
    latencies_.Add(NowNs() - sent_ns);
  } else {
    ++right_outside_window_;
  }
}

void Tally::Wrong(const std::string& kind, std::string_view detail) {
  ErrorKind& error = errors_[kind];
  if (error.count++ == 0) error.sample = detail;
}

void Tally::Merge(const Tally& other) {
  latencies_.Merge(other.latencies_);
  right_outside_window_ += other.right_outside_window_;
  for (size_t i = 0; i < by_answer_.size(); ++i) by_answer_[i] += other.by_answer_[i];
  for (const auto& [kind, error] : other.errors_) {
    ErrorKind& mine = errors_[kind];
    if (mine.count == 0) mine.sample = error.sample;
    mine.count += error.count;
  }
}

}  // namespace fastserve::bench
