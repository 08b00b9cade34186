#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace fastserve {

// What a run of one signature costs, learnt from its runs, and whether it is cheap enough to be run
// on an I/O thread, which serves nobody else meanwhile.
// Threads: any; the figures are estimates, so updates may get lost but never tear.
class RunCost {
 public:
  // Cheap below the first figure; once cheap, it stays so up to the second.
  static constexpr std::chrono::nanoseconds kBecomesCheap = std::chrono::microseconds(250);
  static constexpr std::chrono::nanoseconds kStaysCheap = std::chrono::microseconds(500);
  // Below it a run costs less than handing it to another thread does.
  static constexpr std::chrono::nanoseconds kTrivial = std::chrono::microseconds(8);
  // The first runs of a signature build TensorFlow's executors and say nothing of the later ones.
  static constexpr uint32_t kWarmUpRuns = 3;

  // For a model whose runs wait for other threads: nothing is cheap, now and later.
  void ForbidCheap() { forbidden_ = true; }
  // Whether a request of `bytes` is expected to run cheaply. A request larger than the usual one is
  // expected to cost more in proportion.
  bool IsCheap(size_t bytes) const;
  // Whether it is expected to cost next to nothing, so that there is no use in a batch.
  bool IsTrivial(size_t bytes) const;
  // Takes in one finished run.
  void Record(std::chrono::nanoseconds elapsed, size_t bytes);

 private:
  // In nanoseconds; meaningless before the first run that counts.
  double Expected(size_t bytes) const;

  std::atomic<uint32_t> runs_{0};
  std::atomic<uint64_t> mean_ns_{0};
  std::atomic<uint64_t> mean_bytes_{0};
  std::atomic<bool> cheap_{false};
  bool forbidden_ = false;  // set before the threads come
};

}  // namespace fastserve
