#include "codec/predict_json.h"

#include <algorithm>
#include <optional>

#include "codec/json_debug.h"
#include "codec/json_document.h"
#include "codec/json_tensor.h"

namespace fastserve {
namespace {

using rapidjson::Value;

// The most dimensions that TensorFlow gives a tensor.
constexpr size_t kMaxRank = 254;

// An object that names inputs, rather than one that is a string in base64.
bool IsNamedInputs(const Value& value) { return value.IsObject() && !IsBase64Object(value); }

// Reads the values of one request into tensors, one for each input that the request gives.
class InputReader {
 public:
  InputReader(const Signature& signature, size_t body_size)
      : inputs_(signature.inputs), max_elements_(body_size / 2 + 1), strings_(body_size) {}

  Result<JsonInputs> ReadInstances(const Value& instances);
  Result<JsonInputs> ReadInputs(const Value& value);

 private:
  JsonTensor MakeTensor(const TensorInfo& input, size_t rows) {
    return {input.dtype, rows, max_elements_, &strings_};
  }
  const TensorInfo* Find(std::string_view alias) const;
  Status ReadPlainRows(const Value& instances, JsonTensor* tensor);
  Status ReadNamedRows(const Value& instances, std::vector<JsonTensor>* tensors);
  Status ReadNamedRow(const Value& row, size_t index, std::vector<JsonTensor>* tensors);
  Status MissingInputs(const Value& row, size_t index) const;

  const std::vector<TensorInfo>& inputs_;  // sorted by alias
  const size_t max_elements_;              // an element and its comma take two bytes
  StringPool strings_;
};

const TensorInfo* InputReader::Find(std::string_view alias) const {
  const auto input = std::lower_bound(
      inputs_.begin(), inputs_.end(), alias,
      [](const TensorInfo& info, std::string_view name) { return info.alias < name; });
  return input != inputs_.end() && input->alias == alias ? &*input : nullptr;
}

std::string RowName(size_t index) { return "Failed to process element: " + std::to_string(index); }

Status RowError(size_t index, std::optional<std::string_view> key, const Status& status) {
  if (status.code() == StatusCode::kResourceExhausted) return status;
  std::string text = RowName(index);
  if (key) text += " key: " + std::string(*key);
  return Status::InvalidArgument(text + " of 'instances' list. Error: " + status.ToString());
}

Status InputReader::ReadPlainRows(const Value& instances, JsonTensor* tensor) {
  for (const Value& row : instances.GetArray()) {
    if (IsNamedInputs(row)) {
      return Status::InvalidArgument("Expecting value/list but got object at item " +
                                     std::to_string(tensor->rows()) + " of input list");
    }
    if (Status status = tensor->Add(row); !status.ok()) {
      return RowError(tensor->rows(), std::nullopt, status);
    }
  }
  return Status();
}

Status InputReader::ReadNamedRows(const Value& instances, std::vector<JsonTensor>* tensors) {
  size_t index = 0;
  for (const Value& row : instances.GetArray()) {
    if (!IsNamedInputs(row)) {
      return Status::InvalidArgument("Expecting object but got list at item " +
                                     std::to_string(index) + " of input list");
    }
    FASTSERVE_RETURN_IF_ERROR(ReadNamedRow(row, index, tensors));
    ++index;
  }
  return Status();
}

// A name that comes twice counts once: the first value, as in look-ups. (Upstream takes both, which
// shifts the rows that follow.)
Status InputReader::ReadNamedRow(const Value& row, size_t index, std::vector<JsonTensor>* tensors) {
  for (const auto& member : row.GetObject()) {
    const std::string_view name = member.name.GetString();  // upstream, too, stops at a NUL
    const TensorInfo* input = Find(name);
    if (input == nullptr) {
      return RowError(
          index, name,
          Status::InvalidArgument("JSON object: does not have named input: " + std::string(name)));
    }
    JsonTensor& tensor = (*tensors)[static_cast<size_t>(input - inputs_.data())];
    if (tensor.rows() > index) continue;
    if (Status status = tensor.Add(member.value); !status.ok()) {
      return RowError(index, name, status);
    }
  }
  for (const JsonTensor& tensor : *tensors) {
    if (tensor.rows() != index + 1) return MissingInputs(row, index);
  }
  return Status();
}

Status InputReader::MissingInputs(const Value& row, size_t index) const {
  std::string names;
  for (const TensorInfo& input : inputs_) names += (names.empty() ? "" : ",") + input.alias;
  return Status::InvalidArgument(RowName(index) + " of 'instances' list. JSON object: " +
                                 JsonDebugText(row) + " keys must be equal to: " + names);
}

Result<JsonInputs> InputReader::ReadInstances(const Value& instances) {
  const Value& first = instances[0];
  if (inputs_.size() > 1 && !first.IsObject()) {
    return Status::InvalidArgument(
        "instances is a plain list, but expecting list of objects as multiple input tensors "
        "required as per tensorinfo_map");
  }
  // A base64 object is a value: of the only input, or, with several, of one of them.
  const size_t count = IsNamedInputs(first) ? inputs_.size() : 1;
  std::vector<JsonTensor> tensors;
  tensors.reserve(count);
  for (size_t i = 0; i < count; ++i) tensors.push_back(MakeTensor(inputs_[i], instances.Size()));
  FASTSERVE_RETURN_IF_ERROR(IsNamedInputs(first) ? ReadNamedRows(instances, &tensors)
                                                 : ReadPlainRows(instances, &tensors[0]));
  JsonInputs result{.format = JsonFormat::kRow, .inputs = {}};
  result.inputs.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    result.inputs.emplace_back(inputs_[i].alias, std::move(tensors[i]).TakeRows());
  }
  return result;
}

Result<JsonInputs> InputReader::ReadInputs(const Value& value) {
  const bool is_named = IsNamedInputs(value);
  if (!is_named && inputs_.size() > 1) {
    return Status::InvalidArgument(
        "inputs is a plain value/list, but expecting an object as multiple input tensors required "
        "as per tensorinfo_map");
  }
  JsonInputs result{.format = JsonFormat::kColumn, .inputs = {}};
  result.inputs.reserve(inputs_.size());
  for (const TensorInfo& input : inputs_) {
    const Value* item = is_named ? FindMember(value, input.alias) : &value;
    if (item == nullptr) {
      return Status::InvalidArgument("Missing named input: " + input.alias +
                                     " in 'inputs' object.");
    }
    JsonTensor tensor = MakeTensor(input, 1);
    FASTSERVE_RETURN_IF_ERROR(tensor.Add(*item));
    result.inputs.emplace_back(input.alias, std::move(tensor).TakeOnly());
  }
  return result;
}

Status CheckRanks(const JsonInputs& inputs) {
  for (const auto& [alias, tensor] : inputs.inputs) {
    if (tensor.dims.size() <= kMaxRank) continue;
    return Status::InvalidArgument("tensor parsing error: " + alias);
  }
  return Status();
}

}  // namespace

PredictJson::PredictJson(std::unique_ptr<const JsonDocument> document)
    : document_(std::move(document)) {}
PredictJson::PredictJson(PredictJson&&) noexcept = default;
PredictJson& PredictJson::operator=(PredictJson&&) noexcept = default;
PredictJson::~PredictJson() = default;

Result<PredictJson> PredictJson::Parse(ByteView body) {
  Result<std::unique_ptr<const JsonDocument>> document = JsonDocument::Parse(body);
  if (!document.ok()) return document.status();
  return PredictJson(std::move(*document));
}

std::string_view PredictJson::signature_name() const { return document_->signature_name(); }

Result<JsonInputs> PredictJson::ToInputs(const Signature& signature) const {
  const Value& root = document_->root();
  if (signature.inputs.empty()) {
    const std::string_view name = signature_name();
    return Status::InvalidArgument("Failed to get input map for signature: " +
                                   std::string(name.empty() ? "DEFAULT" : name));
  }
  const Value* instances = FindMember(root, "instances");
  const Value* inputs = FindMember(root, "inputs");
  if (instances == nullptr && inputs == nullptr) {
    return Status::InvalidArgument("Missing 'inputs' or 'instances' key");
  }
  if (instances != nullptr && inputs != nullptr) {
    return JsonValueError(
        root,
        "Not formatted correctly expecting only one of 'inputs' or 'instances' keys "
        "to exist ");
  }
  if (instances != nullptr && !instances->IsArray()) {
    return JsonValueError(root, "Expecting 'instances' to be an list/array");
  }
  if (instances != nullptr && instances->Empty()) {
    return JsonValueError(root, "No values in 'instances' array");
  }
  InputReader reader(signature, document_->body_size());
  Result<JsonInputs> result =
      instances ? reader.ReadInstances(*instances) : reader.ReadInputs(*inputs);
  if (result.ok()) FASTSERVE_RETURN_IF_ERROR(CheckRanks(*result));
  return result;
}

}  // namespace fastserve
