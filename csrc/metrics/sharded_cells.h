#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace fastserve {

// A few counters that many threads add to: each thread has a copy of its own, up to a number of
// threads beyond which several share one. Copies lie on cache lines of their own.
// Threads: any; additions take neither a lock nor memory.
class ShardedCells {
 public:
  static constexpr size_t kShards = 16;

  // `cells` counters, all zero.
  explicit ShardedCells(size_t cells);

  void Add(size_t cell, uint64_t amount) {
    Line& line = lines_[CurrentShard() * stride_ + cell / kPerLine];
    line.cells[cell % kPerLine].fetch_add(amount, std::memory_order_relaxed);
  }
  // The counters' sums over all threads; additions that go on meanwhile may be missing.
  std::vector<uint64_t> Sums() const;

 private:
  static constexpr size_t kPerLine = 8;
  struct alignas(64) Line {
    std::atomic<uint64_t> cells[kPerLine] = {};
  };

  static size_t CurrentShard() {
    thread_local constinit size_t shard = kShards;
    if (shard == kShards) shard = NextShard();
    return shard;
  }
  static size_t NextShard();

  const size_t cells_;
  const size_t stride_;  // lines of one copy
  const std::unique_ptr<Line[]> lines_;
};

}  // namespace fastserve
