#include "codec/json_debug.h"

#include <rapidjson/internal/dtoa.h>

#include <cmath>
#include <vector>

#include "codec/json_reader.h"
#include "codec/json_text.h"

namespace fastserve {
namespace {

constexpr size_t kMaxBytes = 256;

// Takes the events of a reader or of rapidjson::Value::Accept(), whose recursion it bounds: every
// level writes at least a byte, and once the text is long enough each event answers false, which
// ends the walk.
class DebugWriter {
 public:
  bool Null() { return Put("null"); }
  bool Bool(bool value) { return Put(value ? "true" : "false"); }
  bool Int(int value) { return Put(std::to_string(value)); }
  bool Uint(unsigned value) { return Put(std::to_string(value)); }
  bool Int64(int64_t value) { return Put(std::to_string(value)); }
  bool Uint64(uint64_t value) { return Put(std::to_string(value)); }
  bool Double(double value) {
    if (!std::isfinite(value)) {
      Put("");
      return false;
    }
    char text[32];
    const char* end = rapidjson::internal::dtoa(value, text);
    return Put({text, static_cast<size_t>(end - text)});
  }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) { return Put({text, size}); }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    if (!Separate()) return false;
    AppendJsonString(&text_, {text, size});
    return true;
  }
  bool Key(const char* text, rapidjson::SizeType size, bool copy) {
    return String(text, size, copy);
  }
  bool StartObject() { return Start('{', false); }
  bool StartArray() { return Start('[', true); }
  bool EndObject(rapidjson::SizeType) { return End('}'); }
  bool EndArray(rapidjson::SizeType) { return End(']'); }

  std::string Take() && { return std::move(text_); }

 private:
  struct Level {
    bool in_array;
    size_t tokens = 0;  // of an object, names and values
  };

  bool IsFull() const { return text_.size() >= kMaxBytes; }

  // What stands between the previous token and the next one.
  bool Separate() {
    if (IsFull()) return false;
    if (levels_.empty()) return true;
    Level& level = levels_.back();
    if (level.in_array) {
      if (level.tokens > 0) text_ += ", ";
    } else if (level.tokens % 2 == 1) {
      text_ += ": ";
    } else {
      text_ += level.tokens > 0 ? ",\n" : "\n";
      text_.append(4 * levels_.size(), ' ');
    }
    ++level.tokens;
    return true;
  }

  bool Put(std::string_view token) {
    if (!Separate()) return false;
    text_ += token;
    return true;
  }

  bool Start(char bracket, bool in_array) {
    if (!Separate()) return false;
    text_ += bracket;
    levels_.push_back({in_array});
    return true;
  }

  bool End(char bracket) {
    if (IsFull()) return false;
    const Level level = levels_.back();
    levels_.pop_back();
    if (!level.in_array && level.tokens > 0) {
      text_ += '\n';
      text_.append(4 * levels_.size(), ' ');
    }
    text_ += bracket;
    return true;
  }

  std::string text_;
  std::vector<Level> levels_;
};

}  // namespace

std::string JsonDebugText(const rapidjson::Value& value) {
  DebugWriter writer;
  value.Accept(writer);
  return std::move(writer).Take();
}

std::string JsonDebugText(ByteView text) {
  DebugWriter writer;
  JsonInput input(text);
  rapidjson::Reader().Parse<kJsonFlags>(input, writer);
  return std::move(writer).Take();
}

const char* JsonTypeName(const rapidjson::Value& value) {
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

}  // namespace fastserve
