#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <random>

#include "load/tally.h"

namespace fastserve::bench {

// How often requests fall due, whatever the server does.
struct OpenLoop {
  double rate = 0;      // requests a second, > 0
  bool poisson = true;  // exponential gaps; else equal ones
  uint64_t seed = 1;
};

// When the requests of one thread are due. Closed loop: at once, until the run drains. Open loop:
// at moments that the seed alone fixes, from `begin_ns` until `end_ns`; what is not taken when it
// is due stays due with its own moment, however late it is taken. Threads: one.
class Arrivals {
 public:
  static constexpr uint64_t kNever = UINT64_MAX;

  // A closed loop; `phase` outlives this.
  explicit Arrivals(const std::atomic<Phase>& phase) : phase_(&phase) {}
  // An open loop whose requests count when they are due at `window_ns` or later. CLOCK_MONOTONIC.
  Arrivals(const OpenLoop& loop, uint64_t begin_ns, uint64_t window_ns, uint64_t end_ns);

  // The next request that is due, for a call that sends it now; nothing when none is.
  std::optional<Arrival> Take();
  // When the next one of an open loop is due, or was; kNever without one.
  uint64_t next_ns() const { return next_ns_; }
  // Takes what is left of an open loop, for good; how many of those would have counted.
  uint64_t Abandon();
  // Requests of an open loop that were due in the measured window, so far.
  uint64_t offered() const { return offered_; }

 private:
  Arrival Advance();
  void Schedule();
  double Gap();

  const std::atomic<Phase>* phase_ = nullptr;  // of a closed loop
  OpenLoop loop_;
  std::mt19937_64 random_;
  uint64_t begin_ns_ = 0;
  uint64_t window_ns_ = 0;
  uint64_t end_ns_ = 0;
  double after_begin_ns_ = 0;  // of the next one; not rounded, so that gaps add up
  uint64_t next_ns_ = kNever;
  uint64_t offered_ = 0;
};

}  // namespace fastserve::bench
