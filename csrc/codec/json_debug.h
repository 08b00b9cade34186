#pragma once

#include <rapidjson/document.h>

#include <string>

namespace fastserve {

// `value` as error texts show it: indented by four spaces, arrays on one line, ending with the
// token that passes 256 bytes, so it is often not whole. A NaN or an infinity ends it too, for
// RapidJSON's writer refuses those. Never nests deeper than those bytes.
std::string JsonDebugText(const rapidjson::Value& value);

}  // namespace fastserve
