#pragma once

#include <memory>
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

class JsonDocument;

// Which of the two forms a REST predict request has, and so its answer.
enum class JsonFormat {
  kRow,     // "instances" -> "predictions"
  kColumn,  // "inputs"    -> "outputs"
};

// The tensors of a REST predict request.
struct JsonInputs {
  JsonFormat format = JsonFormat::kRow;
  // alias -> tensor, in the signature's order, each with its owner; independent of the PredictJson.
  // All inputs of the signature, but for one case: rows of base64 objects for a signature of
  // several inputs give the first one only, as upstream gives one of them.
  std::vector<std::pair<std::string, HostTensor>> inputs;
};

// The body of a REST predict request, in the order in which TensorFlow Serving checks it: Parse(),
// then the caller finds servable and signature by signature_name(), then ToInputs().
// Errors are kInvalidArgument with upstream's texts (model_servers/http_rest_api_handler.cc,
// util/json_tensor.cc; rules in docs/rest.md), except kUnimplemented for a dtype without JSON form
// in column format, and kResourceExhausted where memory is short.
// Where upstream leaves things to chance: of a name given twice the first value counts.
// Threads: immutable once parsed, so any thread may read it.
class PredictJson {
 public:
  static Result<PredictJson> Parse(ByteView body);
  PredictJson(PredictJson&&) noexcept;
  PredictJson& operator=(PredictJson&&) noexcept;
  ~PredictJson();

  // Empty when the request names none. Valid as long as this object.
  std::string_view signature_name() const;
  // Values go straight into aligned tensor buffers of the signature's dtypes. Numbers too small for
  // a normal float or double become zero, as on upstream's threads.
  Result<JsonInputs> ToInputs(const Signature& signature) const;

 private:
  explicit PredictJson(std::unique_ptr<const JsonDocument> document);
  std::unique_ptr<const JsonDocument> document_;
};

// The body of a REST predict answer: {"predictions": ...} or {"outputs": ...}, laid out as upstream
// does, outputs in the order given. Answers kInvalidArgument for no outputs, for a dtype without
// JSON form, and in row format for outputs whose first extents differ or that have none.
Result<std::string> WritePredictJson(
    JsonFormat format, std::span<const std::pair<std::string_view, HostTensor>> outputs);

// {"error": "<message>"} in upstream's layout.
std::string WriteErrorJson(std::string_view message);

}  // namespace fastserve
