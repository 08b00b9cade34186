#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "load/histogram.h"

namespace fastserve::bench {

// CLOCK_MONOTONIC in ns.
uint64_t NowNs();

// Where a run is; set by the main thread, read by every client.
enum class Phase : int {
  kWarmUp,   // answers are checked, not counted
  kMeasure,  // right answers are counted
  kDrain,    // nothing new is sent
};

// What one thread's clients have seen. Threads: one writes; Merge() after it has ended.
class Tally {
 public:
  explicit Tally(size_t expected_answers) : by_answer_(expected_answers) {}

  // A right answer to a request sent at `sent_ns`; `answer` is the index of what it agreed with.
  void Right(Phase phase, uint64_t sent_ns, size_t answer);
  // Anything else, in any phase: failures of the warm-up are failures too. `kind` groups, `detail`
  // of the first one is kept as a sample.
  void Wrong(const std::string& kind, std::string_view detail);
  void Merge(const Tally& other);

  // Answers in the measured window, with their latencies.
  const LatencyHistogram& latencies() const { return latencies_; }
  uint64_t right_outside_window() const { return right_outside_window_; }
  // Right answers of the whole run, by the expected answer that they agreed with.
  const std::vector<uint64_t>& by_answer() const { return by_answer_; }

  struct ErrorKind {
    uint64_t count = 0;
    std::string sample;
  };
  const std::map<std::string, ErrorKind>& errors() const { return errors_; }

 private:
  LatencyHistogram latencies_;
  uint64_t right_outside_window_ = 0;
  std::vector<uint64_t> by_answer_;
  std::map<std::string, ErrorKind> errors_;
};

}  // namespace fastserve::bench
