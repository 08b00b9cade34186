#include "codec/json_document.h"

#include "codec/json_debug.h"
#include "codec/json_reader.h"

namespace fastserve {

using rapidjson::Value;

Result<std::unique_ptr<const JsonDocument>> JsonDocument::Parse(ByteView body) {
  FASTSERVE_RETURN_IF_ERROR(CheckJsonSize(body));
  std::unique_ptr<JsonDocument> document(new JsonDocument);
  rapidjson::Document& root = document->root_;
  JsonInput input(body);
  FASTSERVE_RETURN_IF_ERROR(JsonParseStatus(root.ParseStream<kJsonFlags>(input)));
  if (!root.IsObject()) return JsonValueError<Value>(root, kIsNotObject);
  if (const Value* name = FindMember(root, kSignatureNameKey); name && !name->IsString()) {
    return JsonValueError<Value>(root, kSignatureNameIsNoString);
  }
  return std::unique_ptr<const JsonDocument>(std::move(document));
}

std::string_view JsonDocument::signature_name() const {
  const Value* name = FindMember(root_, kSignatureNameKey);
  if (name == nullptr) return {};
  return {name->GetString(), name->GetStringLength()};
}

const Value* FindMember(const Value& object, std::string_view name) {
  const auto size = static_cast<rapidjson::SizeType>(name.size());
  const auto member = object.FindMember(Value(rapidjson::StringRef(name.data(), size)));
  return member == object.MemberEnd() ? nullptr : &member->value;
}

}  // namespace fastserve
