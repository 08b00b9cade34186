#pragma once

#include <memory>
#include <string>

#include "base/byte_buffer.h"
#include "base/status.h"
#include "codec/inference_wire.h"

namespace fastserve {

// The body of a REST classify or regress request, its examples turned into serialized
// tensorflow.Examples.
struct InferenceJson {
  std::string signature_name;  // empty when the request names none
  InputView input;             // borrows from `examples`
  std::unique_ptr<const std::string> examples;
};

// Errors are kInvalidArgument with upstream's texts (util/json_tensor.cc). Of a feature given twice
// the last one counts. Floats too small to be normal become zero.
Result<InferenceJson> ParseInferenceJson(ByteView body);

// The body of the answer, {"results": ...}, laid out as upstream does: for each example a list of
// [label, score], or a number. kInvalidArgument where there are no results.
Result<std::string> WriteInferenceJson(const InferenceResultView& result);

}  // namespace fastserve
