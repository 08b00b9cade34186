#pragma once

#include <string>
#include <string_view>

namespace fastserve {

// Appends `text` as a JSON string, with its quotes. Escaped are '"', '\' and the bytes below 0x20
// (\b \f \n \r \t, others \u00XX); all other bytes go out as they are, UTF-8 or not, as upstream's
// do.
void AppendJsonString(std::string* to, std::string_view text);

}  // namespace fastserve
