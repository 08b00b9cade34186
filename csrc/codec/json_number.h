#pragma once

#include <cmath>
#include <cstddef>
#include <limits>

namespace fastserve {

// Room for any number that FormatJsonNumber() writes.
inline constexpr size_t kMaxJsonNumberSize = 32;

// Writes `value` at `to` and returns the end. The text is TensorFlow Serving's: printf's %g, or
// with %.9g (float) and %.17g (double) where %g does not read back to the same value, then ".0" if
// there is neither point nor exponent; NaN, Infinity and -Infinity for the rest. Rounding is exact,
// and does not depend on the locale.
char* FormatJsonNumber(float value, char* to);
char* FormatJsonNumber(double value, char* to);

// Upstream's threads flush denormal numbers to zero, so a client never sees one come through.
template <class T>
T FlushDenormal(T value) {
  return std::abs(value) < std::numeric_limits<T>::min() ? std::copysign(T{0}, value) : value;
}

}  // namespace fastserve
