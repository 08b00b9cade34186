#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/byte_buffer.h"
#include "base/status.h"
#include "base/tensor.h"
#include "codec/signature.h"

namespace fastserve {

// Which of the two forms a REST predict request has, and so its answer.
enum class JsonFormat {
  kRow,     // "instances" -> "predictions"
  kColumn,  // "inputs"    -> "outputs"
};

// The tensors of a REST predict request.
struct JsonInputs {
  JsonFormat format = JsonFormat::kRow;
  // alias -> tensor, in the signature's order, each with its owner; independent of the body.
  // All inputs of the signature, but for one case: rows of base64 objects for a signature of
  // several inputs give the first one only, as upstream gives one of them.
  std::vector<std::pair<std::string, HostTensor>> inputs;
};

// The body of a REST predict request.
struct PredictJson {
  std::string signature_name;  // empty when the request names none
  // What upstream looks at once it has the signature. Not meaningful without one.
  Result<JsonInputs> inputs;
};

// Finds what a request names: the signature, which outlives the call, or null.
using FindSignature = std::function<const Signature*(std::string_view name)>;

// Reads a body in one pass, without a tree between text and tensors: values go straight into
// aligned buffers of the signature's dtypes. Where a signature is named behind the values, it takes
// a second pass. `find_signature` may be called several times.
// TensorFlow Serving checks in this order: the body's syntax, here; servable and signature, by the
// caller; the inputs. Errors are kInvalidArgument with upstream's texts
// (model_servers/http_rest_api_handler.cc, util/json_tensor.cc), except kUnimplemented for a dtype
// without JSON form in column format, and kResourceExhausted where memory is short.
// Where upstream leaves things to chance: of a name given twice the first value counts.
// Numbers too small for a normal float or double become zero, as on upstream's threads.
Result<PredictJson> ParsePredictJson(ByteView body, const FindSignature& find_signature);

// The body of a REST predict answer: {"predictions": ...} or {"outputs": ...}, laid out as upstream
// does, outputs in the order given. Answers kInvalidArgument for no outputs, for a dtype without
// JSON form, and in row format for outputs whose first extents differ or that have none.
Result<std::string> WritePredictJson(
    JsonFormat format, std::span<const std::pair<std::string_view, HostTensor>> outputs);

// {"error": "<message>"} in upstream's layout.
std::string WriteErrorJson(std::string_view message);

}  // namespace fastserve
