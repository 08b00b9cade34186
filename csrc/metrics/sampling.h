#pragma once

#include <random>

namespace fastserve {

// Whether this one is among a share of `rate`, from 0 to 1. Any thread.
inline bool IsSampled(double rate) {
  thread_local std::minstd_rand random{std::random_device{}()};
  return std::uniform_real_distribution<double>()(random) < rate;
}

}  // namespace fastserve
