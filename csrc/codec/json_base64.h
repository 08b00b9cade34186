#pragma once

#include <rapidjson/document.h>

#include "base/byte_buffer.h"

namespace fastserve {

// {"b64": "<text>"} and nothing else: how JSON carries bytes.
bool IsBase64Object(const rapidjson::Value& value);
// The same of the object that a text begins with.
bool IsBase64Object(ByteView text);

}  // namespace fastserve
