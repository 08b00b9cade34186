#include "load/expected_answers.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <protozero/pbf_reader.hpp>
#include <utility>

namespace fastserve::bench {
namespace {

constexpr int64_t kFloat = 1;  // tensorflow.DataType.DT_FLOAT

std::string Text(protozero::pbf_reader& reader) {
  const auto view = reader.get_view();
  return {view.data(), view.size()};
}

void ParseShape(protozero::pbf_reader shape, std::vector<int64_t>& dims) {
  while (shape.next(2)) {  // TensorShapeProto.dim
    protozero::pbf_reader dim = shape.get_message();
    dims.push_back(0);
    while (dim.next(1)) dims.back() = dim.get_int64();  // Dim.size
  }
}

// False for a field that may carry elements and is not read here.
bool ParseTensor(protozero::pbf_reader tensor, PredictAnswer::Output& output) {
  while (tensor.next()) {
    switch (tensor.tag()) {
      case 1:
        output.dtype = tensor.get_enum();
        break;
      case 2:
        ParseShape(tensor.get_message(), output.dims);
        break;
      case 4:  // tensor_content
        output.elements = Text(tensor);
        break;
      case 5:  // float_val, packed or not
        if (tensor.wire_type() == protozero::pbf_wire_type::length_delimited) {
          output.elements += Text(tensor);
        } else {
          const float value = tensor.get_float();
          output.elements.append(reinterpret_cast<const char*>(&value), sizeof value);
        }
        break;
      case 3:  // version_number
        tensor.skip();
        break;
      default:
        return false;
    }
  }
  return true;
}

bool ParseOutput(protozero::pbf_reader entry, PredictAnswer& answer) {
  PredictAnswer::Output& output = answer.outputs.emplace_back();
  while (entry.next()) {
    if (entry.tag() == 1) {
      output.alias = Text(entry);
    } else if (entry.tag() != 2 || !ParseTensor(entry.get_message(), output)) {
      return false;
    }
  }
  return true;
}

void ParseModelSpec(protozero::pbf_reader spec, PredictAnswer& answer) {
  while (spec.next()) {
    if (spec.tag() == 1) {
      answer.model_name = Text(spec);
    } else if (spec.tag() == 2) {
      protozero::pbf_reader version = spec.get_message();
      answer.version = 0;
      while (version.next(1)) answer.version = version.get_int64();  // Int64Value.value
    } else if (spec.tag() == 3) {
      answer.signature_name = Text(spec);
    } else {
      spec.skip();
    }
  }
}

bool ParsePredictResponse(protozero::pbf_reader reader, PredictAnswer& answer) {
  while (reader.next()) {
    if (reader.tag() == 2) {
      ParseModelSpec(reader.get_message(), answer);
    } else if (reader.tag() != 1 || !ParseOutput(reader.get_message(), answer)) {
      return false;
    }
  }
  return true;
}

// False for a dtype other than FP32.
bool ParseInferOutput(protozero::pbf_reader tensor, PredictAnswer::Output& output) {
  while (tensor.next()) {
    if (tensor.tag() == 1) {
      output.alias = Text(tensor);
    } else if (tensor.tag() == 2) {
      if (Text(tensor) != "FP32") return false;
      output.dtype = kFloat;
    } else if (tensor.tag() == 3) {
      for (const int64_t extent : tensor.get_packed_int64()) output.dims.push_back(extent);
    } else {
      tensor.skip();
    }
  }
  return true;
}

bool ParseModelInferResponse(protozero::pbf_reader reader, PredictAnswer& answer) {
  size_t contents = 0;  // raw_output_contents go by the order of outputs, which come before them
  while (reader.next()) {
    if (reader.tag() == 1) {
      answer.model_name = Text(reader);
    } else if (reader.tag() == 5) {
      if (!ParseInferOutput(reader.get_message(), answer.outputs.emplace_back())) return false;
    } else if (reader.tag() == 6) {
      if (contents == answer.outputs.size()) return false;
      answer.outputs[contents++].elements = Text(reader);
    } else {
      reader.skip();
    }
  }
  return contents == answer.outputs.size();
}

std::optional<PredictAnswer> ParseBy(bool (*parse)(protozero::pbf_reader, PredictAnswer&),
                                     std::string_view wire) {
  PredictAnswer answer;
  try {
    if (!parse(protozero::pbf_reader(wire.data(), wire.size()), answer)) return std::nullopt;
  } catch (const std::exception&) {  // protozero's, on malformed wire
    return std::nullopt;
  }
  std::sort(answer.outputs.begin(), answer.outputs.end(),
            [](const auto& a, const auto& b) { return a.alias < b.alias; });
  return answer;
}

}  // namespace

std::optional<PredictAnswer> PredictAnswer::Parse(std::string_view wire) {
  return ParseBy(ParsePredictResponse, wire);
}

std::optional<PredictAnswer> PredictAnswer::ParseInfer(std::string_view wire) {
  return ParseBy(ParseModelInferResponse, wire);
}

ExpectedAnswers ExpectedAnswers::Bytes(std::vector<std::string> answers) {
  ExpectedAnswers expected;
  expected.bytes_ = std::move(answers);
  return expected;
}

ExpectedAnswers ExpectedAnswers::Outputs(std::vector<PredictAnswer> answers, double tolerance,
                                         AnswerParser parse) {
  ExpectedAnswers expected;
  expected.answers_ = std::move(answers);
  expected.parse_ = parse;
  expected.tolerance_ = tolerance;
  return expected;
}

std::optional<size_t> ExpectedAnswers::Match(std::string_view answer) const {
  for (size_t i = 0; i < bytes_.size(); ++i) {
    if (answer == bytes_[i]) return i;
  }
  if (answers_.empty()) return std::nullopt;
  const std::optional<PredictAnswer> parsed = parse_(answer);
  for (size_t i = 0; parsed && i < answers_.size(); ++i) {
    if (Agrees(*parsed, answers_[i])) return i;
  }
  return std::nullopt;
}

bool ExpectedAnswers::Agrees(const PredictAnswer& answer, const PredictAnswer& expected) const {
  if (!expected.model_name.empty() && answer.model_name != expected.model_name) return false;
  if (!expected.signature_name.empty() && answer.signature_name != expected.signature_name) {
    return false;
  }
  if (expected.version && answer.version != expected.version) return false;
  return std::equal(answer.outputs.begin(), answer.outputs.end(), expected.outputs.begin(),
                    expected.outputs.end(), [this](const auto& a, const auto& b) {
                      return a.alias == b.alias && a.dtype == b.dtype && a.dims == b.dims &&
                             SameElements(a, b);
                    });
}

bool ExpectedAnswers::SameElements(const PredictAnswer::Output& a,
                                   const PredictAnswer::Output& b) const {
  if (a.elements == b.elements) return true;
  if (tolerance_ == 0 || a.dtype != kFloat || a.elements.size() != b.elements.size()) return false;
  for (size_t i = 0; i + sizeof(float) <= a.elements.size(); i += sizeof(float)) {
    float got;
    float want;
    std::memcpy(&got, a.elements.data() + i, sizeof got);
    std::memcpy(&want, b.elements.data() + i, sizeof want);
    // Written so that a NaN disagrees.
    if (!(std::fabs(got - want) <= tolerance_ * std::max(1.0f, std::fabs(want)))) return false;
  }
  return true;
}

}  // namespace fastserve::bench
