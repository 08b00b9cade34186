#include "codec/inference_wire.h"

#include <cstdint>
#include <cstring>

#include "codec/wire_format.h"
#include "codec/wire_reader.h"
#include "codec/wire_rules.h"

namespace fastserve {
namespace {

// ClassificationRequest, RegressionRequest
namespace request {
constexpr uint32_t kModelSpec = 1;
constexpr uint32_t kInput = 2;
}  // namespace request

namespace multi_request {
constexpr uint32_t kTasks = 1;
constexpr uint32_t kInput = 2;
}  // namespace multi_request

namespace task {
constexpr uint32_t kModelSpec = 1;
constexpr uint32_t kMethodName = 2;
}  // namespace task

namespace input {
constexpr uint32_t kExampleList = 1;  // oneof kind
constexpr uint32_t kExampleListWithContext = 2;
// of both kinds of list
constexpr uint32_t kExamples = 1;
constexpr uint32_t kContext = 2;
}  // namespace input

// ClassificationResponse, RegressionResponse
namespace response {
constexpr uint32_t kResult = 1;
constexpr uint32_t kModelSpec = 2;
}  // namespace response

// MultiInferenceResponse, and InferenceResult in it
namespace multi_response {
constexpr uint32_t kResults = 1;
constexpr uint32_t kModelSpec = 1;
constexpr uint32_t kClassificationResult = 2;
constexpr uint32_t kRegressionResult = 3;
}  // namespace multi_response

// Fields of ClassificationResult and Classifications; and of RegressionResult.
constexpr uint32_t kRows = 1;
constexpr uint32_t kClasses = 1;
// Class
constexpr uint32_t kLabel = 1;
constexpr uint32_t kScore = 2;
// Regression
constexpr uint32_t kValue = 1;

constexpr size_t kFloatFieldSize = 5;

// Reads an Input that may come in pieces. Of the two kinds the one that came last counts, with all
// that came of it since the other.
class InputReader {
 public:
  explicit InputReader(InputView* view) : view_(*view) {}

  bool Read(WireReader in) {
    while (in.Next()) {
      const uint32_t tag = in.tag();
      if (tag == BytesTag(input::kExampleList) || tag == BytesTag(input::kExampleListWithContext)) {
        if (tag != kind_) view_ = {};
        kind_ = tag;
        in.Require(ReadList(in.Message()));
      } else {
        in.Skip();
      }
    }
    return in.ok();
  }

 private:
  bool ReadList(WireReader in) {
    while (in.Next()) {
      if (in.tag() == BytesTag(input::kExamples)) {
        view_.examples.push_back(ReadExample(in));
      } else if (in.tag() == BytesTag(input::kContext) &&
                 kind_ == BytesTag(input::kExampleListWithContext)) {
        view_.context.push_back(ReadExample(in));
      } else {
        in.Skip();
      }
    }
    return in.ok();
  }

  static ByteView ReadExample(WireReader& in) {
    const ByteView example = in.Bytes();
    in.Require(IsValidMessage(in.Nested(example), kExampleRules));
    return example;
  }

  InputView& view_;
  uint32_t kind_ = 0;  // the tag of what was read; 0: nothing so far
};

bool ReadTask(WireReader in, InferenceTaskView* view) {
  while (in.Next()) {
    if (in.tag() == BytesTag(task::kModelSpec)) {
      in.Require(ReadModelSpec(in.Message(), &view->model_spec));
    } else if (in.tag() == BytesTag(task::kMethodName)) {
      view->method_name = in.Text();
    } else {
      in.Skip();
    }
  }
  return in.ok();
}

uint32_t FloatBits(ByteView floats, size_t index) {
  uint32_t bits;
  std::memcpy(&bits, floats.data() + index * sizeof bits, sizeof bits);
  return bits;
}

// A float field, which is left out when no bit is set.
size_t FloatSize(uint32_t bits) { return bits == 0 ? 0 : kFloatFieldSize; }

char* WriteFloat(char* to, uint32_t field, uint32_t bits) {
  if (bits == 0) return to;
  to = WriteVarint(to, WireTag(field, WireType::kFixed32));
  std::memcpy(to, &bits, sizeof bits);
  return to + sizeof bits;
}

// The element `index` of `view`, as the fields of a Class.
struct ClassFields {
  ClassFields(const ClassificationsView& view, size_t index)
      : label(view.labels.empty() ? std::string_view() : view.labels[index]),
        score(view.scores.empty() ? 0 : FloatBits(view.scores, index)) {}

  size_t size() const {
    return (label.empty() ? 0 : BytesFieldSize(kLabel, label.size())) + FloatSize(score);
  }
  char* Write(char* to) const {
    to = WriteBytesHeader(to, kClasses, size());
    if (!label.empty()) to = WriteBytesField(to, kLabel, label);
    return WriteFloat(to, kScore, score);
  }

  std::string_view label;
  uint32_t score;
};

size_t ClassificationsSize(const ClassificationsView& view, size_t row) {
  size_t size = 0;
  for (size_t i = row * view.classes; i < (row + 1) * view.classes; ++i) {
    size += BytesFieldSize(kClasses, ClassFields(view, i).size());
  }
  return size;
}

size_t ResultSize(const ClassificationsView& view) {
  size_t size = 0;
  for (size_t row = 0; row < view.examples; ++row) {
    size += BytesFieldSize(kRows, ClassificationsSize(view, row));
  }
  return size;
}

char* WriteResult(char* to, const ClassificationsView& view) {
  for (size_t row = 0; row < view.examples; ++row) {
    to = WriteBytesHeader(to, kRows, ClassificationsSize(view, row));
    for (size_t i = row * view.classes; i < (row + 1) * view.classes; ++i) {
      to = ClassFields(view, i).Write(to);
    }
  }
  return to;
}

size_t ResultSize(const RegressionsView& view) {
  size_t size = 0;
  for (size_t i = 0; i < view.values.size() / sizeof(float); ++i) {
    size += BytesFieldSize(kRows, FloatSize(FloatBits(view.values, i)));
  }
  return size;
}

char* WriteResult(char* to, const RegressionsView& view) {
  for (size_t i = 0; i < view.values.size() / sizeof(float); ++i) {
    const uint32_t bits = FloatBits(view.values, i);
    to = WriteFloat(WriteBytesHeader(to, kRows, FloatSize(bits)), kValue, bits);
  }
  return to;
}

// A field that holds a result whose size is known.
char* WriteResultField(char* to, uint32_t field, size_t size, const InferenceResultView& result) {
  to = WriteBytesHeader(to, field, size);
  return std::visit([to](const auto& view) { return WriteResult(to, view); }, result);
}

size_t SizeOf(const InferenceResultView& result) {
  return std::visit([](const auto& view) { return ResultSize(view); }, result);
}

}  // namespace

Result<InferenceRequestView> ParseInferenceRequest(ByteView message) {
  InferenceRequestView view;
  InputReader input(&view.input);
  WireReader in(message);
  while (in.Next()) {
    if (in.tag() == BytesTag(request::kModelSpec)) {
      view.has_model_spec = true;
      in.Require(ReadModelSpec(in.Message(), &view.model_spec));
    } else if (in.tag() == BytesTag(request::kInput)) {
      in.Require(input.Read(in.Message()));
    } else {
      in.Skip();
    }
  }
  if (!in.ok()) return Status::Internal("");
  return view;
}

Result<MultiInferenceRequestView> ParseMultiInferenceRequest(ByteView message) {
  MultiInferenceRequestView view;
  InputReader input(&view.input);
  WireReader in(message);
  while (in.Next()) {
    if (in.tag() == BytesTag(multi_request::kTasks)) {
      in.Require(ReadTask(in.Message(), &view.tasks.emplace_back()));
    } else if (in.tag() == BytesTag(multi_request::kInput)) {
      in.Require(input.Read(in.Message()));
    } else {
      in.Skip();
    }
  }
  if (!in.ok()) return Status::Internal("");
  return view;
}

ByteChain WriteInferenceResponse(const InferenceAnswer& answer) {
  const size_t size = SizeOf(answer.result);
  ByteChain out;
  char* to = Extend(&out.tail(), BytesFieldSize(response::kResult, size) +
                                     ModelSpecFieldSize(response::kModelSpec, answer.model));
  to = WriteResultField(to, response::kResult, size, answer.result);
  WriteModelSpecField(to, response::kModelSpec, answer.model);
  return out;
}

ByteChain WriteMultiInferenceResponse(std::span<const InferenceAnswer> answers) {
  ByteChain out;
  for (const InferenceAnswer& answer : answers) {
    const uint32_t field = std::holds_alternative<ClassificationsView>(answer.result)
                               ? multi_response::kClassificationResult
                               : multi_response::kRegressionResult;
    const size_t result_size = SizeOf(answer.result);
    const size_t size = ModelSpecFieldSize(multi_response::kModelSpec, answer.model) +
                        BytesFieldSize(field, result_size);
    char* to = Extend(&out.tail(), BytesFieldSize(multi_response::kResults, size));
    to = WriteBytesHeader(to, multi_response::kResults, size);
    to = WriteModelSpecField(to, multi_response::kModelSpec, answer.model);
    WriteResultField(to, field, result_size, answer.result);
  }
  return out;
}

}  // namespace fastserve
