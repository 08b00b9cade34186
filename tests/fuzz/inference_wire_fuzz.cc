// ClassificationRequest, RegressionRequest and MultiInferenceRequest bytes: whatever they are, no
// crash; the examples of what parses lie in the message and parse again; results of their number
// and bytes are written with the sizes that were announced.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "codec/inference_wire.h"
#include "codec/wire_reader.h"
#include "codec/wire_rules.h"

namespace fastserve {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckExample(ByteView message, ByteView example) {
  Require(example.empty() || (example.data() >= message.data() &&
                              example.data() + example.size() <= message.data() + message.size()));
  Require(IsValidMessage(WireReader(example), kExampleRules));
}

void CheckSpec(const ModelSpecView& spec) { Require(!(spec.version && spec.version_label)); }

// Whether `bytes` is `count` fields of number 1 that are messages, then at most one of number 2.
void CheckResponse(const std::string& bytes, size_t count) {
  WireReader in(bytes);
  Require(in.Next() && in.tag() == BytesTag(1));
  size_t rows = 0;
  for (WireReader result = in.Message(); result.Next(); ++rows) {
    Require(result.tag() == BytesTag(1));
    for (WireReader row = result.Message(); row.Next();) row.Skip();
  }
  Require(rows == count);
  Require(in.Next() && in.tag() == BytesTag(2));
  in.Skip();
  Require(!in.Next() && in.ok());
}

void CheckInput(ByteView message, const InputView& input) {
  for (const ByteView example : input.examples) CheckExample(message, example);
  for (const ByteView piece : input.context) CheckExample(message, piece);
  const size_t count = input.examples.size();
  const std::string floats(count * sizeof(float), '\x01');
  const AnsweringModel model{"model", 1, "signature"};
  const ClassificationsView classes{count, 1, input.examples, floats};
  CheckResponse(WriteInferenceResponse({model, classes}).Flatten(), count);
  CheckResponse(WriteInferenceResponse({model, RegressionsView{floats}}).Flatten(), count);
}

}  // namespace
}  // namespace fastserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace fastserve;
  // A buffer of its own, so that a read beyond the end is seen.
  const ByteBuffer buffer = ByteBuffer::Copy({reinterpret_cast<const char*>(bytes), size});
  const ByteView message = buffer.view();
  if (const auto request = ParseInferenceRequest(message); request.ok()) {
    CheckSpec(request->model_spec);
    CheckInput(message, request->input);
  }
  if (const auto request = ParseMultiInferenceRequest(message); request.ok()) {
    for (const InferenceTaskView& task : request->tasks) CheckSpec(task.model_spec);
    CheckInput(message, request->input);
  }
  return 0;
}
