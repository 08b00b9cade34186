#include "serving/run_subject.h"

#include <algorithm>

namespace fastserve {

bool RunSubject::IsCheap() const {
  return std::all_of(signatures.begin(), signatures.end(), [this](const BoundSignature* signature) {
    return signature->cost.IsCheap(bytes);
  });
}

bool RunSubject::IsTrivial() const {
  return std::all_of(signatures.begin(), signatures.end(), [this](const BoundSignature* signature) {
    return signature->cost.IsTrivial(bytes);
  });
}

void RunSubject::RecordCost(std::chrono::nanoseconds elapsed) const {
  for (const BoundSignature* signature : signatures) signature->cost.Record(elapsed, bytes);
}

void RunSubject::RecordRun(std::chrono::nanoseconds elapsed) const {
  first().metrics->RecordRun(method, elapsed);
}

}  // namespace fastserve
