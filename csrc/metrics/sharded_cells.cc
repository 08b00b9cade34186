#include "metrics/sharded_cells.h"

namespace fastserve {

ShardedCells::ShardedCells(size_t cells)
    : cells_(cells),
      stride_((cells + kPerLine - 1) / kPerLine),
      lines_(std::make_unique<Line[]>(kShards * stride_)) {}

size_t ShardedCells::NextShard() {
  static std::atomic<size_t> threads{0};
  return threads.fetch_add(1, std::memory_order_relaxed) % kShards;
}

std::vector<uint64_t> ShardedCells::Sums() const {
  std::vector<uint64_t> sums(cells_, 0);
  for (size_t shard = 0; shard < kShards; ++shard) {
    for (size_t cell = 0; cell < cells_; ++cell) {
      const Line& line = lines_[shard * stride_ + cell / kPerLine];
      sums[cell] += line.cells[cell % kPerLine].load(std::memory_order_relaxed);
    }
  }
  return sums;
}

}  // namespace fastserve
