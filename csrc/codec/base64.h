#pragma once

#include <string>
#include <string_view>

#include "base/byte_buffer.h"

namespace fastserve {

// Appends `bytes` in base64: RFC 4648's standard alphabet, with padding.
void AppendBase64(std::string* to, ByteView bytes);

// The most bytes that DecodeBase64() writes for a text of this length.
constexpr size_t MaxBase64Bytes(size_t text_size) { return text_size / 4 * 3 + 3; }

// Decodes `text` into `to`, which has room for MaxBase64Bytes(text.size()) or is the text's own
// memory, and tells the size. As lenient as the decoder that upstream uses (absl::Base64Unescape):
// white space counts nowhere, padding is all there or all left out and may be written with dots,
// the bits of an incomplete byte may have any value. Beyond upstream, the URL-safe alphabet is
// taken too (RFC 4648, section 5), but not both in one text. False on anything else.
bool DecodeBase64(std::string_view text, char* to, size_t* size);

}  // namespace fastserve
