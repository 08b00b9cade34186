#pragma once

#include <string_view>

#include "base/byte_buffer.h"
#include "base/status.h"
#include "serving/inference.h"
#include "serving/servable.h"

namespace fastserve {

// Answers a serialized request of `method` ("predict", "classify", "regress" or "multi_inference")
// by `servable`, published or not, as if a client had sent it, and drops the answer. Once for each
// replica, so that each is warm where nobody else runs the model meanwhile. The request's
// model name and version are not compared; `options` are those of the server. The request's own
// failure, or kUnimplemented for another method.
Status WarmUp(const Servable& servable, std::string_view method, const ByteBuffer& request,
              const InferenceOptions& options);

}  // namespace fastserve
