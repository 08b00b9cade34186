// REST classify and regress bodies: whatever the bytes, no crash; the examples of what is accepted
// are tensorflow.Examples, and results with their bytes as labels are JSON again.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "codec/inference_json.h"
#include "codec/predict_json.h"
#include "codec/wire_reader.h"
#include "codec/wire_rules.h"

namespace fastserve {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

// Names come through as they are, and so may be no UTF-8 where the body is none or escapes half a
// surrogate pair.
void CheckExample(ByteView body, ByteView example) {
  if (!IsUtf8(body) || body.find("\\u") != body.npos) return;
  Require(IsValidMessage(WireReader(example), kExampleRules));
}

}  // namespace
}  // namespace fastserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace fastserve;
  const ByteView body(reinterpret_cast<const char*>(bytes), size);
  const Result<InferenceJson> request = ParseInferenceJson(body);
  if (!request.ok()) {
    Require(!WriteErrorJson(request.status().message()).empty());
    return 0;
  }
  const InputView& input = request->input;
  const size_t count = input.examples.size();
  Require(count > 0 && input.context.size() <= 1);
  for (const ByteView example : input.examples) CheckExample(body, example);
  for (const ByteView piece : input.context) CheckExample(body, piece);
  const std::string floats(count * sizeof(float), '\x01');
  const auto classes = WriteInferenceJson(ClassificationsView{count, 1, input.examples, floats});
  const auto values = WriteInferenceJson(RegressionsView{floats});
  const FindSignature none = [](std::string_view) { return nullptr; };
  Require(classes.ok() && ParsePredictJson(*classes, none).ok());
  Require(values.ok() && ParsePredictJson(*values, none).ok());
  return 0;
}
