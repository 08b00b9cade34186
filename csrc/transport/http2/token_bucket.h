#pragma once

#include <algorithm>
#include <chrono>
#include <limits>

namespace fastserve {

// How often something may happen: so many times at once, and so many times a second in the long
// run.
struct Rate {
  double burst = std::numeric_limits<double>::infinity();
  double per_second = 0;
};

// Counts what happens against a Rate.
class TokenBucket {
 public:
  using Clock = std::chrono::steady_clock;

  explicit TokenBucket(const Rate& rate) : rate_(rate), tokens_(rate.burst) {}

  // Counts one event. False when it is one too many.
  bool Take(Clock::time_point now) {
    const std::chrono::duration<double> since = now - last_;
    tokens_ = std::min(rate_.burst, tokens_ + since.count() * rate_.per_second);
    last_ = now;
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }
  // Allows a whole burst again.
  void Refill() { tokens_ = rate_.burst; }

 private:
  const Rate rate_;
  double tokens_;
  Clock::time_point last_ = Clock::now();
};

}  // namespace fastserve
