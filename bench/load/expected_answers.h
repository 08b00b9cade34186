#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fastserve::bench {

// The part of an answer that a value consists of.
struct PredictAnswer {
  struct Output {
    std::string alias;
    int64_t dtype = 0;
    std::vector<int64_t> dims;
    std::string elements;  // little-endian, whichever field they came in
  };

  // Of a tensorflow.serving.PredictResponse. Nothing when the bytes are no such message, or carry
  // elements in a field that is not read here (tensor_content and float_val are).
  static std::optional<PredictAnswer> Parse(std::string_view wire);
  // Of an inference.ModelInferResponse (KServe's open inference protocol, which Triton speaks).
  // Nothing when the bytes are no such message, or its outputs are not FP32 in raw_output_contents.
  static std::optional<PredictAnswer> ParseInfer(std::string_view wire);

  std::string model_name;
  std::string signature_name;
  std::optional<int64_t> version;
  std::vector<Output> outputs;
};

using AnswerParser = std::optional<PredictAnswer> (*)(std::string_view wire);

// The answers that count as right, made by whoever knows the model, never by the server measured.
// Several may be right, as while a model moves from one version to the next: then each states the
// version that it belongs to. Immutable; any thread.
class ExpectedAnswers {
 public:
  // An answer is right when it equals one of these byte for byte.
  static ExpectedAnswers Bytes(std::vector<std::string> answers);
  // An answer is right when `parse` makes outputs of it that equal those of one of these in alias,
  // dtype, shape and value, and its model agrees in every field which that one sets. `tolerance` is
  // for floats, relative to max(1, |expected|); 0 means equal bits.
  static ExpectedAnswers Outputs(std::vector<PredictAnswer> answers, double tolerance,
                                 AnswerParser parse = PredictAnswer::Parse);

  // The index of the answer that `answer` agrees with.
  std::optional<size_t> Match(std::string_view answer) const;
  size_t size() const { return bytes_.size() + answers_.size(); }

 private:
  bool Agrees(const PredictAnswer& answer, const PredictAnswer& expected) const;
  bool SameElements(const PredictAnswer::Output& a, const PredictAnswer::Output& b) const;

  std::vector<std::string> bytes_;
  std::vector<PredictAnswer> answers_;
  AnswerParser parse_ = nullptr;
  double tolerance_ = 0;
};

}  // namespace fastserve::bench
