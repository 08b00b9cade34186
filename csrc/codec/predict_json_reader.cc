#include "codec/predict_json_reader.h"

#include <algorithm>

#include "codec/json_base64.h"
#include "codec/json_debug.h"
#include "codec/json_document.h"

namespace fastserve {
namespace {

Status RowError(size_t row, std::optional<std::string_view> key, const Status& status) {
  if (status.code() == StatusCode::kResourceExhausted) return status;
  std::string text = "Failed to process element: " + std::to_string(row);
  if (key) text += " key: " + std::string(*key);
  return Status::InvalidArgument(text + " of 'instances' list. Error: " + status.ToString());
}

Status RankError(std::string_view alias) {
  return Status::InvalidArgument("tensor parsing error: " + std::string(alias));
}

}  // namespace

Status PredictJsonReader::Read() {
  FASTSERVE_RETURN_IF_ERROR(CheckJsonSize(body_));
  if (!strings_) return Status::ResourceExhausted("No memory for the strings of the request");
  rapidjson::Reader reader;
  FASTSERVE_RETURN_IF_ERROR(
      JsonParseStatus(reader.Parse<kJsonFlags | rapidjson::kParseInsituFlag>(input_, *this)));
  if (!is_object_) return JsonValueError(body_, kIsNotObject);
  if (!is_name_string_) return JsonValueError(body_, kSignatureNameIsNoString);
  return Status();
}

bool PredictJsonReader::Scalar(const Value& value) {
  if (IsIgnored()) return true;
  if (tensor_ == nullptr && Begin(Kind::kScalar) != Use::kTensor) return true;
  if (tensor_->Scalar(value)) {
    EndTensor();
  } else if (value.IsNumber()) {
    // RapidJSON goes on behind them: it is between an element and a comma, or the list's end.
    input_.set_rest(tensor_->TakeNumbers(input_.rest()));
  }
  return true;
}

bool PredictJsonReader::String(const char* text, SizeType size, bool) {
  if (!base64_.empty()) {
    is_tensor_whole_ = tensor_->Base64(base64_, strings_.data() + (text - strings_.data()), size);
    return true;
  }
  if (!IsIgnored() && place_ == Place::kMember && member_ == Member::kSignatureName) {
    name_.assign(text, size);
    return true;
  }
  return Scalar(Value(rapidjson::StringRef(text, size)));
}

bool PredictJsonReader::StartArray() {
  ++depth_;
  if (IsIgnored()) return true;
  const Use use = tensor_ != nullptr ? Use::kTensor : Begin(Kind::kList);
  if (use == Use::kTensor) tensor_->OpenList();
  if (use == Use::kIgnored && !IsIgnored()) IgnoreTo(depth_ - 1);
  return true;
}

bool PredictJsonReader::EndArray(SizeType) {
  --depth_;
  if (IsIgnored()) {
    if (depth_ == ignore_to_) ignore_to_ = kNever;
  } else if (tensor_ != nullptr) {
    if (tensor_->CloseList()) EndTensor();
  } else {
    place_ = Place::kMember;  // after the rows
  }
  return true;
}

bool PredictJsonReader::StartObject() {
  ++depth_;
  if (IsIgnored()) return true;
  const ByteView object = input_.rest();
  const bool is_base64 = IsBase64Object(object);
  const Use use = tensor_ != nullptr ? Use::kTensor
                                     : Begin(is_base64 ? Kind::kBase64Object : Kind::kNamedObject);
  if (use == Use::kTensor && is_base64 && tensor_->takes_base64()) {
    base64_ = object;
    return true;
  }
  if (use == Use::kEntered || IsIgnored()) return true;
  IgnoreTo(depth_ - 1);
  if (use == Use::kTensor && tensor_->Object(object)) EndTensor();
  return true;
}

bool PredictJsonReader::EndObject(SizeType) {
  --depth_;
  if (IsIgnored()) {
    if (depth_ == ignore_to_) ignore_to_ = kNever;
  } else if (tensor_ != nullptr) {
    base64_ = {};
    if (is_tensor_whole_) EndTensor();
  } else if (place_ == Place::kRow) {
    EndRow();
  } else {
    place_ = place_ == Place::kColumns ? Place::kMember : Place::kOutside;
  }
  return true;
}

bool PredictJsonReader::Key(const char* name, SizeType size, bool) {
  if (IsIgnored() || tensor_ != nullptr) return true;
  const std::string_view key(name, size);
  if (place_ == Place::kMember) {
    KeyOfBody(key);
  } else if (place_ == Place::kRow) {
    KeyOfRow(key.substr(0, key.find('\0')));  // upstream, too, stops at a NUL
  } else {
    KeyOfColumns(key);
  }
  return true;
}

void PredictJsonReader::KeyOfBody(std::string_view name) {
  member_ = Member::kOther;
  if (name == kSignatureNameKey && !has_name_) {
    has_name_ = true;
    member_ = Member::kSignatureName;
  } else if (name == "instances" && !has_instances_) {
    has_instances_ = true;
    if (!has_inputs_) member_ = Member::kInstances;
  } else if (name == "inputs" && !has_inputs_) {
    has_inputs_ = true;
    if (!has_instances_) member_ = Member::kInputs;
  }
}

// A name that comes twice counts once: the first value, as in look-ups. (Upstream takes both, which
// shifts the rows that follow.)
void PredictJsonReader::KeyOfRow(std::string_view name) {
  const TensorInfo* input = FindInput(name);
  if (input == nullptr) {
    FailRows(RowError(
        row_, name,
        Status::InvalidArgument("JSON object: does not have named input: " + std::string(name))));
    return;
  }
  const auto index = static_cast<size_t>(input - signature_->inputs.data());
  if (tensors_[index].rows() == row_) BeginTensor(index);
}

void PredictJsonReader::KeyOfColumns(std::string_view name) {
  const TensorInfo* input = FindInput(name);
  if (input == nullptr) return;
  const auto index = static_cast<size_t>(input - signature_->inputs.data());
  if (tensors_[index].rows() == 0 && errors_[index].ok()) BeginTensor(index);
}

PredictJsonReader::Use PredictJsonReader::Begin(Kind kind) {
  switch (place_) {
    case Place::kOutside:
      if (kind != Kind::kNamedObject && kind != Kind::kBase64Object) return Use::kIgnored;
      is_object_ = true;
      place_ = Place::kMember;
      return Use::kEntered;
    case Place::kRows:
      return BeginRow(kind);
    case Place::kRow:
    case Place::kColumns:
      return Use::kIgnored;
    case Place::kMember:
      break;
  }
  if (member_ == Member::kSignatureName) is_name_string_ = false;
  if (member_ == Member::kInputs) return BeginInputs(kind);
  if (member_ != Member::kInstances) return Use::kIgnored;
  is_instances_list_ = kind == Kind::kList;
  if (!is_instances_list_ || !FindInputs()) return Use::kIgnored;
  place_ = Place::kRows;
  return Use::kEntered;
}

PredictJsonReader::Use PredictJsonReader::BeginRow(Kind kind) {
  const size_t inputs = signature_->inputs.size();
  const bool is_named = kind == Kind::kNamedObject;
  if (row_ == 0) {
    // A base64 object is a value: of the only input, or, with several, of one of them.
    if (inputs > 1 && !is_named && kind != Kind::kBase64Object) {
      return FailRows(Status::InvalidArgument(
          "instances is a plain list, but expecting list of objects as multiple input tensors "
          "required as per tensorinfo_map"));
    }
    has_named_rows_ = is_named;
    MakeTensors(is_named ? inputs : 1);
  }
  if (is_named != has_named_rows_) {
    return FailRows(
        Status::InvalidArgument(std::string(is_named ? "Expecting value/list but got object"
                                                     : "Expecting object but got list") +
                                " at item " + std::to_string(row_) + " of input list"));
  }
  if (!is_named) return BeginTensor(0);
  row_text_ = input_.rest();
  place_ = Place::kRow;
  return Use::kEntered;
}

PredictJsonReader::Use PredictJsonReader::BeginInputs(Kind kind) {
  if (!FindInputs()) return Use::kIgnored;
  const size_t inputs = signature_->inputs.size();
  if (kind == Kind::kNamedObject) {
    MakeTensors(inputs);
    place_ = Place::kColumns;
    return Use::kEntered;
  }
  if (inputs > 1) {
    error_ = Status::InvalidArgument(
        "inputs is a plain value/list, but expecting an object as multiple input tensors required "
        "as per tensorinfo_map");
    return Use::kIgnored;
  }
  MakeTensors(1);
  return BeginTensor(0);
}

PredictJsonReader::Use PredictJsonReader::BeginTensor(size_t index) {
  tensor_ = &tensors_[index];
  return Use::kTensor;
}

void PredictJsonReader::EndTensor() {
  const auto index = static_cast<size_t>(tensor_ - tensors_.data());
  tensor_ = nullptr;
  const std::string& alias = signature_->inputs[index].alias;
  Status status = tensors_[index].EndValue();
  if (tensors_[index].too_deep()) {
    status = RankError(alias);
  } else if (!status.ok() && place_ == Place::kRow) {
    status = RowError(row_, alias, status);
  } else if (!status.ok() && place_ == Place::kRows) {
    status = RowError(row_, std::nullopt, status);
  }
  if (place_ == Place::kColumns || place_ == Place::kMember) {
    errors_[index] = std::move(status);
  } else if (!status.ok()) {
    FailRows(std::move(status));
  } else if (place_ == Place::kRows) {
    ++row_;
  }
}

void PredictJsonReader::EndRow() {
  for (const JsonTensor& tensor : tensors_) {
    if (tensor.rows() == row_ + 1) continue;
    std::string names;
    for (const TensorInfo& input : signature_->inputs) {
      names += (names.empty() ? "" : ",") + input.alias;
    }
    FailRows(
        Status::InvalidArgument("Failed to process element: " + std::to_string(row_) +
                                " of 'instances' list. JSON object: " + JsonDebugText(row_text_) +
                                " keys must be equal to: " + names));
    return;
  }
  ++row_;
  place_ = Place::kRows;
}

PredictJsonReader::Use PredictJsonReader::FailRows(Status status) {
  error_ = std::move(status);
  place_ = Place::kMember;
  IgnoreTo(1);
  return Use::kIgnored;
}

// Whether there is a signature with inputs.
bool PredictJsonReader::FindInputs() {
  if (!used_name_) used_name_ = name_;
  signature_ = find_(*used_name_);
  return signature_ != nullptr && !signature_->inputs.empty();
}

const TensorInfo* PredictJsonReader::FindInput(std::string_view alias) const {
  const std::vector<TensorInfo>& inputs = signature_->inputs;  // sorted by alias
  const auto input = std::lower_bound(
      inputs.begin(), inputs.end(), alias,
      [](const TensorInfo& info, std::string_view name) { return info.alias < name; });
  return input != inputs.end() && input->alias == alias ? &*input : nullptr;
}

// Each with room for its share of what the rest of the body may hold at most: there is a comma
// between two elements.
void PredictJsonReader::MakeTensors(size_t count) {
  const ByteView rest = input_.rest();
  const auto elements = static_cast<size_t>(std::count(rest.begin(), rest.end(), ',')) + 1;
  tensors_.reserve(count);
  errors_.resize(count);
  for (size_t i = 0; i < count; ++i) {
    tensors_.emplace_back(signature_->inputs[i].dtype, (elements + count - 1) / count);
  }
}

Status PredictJsonReader::Check() const {
  if (signature_->inputs.empty()) {
    return Status::InvalidArgument("Failed to get input map for signature: " +
                                   (name_.empty() ? "DEFAULT" : name_));
  }
  if (!has_instances_ && !has_inputs_) {
    return Status::InvalidArgument("Missing 'inputs' or 'instances' key");
  }
  if (has_instances_ && has_inputs_) {
    return JsonValueError(body_,
                          "Not formatted correctly expecting only one of 'inputs' or 'instances' "
                          "keys to exist ");
  }
  if (!is_instances_list_) {
    return JsonValueError(body_, "Expecting 'instances' to be an list/array");
  }
  FASTSERVE_RETURN_IF_ERROR(error_);
  if (has_instances_ && row_ == 0) {
    return JsonValueError(body_, "No values in 'instances' array");
  }
  return Status();
}

Result<JsonInputs> PredictJsonReader::TakeInputs() {
  signature_ = find_(name_);
  if (signature_ == nullptr) return Status::NotFound("the request names no signature");
  FASTSERVE_RETURN_IF_ERROR(Check());
  JsonInputs result{.format = has_instances_ ? JsonFormat::kRow : JsonFormat::kColumn,
                    .inputs = {}};
  result.inputs.reserve(tensors_.size());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const std::string& alias = signature_->inputs[i].alias;
    JsonTensor& tensor = tensors_[i];
    FASTSERVE_RETURN_IF_ERROR(errors_[i]);
    if (tensor.rows() == 0) {
      return Status::InvalidArgument("Missing named input: " + alias + " in 'inputs' object.");
    }
    result.inputs.emplace_back(alias, has_instances_ ? std::move(tensor).TakeRows(strings_)
                                                     : std::move(tensor).TakeOnly(strings_));
    if (result.inputs.back().second.dims.size() > kMaxTensorRank) return RankError(alias);
  }
  return result;
}

}  // namespace fastserve
