#include "codec/json_text.h"

#include <array>
#include <cstdint>

namespace fastserve {
namespace {

// The character after the backslash, 'u' for the \u00XX form, 0 for bytes that need no escape.
constexpr std::array<char, 256> MakeEscapes() {
  std::array<char, 256> escapes{};
  for (size_t byte = 0; byte < 0x20; ++byte) escapes[byte] = 'u';
  escapes['\b'] = 'b';
  escapes['\f'] = 'f';
  escapes['\n'] = 'n';
  escapes['\r'] = 'r';
  escapes['\t'] = 't';
  escapes['"'] = '"';
  escapes['\\'] = '\\';
  return escapes;
}

constexpr std::array<char, 256> kEscapes = MakeEscapes();
constexpr char kHexDigits[] = "0123456789ABCDEF";

}  // namespace

void AppendJsonString(std::string* to, std::string_view text) {
  to->push_back('"');
  size_t done = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    const char escape = kEscapes[byte];
    if (escape == 0) continue;
    to->append(text, done, i - done);
    done = i + 1;
    to->push_back('\\');
    to->push_back(escape);
    if (escape == 'u') to->append({'0', '0', kHexDigits[byte >> 4], kHexDigits[byte & 15]});
  }
  to->append(text, done);
  to->push_back('"');
}

}  // namespace fastserve
