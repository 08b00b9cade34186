#pragma once

#include <chrono>
#include <cstddef>

#include "base/inline_vector.h"
#include "serving/servable.h"

namespace fastserve {

// What a request runs: whose costs and metrics its run counts for.
struct RunSubject {
  // Of one servable; those of a MultiInference, else one. Metrics count for the first.
  InlineVector<const BoundSignature*, 2> signatures;
  size_t bytes = 0;  // of the request
  ApiMethod method = ApiMethod::kPredict;

  const BoundSignature& first() const { return *signatures[0]; }

  // Whether the run is expected to be short; see RunCost.
  bool IsCheap() const;
  bool IsTrivial() const;
  // Takes in what decoding and running took, where the request was run on its own.
  void RecordCost(std::chrono::nanoseconds elapsed) const;
  // Counts a run that went well, the wait for a batch included.
  void RecordRun(std::chrono::nanoseconds elapsed) const;
};

}  // namespace fastserve
