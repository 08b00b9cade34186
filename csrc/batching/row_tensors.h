#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"
#include "base/tensor.h"
#include "batching/batch_queue.h"

namespace fastserve {

// Rows [begin, begin + count) of a tensor, which is borrowed.
struct RowRange {
  const HostTensor* tensor;
  int64_t begin;
  int64_t count;
};

// The rows of a request's inputs: their common first extent. kInvalidArgument with upstream's texts
// (batching_session.cc) for no input, a scalar, and unequal extents.
Result<int64_t> CountRows(std::span<const HostTensor> inputs);

// What requests must have in common to be put into one batch: of each input the dtype and the inner
// extents, or, where they may be padded, the rank.
BatchKind KindOf(std::span<const HostTensor> inputs, bool pad_variable_length);

// One tensor of `rows` rows: those of the ranges, then copies of the first row of the last range.
// The ranges are of one dtype and rank, `rows` is at least their sum. Inner extents are the largest
// of any range; a smaller one's rows are padded with its tensor's first element. The elements are
// in memory of the result's own, but for strings, which stay views.
// kInvalidArgument with upstream's texts where padding is asked for and impossible
// (batching_util.cc); kResourceExhausted when memory is short.
Result<HostTensor> GatherRows(std::span<const RowRange> ranges, int64_t rows);

// A view of some rows of `tensor`, which must have that many.
HostTensor SliceRows(const HostTensor& tensor, int64_t begin, int64_t count);

}  // namespace fastserve
