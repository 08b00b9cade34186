#include "codec/json_base64.h"

#include <cstdint>
#include <string_view>

#include "codec/json_reader.h"

namespace fastserve {
namespace {

using rapidjson::SizeType;

constexpr std::string_view kBase64Key = "b64";

// Tells by its first events whether an object is a string in base64: {"b64": "<text>"}.
class Base64Probe {
 public:
  bool StartObject() { return ++events_ == 1; }
  bool Key(const char* name, SizeType size, bool) {
    return ++events_ == 2 && std::string_view(name, size) == kBase64Key;
  }
  bool String(const char*, SizeType, bool) { return ++events_ == 3; }
  bool EndObject(SizeType) {
    is_base64_ = ++events_ == 4;
    return false;
  }
  bool Null() { return false; }
  bool Bool(bool) { return false; }
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(int64_t) { return false; }
  bool Uint64(uint64_t) { return false; }
  bool Double(double) { return false; }
  bool RawNumber(const char*, SizeType, bool) { return false; }
  bool StartArray() { return false; }
  bool EndArray(SizeType) { return false; }

  bool is_base64() const { return is_base64_; }

 private:
  int events_ = 0;
  bool is_base64_ = false;
};

}  // namespace

bool IsBase64Object(const rapidjson::Value& value) {
  if (!value.IsObject() || value.MemberCount() != 1) return false;
  const auto member = value.MemberBegin();
  return member->value.IsString() && member->name == "b64";
}

bool IsBase64Object(ByteView text) {
  const size_t name = text.find('"') + 1;
  if (name == 0 || name == text.size() || (text[name] != 'b' && text[name] != '\\')) return false;
  char strings[16];  // enough to know the key by
  JsonInput input(text, strings);
  Base64Probe probe;
  rapidjson::Reader().Parse<kJsonFlags | rapidjson::kParseInsituFlag>(input, probe);
  return probe.is_base64();
}

}  // namespace fastserve
