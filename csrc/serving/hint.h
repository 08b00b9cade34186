#pragma once

#include <string_view>

#include "base/status.h"

namespace fastserve {

// Hints go beside an error, not into its text: clients compare that with TensorFlow Serving's.
// Over gRPC they are trailing metadata of this key, over REST a header field of this name; there
// percent-encoded, as a grpc-message is.
inline constexpr std::string_view kHintKey = "fastserve-hint";

// Whether an error may be one of the inputs' dtypes, shapes or names.
inline bool IsHintable(const Status& status) {
  return status.code() == StatusCode::kInvalidArgument ||
         status.code() == StatusCode::kUnimplemented;
}

}  // namespace fastserve
