#include "load/arrivals.h"

#include <cmath>

namespace fastserve::bench {

Arrivals::Arrivals(const OpenLoop& loop, uint64_t begin_ns, uint64_t window_ns, uint64_t end_ns)
    : loop_(loop),
      random_(loop.seed),
      begin_ns_(begin_ns),
      window_ns_(window_ns),
      end_ns_(end_ns),
      after_begin_ns_(Gap()) {
  Schedule();
}

std::optional<Arrival> Arrivals::Take() {
  const uint64_t now = NowNs();
  if (phase_ != nullptr) {
    if (phase_->load(std::memory_order_relaxed) == Phase::kDrain) return std::nullopt;
    return Arrival{.due_ns = now, .counts = std::nullopt};
  }
  if (next_ns_ > now) return std::nullopt;
  return Advance();
}

uint64_t Arrivals::Abandon() {
  const uint64_t before = offered_;
  while (next_ns_ != kNever) Advance();
  return offered_ - before;
}

// The next one, and moves on to the one after it.
Arrival Arrivals::Advance() {
  const Arrival arrival{.due_ns = next_ns_, .counts = next_ns_ >= window_ns_};
  offered_ += *arrival.counts ? 1 : 0;
  after_begin_ns_ += Gap();
  Schedule();
  return arrival;
}

void Arrivals::Schedule() {
  next_ns_ = begin_ns_ + static_cast<uint64_t>(after_begin_ns_);
  if (next_ns_ >= end_ns_) next_ns_ = kNever;
}

// In ns. The standard leaves open how std::exponential_distribution draws, and a seed should mean
// the same schedule everywhere.
double Arrivals::Gap() {
  const double mean = 1e9 / loop_.rate;
  if (!loop_.poisson) return mean;
  const double uniform = static_cast<double>(random_() >> 11) * 0x1p-53;  // [0, 1)
  return -std::log1p(-uniform) * mean;
}

}  // namespace fastserve::bench
