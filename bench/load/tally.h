#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
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

// A request that is due.
struct Arrival {
  uint64_t due_ns;  // its latency counts from here, however late it is sent
  // Whether its latency is one of the figures; unset in a closed loop, where that depends on when
  // its answer comes.
  std::optional<bool> counts;
};

// What one thread's clients have seen. Threads: one writes; Merge() after it has ended.
class Tally {
 public:
  explicit Tally(size_t expected_answers) : by_answer_(expected_answers) {}

  // A request was sent now.
  void Sent(const Arrival& arrival);
  // A right answer to it came now; `answer` is the index of what it agreed with.
  void Right(Phase phase, const Arrival& arrival, size_t answer);
  // Anything else, in any phase: failures of the warm-up are failures too. `kind` groups, `detail`
  // of the first one is kept as a sample.
  void Wrong(const std::string& kind, std::string_view detail);
  void Merge(const Tally& other);

  // Right answers that came in the measured window, and at other times.
  uint64_t right_in_window() const { return right_in_window_; }
  uint64_t right_outside_window() const { return right_outside_window_; }
  // From due to answered: of right answers within the window in a closed loop, of right answers to
  // all requests due within it, whenever they came, in an open one.
  const LatencyHistogram& latencies() const { return latencies_; }
  // From due to sent, of the same requests of an open loop.
  const LatencyHistogram& lags() const { return lags_; }
  // Right answers of the whole run, by the expected answer that they agreed with.
  const std::vector<uint64_t>& by_answer() const { return by_answer_; }

  struct ErrorKind {
    uint64_t count = 0;
    std::string sample;
  };
  const std::map<std::string, ErrorKind>& errors() const { return errors_; }

 private:
  LatencyHistogram latencies_;
  LatencyHistogram lags_;
  uint64_t right_in_window_ = 0;
  uint64_t right_outside_window_ = 0;
  std::vector<uint64_t> by_answer_;
  std::map<std::string, ErrorKind> errors_;
};

}  // namespace fastserve::bench
