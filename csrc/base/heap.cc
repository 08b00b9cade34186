#include "base/heap.h"

#include <malloc.h>

namespace fastserve {
namespace {

// The values that glibc's own adaptation stops at; setting them ends it. A larger block is mapped
// and unmapped by itself (mallopt(3)).
[[maybe_unused]] constexpr int kMmapThreshold = 32 << 20;
[[maybe_unused]] constexpr int kTrimThreshold = 2 * kMmapThreshold;

}  // namespace

void KeepFreedMemory() {
#ifdef __GLIBC__
  ::mallopt(M_MMAP_THRESHOLD, kMmapThreshold);
  ::mallopt(M_TRIM_THRESHOLD, kTrimThreshold);
#endif
}

void ReturnFreedMemory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

}  // namespace fastserve
