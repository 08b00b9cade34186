#include "serving/run_cost.h"

#include <algorithm>

namespace fastserve {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
// One run counts for at most this much: a thread that lost its core for a while says nothing of the
// model.
constexpr uint64_t kMaxSampleNs = 4'000'000;

// An exponential mean over about eight values.
uint64_t Blend(uint64_t mean, uint64_t sample) { return mean - mean / 8 + sample / 8; }

}  // namespace

double RunCost::Expected(size_t bytes) const {
  const auto mean = static_cast<double>(mean_ns_.load(kRelaxed));
  const uint64_t usual = std::max<uint64_t>(mean_bytes_.load(kRelaxed), 64);
  if (bytes <= usual * 2) return mean;
  return mean * static_cast<double>(bytes) / static_cast<double>(usual);
}

bool RunCost::IsCheap(size_t bytes) const {
  if (!cheap_.load(kRelaxed)) return false;
  const bool usual = bytes <= 2 * std::max<uint64_t>(mean_bytes_.load(kRelaxed), 64);
  return usual || Expected(bytes) < static_cast<double>(kStaysCheap.count());
}

bool RunCost::IsTrivial(size_t bytes) const {
  return cheap_.load(kRelaxed) && Expected(bytes) < static_cast<double>(kTrivial.count());
}

void RunCost::Record(std::chrono::nanoseconds elapsed, size_t bytes) {
  const uint32_t runs = runs_.load(kRelaxed);
  if (runs <= kWarmUpRuns) runs_.store(runs + 1, kRelaxed);
  if (runs < kWarmUpRuns) return;
  const auto sample = std::min<uint64_t>(static_cast<uint64_t>(elapsed.count()), kMaxSampleNs);
  const bool first = runs == kWarmUpRuns;
  const uint64_t mean = first ? sample : Blend(mean_ns_.load(kRelaxed), sample);
  mean_ns_.store(mean, kRelaxed);
  mean_bytes_.store(first ? bytes : Blend(mean_bytes_.load(kRelaxed), bytes), kRelaxed);
  const auto limit = cheap_.load(kRelaxed) ? kStaysCheap : kBecomesCheap;
  const bool cheap = !forbidden_ && mean < static_cast<uint64_t>(limit.count());
  if (cheap != cheap_.load(kRelaxed)) cheap_.store(cheap, kRelaxed);
}

}  // namespace fastserve
