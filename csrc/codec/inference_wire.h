#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "base/byte_buffer.h"
#include "base/byte_chain.h"
#include "base/inline_vector.h"
#include "base/status.h"
#include "codec/model_spec.h"

namespace fastserve {

// tensorflow.serving.Input as a model takes it: serialized Examples, never decoded here. The views
// borrow from the request.
struct InputView {
  std::vector<ByteView> examples;
  // What each example begins with: the context, in pieces where it came in several. One message
  // after another reads as both merged, the later one's features going before the earlier one's.
  InlineVector<ByteView, 1> context;
};

// tensorflow.serving.ClassificationRequest and RegressionRequest, which have the same fields.
struct InferenceRequestView {
  bool has_model_spec = false;
  ModelSpecView model_spec;
  InputView input;
};

// tensorflow.serving.InferenceTask
struct InferenceTaskView {
  ModelSpecView model_spec;
  std::string_view method_name;
};

// tensorflow.serving.MultiInferenceRequest
struct MultiInferenceRequestView {
  std::vector<InferenceTaskView> tasks;
  InputView input;
};

// Both answer kInternal with an empty message for bytes that do not parse, those of the examples
// included; see ParsePredictRequest().
Result<InferenceRequestView> ParseInferenceRequest(ByteView message);
Result<MultiInferenceRequestView> ParseMultiInferenceRequest(ByteView message);

// What a classify signature gave, row-major: for each example `classes` labels and scores. Either
// may be missing (empty). Borrowed from the run's tensors.
struct ClassificationsView {
  size_t examples = 0;
  size_t classes = 0;
  std::span<const std::string_view> labels;
  ByteView scores;  // floats
};

// What a regress signature gave: a float for each example.
struct RegressionsView {
  ByteView values;
};

using InferenceResultView = std::variant<ClassificationsView, RegressionsView>;

// One result with what it comes from.
struct InferenceAnswer {
  AnsweringModel model;
  InferenceResultView result;
};

// A ClassificationResponse or a RegressionResponse, by the result. Labels are written as they are,
// UTF-8 or not, as upstream does.
ByteChain WriteInferenceResponse(const InferenceAnswer& answer);
ByteChain WriteMultiInferenceResponse(std::span<const InferenceAnswer> answers);

}  // namespace fastserve
