#include "codec/inference_json.h"

#include <cstdint>
#include <cstring>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "codec/base64.h"
#include "codec/json_base64.h"
#include "codec/json_debug.h"
#include "codec/json_document.h"
#include "codec/json_number.h"
#include "codec/json_text.h"
#include "codec/wire_format.h"

namespace fastserve {
namespace {

using rapidjson::Value;

// The kinds of a tensorflow.Feature, by field number.
enum class Kind : uint32_t { kNone = 0, kBytes = 1, kFloat = 2, kInt64 = 3 };

constexpr uint32_t kExampleFeatures = 1;
constexpr uint32_t kFeaturesEntry = 1;
constexpr uint32_t kListValue = 1;  // of BytesList, FloatList and Int64List

const char* KindName(Kind kind) {
  switch (kind) {
    case Kind::kNone:
      break;
    case Kind::kBytes:
      return "bytes";
    case Kind::kFloat:
      return "float";
    case Kind::kInt64:
      return "int64";
  }
  return "UNKNOWN";
}

Status FeatureError(std::string_view name, std::string_view problem) {
  return Status::InvalidArgument("Feature: " + std::string(name) + std::string(problem));
}

// The Feature that a JSON value or list becomes.
class FeatureEncoder {
 public:
  Status Read(std::string_view name, const Value& content);

  size_t size() const { return kind_ == Kind::kNone ? 0 : BytesFieldSize(field(), list_size()); }
  // Writes the message at `to`, which has room, and returns the end.
  char* Write(char* to) const;

 private:
  uint32_t field() const { return static_cast<uint32_t>(kind_); }
  // Numbers are packed in one field, and strings are a field each.
  bool is_packed() const { return kind_ != Kind::kBytes; }
  size_t list_size() const {
    return is_packed() ? BytesFieldSize(kListValue, values_.size()) : values_.size();
  }
  Status Add(std::string_view name, const Value& value);
  Status AddNumber(std::string_view name, const Value& value);
  Status AddBase64(std::string_view text);
  void AddInt64(int64_t value);
  void AddBytes(ByteView bytes);
  // Makes this a feature of that kind, or tells that it is of another one.
  Status Become(std::string_view name, Kind kind);

  Kind kind_ = Kind::kNone;
  std::string values_;
  std::string decoded_;  // of base64; kept for its memory
};

Status FeatureEncoder::Read(std::string_view name, const Value& content) {
  kind_ = Kind::kNone;
  values_.clear();
  if (!content.IsArray()) return Add(name, content);
  for (const Value& value : content.GetArray()) FASTSERVE_RETURN_IF_ERROR(Add(name, value));
  return Status();
}

char* FeatureEncoder::Write(char* to) const {
  if (kind_ == Kind::kNone) return to;
  to = WriteBytesHeader(to, field(), list_size());
  if (is_packed()) return WriteBytesField(to, kListValue, values_);
  std::memcpy(to, values_.data(), values_.size());
  return to + values_.size();
}

Status FeatureEncoder::Become(std::string_view name, Kind kind) {
  if (kind_ != Kind::kNone && kind_ != kind) {
    return Status::InvalidArgument("Unexpected element type in feature: " + std::string(name) +
                                   " expecting type: " + KindName(kind_));
  }
  kind_ = kind;
  return Status();
}

Status FeatureEncoder::Add(std::string_view name, const Value& value) {
  if (value.IsNumber()) return AddNumber(name, value);
  if (value.IsBool()) {
    FASTSERVE_RETURN_IF_ERROR(Become(name, Kind::kInt64));
    AddInt64(value.GetBool() ? 1 : 0);
    return Status();
  }
  const bool is_base64 = IsBase64Object(value);
  if (!is_base64 && !value.IsString()) {
    return FeatureError(
        name, std::string(" has element with unexpected JSON type: ") + JsonTypeName(value));
  }
  FASTSERVE_RETURN_IF_ERROR(Become(name, Kind::kBytes));
  const Value& holder = is_base64 ? value.MemberBegin()->value : value;
  const std::string_view text(holder.GetString(), holder.GetStringLength());
  if (is_base64) return AddBase64(text);
  AddBytes(text);
  return Status();
}

Status FeatureEncoder::AddNumber(std::string_view name, const Value& value) {
  if (value.IsDouble()) {
    FASTSERVE_RETURN_IF_ERROR(Become(name, Kind::kFloat));
    const float number = FlushDenormal(static_cast<float>(value.GetDouble()));
    std::memcpy(Extend(&values_, sizeof number), &number, sizeof number);
    return Status();
  }
  FASTSERVE_RETURN_IF_ERROR(Become(name, Kind::kInt64));
  if (!value.IsInt64()) {
    return FeatureError(name, " has uint64_t element. Only int64_t is supported.");
  }
  AddInt64(value.GetInt64());
  return Status();
}

void FeatureEncoder::AddInt64(int64_t value) {
  char bytes[kMaxVarintBytes];
  const char* end = WriteVarint(bytes, static_cast<uint64_t>(value));
  values_.append(bytes, static_cast<size_t>(end - bytes));
}

void FeatureEncoder::AddBytes(ByteView bytes) {
  WriteBytesField(Extend(&values_, BytesFieldSize(kListValue, bytes.size())), kListValue, bytes);
}

Status FeatureEncoder::AddBase64(std::string_view text) {
  decoded_.resize(MaxBase64Bytes(text.size()));
  size_t size;
  if (!DecodeBase64(text, decoded_.data(), &size)) {
    return Status::InvalidArgument("Unable to base64 decode");
  }
  AddBytes(ByteView(decoded_).substr(0, size));
  return Status();
}

// The Examples that JSON objects become, one after the other.
class ExampleEncoder {
 public:
  // Adds one; tells in `size` how many bytes it takes.
  Status Add(const Value& object, size_t* size);
  std::string Take() && { return std::move(examples_); }

 private:
  struct Entry {
    std::string_view name;
    size_t end;  // in entries_
    bool kept;
  };

  void AddEntry(std::string_view name);
  void DropRepeated();

  std::string examples_;
  // Of one object; members for their memory.
  FeatureEncoder feature_;
  std::string entries_;  // the Features message: its map entries
  std::vector<Entry> list_;
};

Status ExampleEncoder::Add(const Value& object, size_t* size) {
  if (!object.IsObject()) {
    return Status::InvalidArgument(std::string("Example must be JSON object but got JSON ") +
                                   JsonTypeName(object));
  }
  entries_.clear();
  list_.clear();
  for (const auto& member : object.GetObject()) {
    const std::string_view name = member.name.GetString();  // upstream, too, stops at a NUL
    FASTSERVE_RETURN_IF_ERROR(feature_.Read(name, member.value));
    AddEntry(name);
  }
  if (list_.size() > 1) DropRepeated();
  *size = list_.empty() ? 0 : BytesFieldSize(kExampleFeatures, entries_.size());
  if (*size > 0) WriteBytesField(Extend(&examples_, *size), kExampleFeatures, entries_);
  return Status();
}

void ExampleEncoder::AddEntry(std::string_view name) {
  const size_t feature_size = feature_.size();
  const size_t size = BytesFieldSize(map_entry::kKey, name.size()) +
                      BytesFieldSize(map_entry::kValue, feature_size);
  char* to = Extend(&entries_, BytesFieldSize(kFeaturesEntry, size));
  to = WriteBytesHeader(to, kFeaturesEntry, size);
  to = WriteBytesField(to, map_entry::kKey, name);
  feature_.Write(WriteBytesHeader(to, map_entry::kValue, feature_size));
  list_.push_back({name, entries_.size(), true});
}

// Of entries with the same name only the last one stays, as in a map.
void ExampleEncoder::DropRepeated() {
  std::unordered_set<std::string_view> later;
  for (size_t i = list_.size(); i-- > 0;) list_[i].kept = later.insert(list_[i].name).second;
  size_t start = 0;
  size_t kept = 0;
  for (const Entry& entry : list_) {
    const size_t size = entry.end - start;
    if (entry.kept) {
      std::memmove(entries_.data() + kept, entries_.data() + start, size);
      kept += size;
    }
    start = entry.end;
  }
  entries_.resize(kept);
}

// Cuts `examples` into pieces of these sizes.
std::vector<ByteView> Slices(ByteView examples, const std::vector<size_t>& sizes) {
  std::vector<ByteView> slices;
  slices.reserve(sizes.size());
  for (const size_t size : sizes) {
    slices.push_back(examples.substr(0, size));
    examples.remove_prefix(size);
  }
  return slices;
}

Result<const Value*> FindExamples(const Value& root) {
  const Value* examples = FindMember(root, "examples");
  if (examples == nullptr) {
    return JsonValueError(root,
                          "When method is classify, key 'examples' is expected and was not found");
  }
  if (!examples->IsArray()) {
    return JsonValueError(root, "Expecting 'examples' value to be an list/array");
  }
  if (examples->Empty()) return JsonValueError(root, "'examples' value is an empty array");
  return examples;
}

void AppendFloat(std::string* text, ByteView floats, size_t index) {
  float value;
  std::memcpy(&value, floats.data() + index * sizeof value, sizeof value);
  char number[kMaxJsonNumberSize];
  text->append(number, static_cast<size_t>(FormatJsonNumber(value, number) - number));
}

// [["<label>", <score>], ...]
void AppendClasses(std::string* text, const ClassificationsView& view, size_t row) {
  *text += '[';
  for (size_t i = row * view.classes; i < (row + 1) * view.classes; ++i) {
    *text += i == row * view.classes ? "[" : ", [";
    AppendJsonString(text, view.labels.empty() ? std::string_view() : view.labels[i]);
    *text += ", ";
    if (view.scores.empty()) {
      *text += "0.0";
    } else {
      AppendFloat(text, view.scores, i);
    }
    *text += ']';
  }
  *text += ']';
}

constexpr std::string_view kHead = "{\n    \"results\": [";

Result<std::string> WriteJson(const ClassificationsView& view) {
  if (view.examples == 0) {
    return Status::InvalidArgument("Cannot convert empty ClassificationResults to JSON");
  }
  std::string text(kHead);
  for (size_t row = 0; row < view.examples; ++row) {
    if (row > 0) text += ", ";
    AppendClasses(&text, view, row);
  }
  return text + "\n    ]\n}";
}

Result<std::string> WriteJson(const RegressionsView& view) {
  if (view.values.empty()) {
    return Status::InvalidArgument("Cannot convert empty RegressionResults to JSON");
  }
  std::string text(kHead);
  for (size_t i = 0; i < view.values.size() / sizeof(float); ++i) {
    if (i > 0) text += ", ";
    AppendFloat(&text, view.values, i);
  }
  return text + "]\n}";
}

}  // namespace

Result<InferenceJson> ParseInferenceJson(ByteView body) {
  const Result<std::unique_ptr<const JsonDocument>> document = JsonDocument::Parse(body);
  if (!document.ok()) return document.status();
  const Value& root = (*document)->root();
  ExampleEncoder encoder;
  size_t context_size = 0;
  const Value* context = FindMember(root, "context");
  if (context != nullptr) FASTSERVE_RETURN_IF_ERROR(encoder.Add(*context, &context_size));
  const Result<const Value*> examples = FindExamples(root);
  if (!examples.ok()) return examples.status();
  std::vector<size_t> sizes;
  sizes.reserve((*examples)->Size());
  for (const Value& example : (*examples)->GetArray()) {
    FASTSERVE_RETURN_IF_ERROR(encoder.Add(example, &sizes.emplace_back()));
  }
  InferenceJson request;
  request.signature_name = (*document)->signature_name();
  request.examples = std::make_unique<const std::string>(std::move(encoder).Take());
  const ByteView bytes = *request.examples;
  if (context_size > 0) request.input.context.push_back(bytes.substr(0, context_size));
  request.input.examples = Slices(bytes.substr(context_size), sizes);
  return request;
}

Result<std::string> WriteInferenceJson(const InferenceResultView& result) {
  return std::visit([](const auto& view) { return WriteJson(view); }, result);
}

}  // namespace fastserve
