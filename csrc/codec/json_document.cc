#include "codec/json_document.h"

#include <rapidjson/encodedstream.h>
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>

#include <cstdint>
#include <string>

#include "codec/json_debug.h"

namespace fastserve {
namespace {

using rapidjson::Value;

constexpr unsigned kParseFlags = rapidjson::kParseIterativeFlag | rapidjson::kParseNanAndInfFlag |
                                 rapidjson::kParseStopWhenDoneFlag;
// RapidJSON counts elements and bytes of strings in 32 bits.
constexpr size_t kMaxBodyBytes = UINT32_MAX;

constexpr std::string_view kSignatureName = "signature_name";

}  // namespace

Result<std::unique_ptr<const JsonDocument>> JsonDocument::Parse(ByteView body) {
  if (body.empty()) return Status::InvalidArgument("JSON Parse error: The document is empty");
  if (body.size() > kMaxBodyBytes) {
    return Status::InvalidArgument("JSON Parse error: The document is larger than 4 GiB");
  }
  std::unique_ptr<JsonDocument> document(new JsonDocument(body.size()));
  rapidjson::Document& root = document->root_;
  rapidjson::MemoryStream memory(body.data(), body.size());
  rapidjson::EncodedInputStream<rapidjson::UTF8<>, rapidjson::MemoryStream> stream(memory);
  if (root.ParseStream<kParseFlags>(stream).HasParseError()) {
    return Status::InvalidArgument(std::string("JSON Parse error: ") +
                                   rapidjson::GetParseError_En(root.GetParseError()) +
                                   " at offset: " + std::to_string(root.GetErrorOffset()));
  }
  if (!root.IsObject()) return JsonValueError(root, "Is not object");
  if (const Value* name = FindMember(root, kSignatureName); name && !name->IsString()) {
    return JsonValueError(root,
                          "not formatted correctly. 'signature_name' key must be a string value.");
  }
  return std::unique_ptr<const JsonDocument>(std::move(document));
}

std::string_view JsonDocument::signature_name() const {
  const Value* name = FindMember(root_, kSignatureName);
  if (name == nullptr) return {};
  return {name->GetString(), name->GetStringLength()};
}

const Value* FindMember(const Value& object, std::string_view name) {
  const auto size = static_cast<rapidjson::SizeType>(name.size());
  const auto member = object.FindMember(Value(rapidjson::StringRef(name.data(), size)));
  return member == object.MemberEnd() ? nullptr : &member->value;
}

const char* JsonTypeName(const Value& value) {
  switch (value.GetType()) {
    case rapidjson::kNullType:
      return "Null";
    case rapidjson::kFalseType:
      return "False";
    case rapidjson::kTrueType:
      return "True";
    case rapidjson::kObjectType:
      return "Object";
    case rapidjson::kArrayType:
      return "Array";
    case rapidjson::kStringType:
      return "String";
    case rapidjson::kNumberType:
      return "Number";
  }
  return "";
}

Status JsonValueError(const Value& value, std::string_view problem) {
  return Status::InvalidArgument("JSON Value: " + JsonDebugText(value) + " " +
                                 std::string(problem));
}

}  // namespace fastserve
