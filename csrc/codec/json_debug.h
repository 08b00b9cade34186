#pragma once

#include <rapidjson/document.h>

#include <string>
#include <string_view>

#include "base/byte_buffer.h"
#include "base/status.h"

namespace fastserve {

// A value as error texts show it: indented by four spaces, arrays on one line, ending with the
// token that passes 256 bytes, so it is often not whole. A NaN or an infinity ends it too, for
// RapidJSON's writer refuses those. Never nests deeper than those bytes.
std::string JsonDebugText(const rapidjson::Value& value);
// The same of the value that a text begins with.
std::string JsonDebugText(ByteView text);

// The name of a value's type in error texts.
const char* JsonTypeName(const rapidjson::Value& value);

// kInvalidArgument: "JSON Value: <value> <problem>". `value`: as JsonDebugText() takes it.
template <class Value>
Status JsonValueError(const Value& value, std::string_view problem) {
  return Status::InvalidArgument("JSON Value: " + JsonDebugText(value) + " " +
                                 std::string(problem));
}

}  // namespace fastserve
