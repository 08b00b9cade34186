#include "codec/base64.h"

#include <array>
#include <cstdint>

namespace fastserve {
namespace {

constexpr char kStandard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr char kUrlSafe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// What a character of the text is: six bits of data (0..63), or one of these.
constexpr uint8_t kSpace = 0x40;
constexpr uint8_t kPadding = 0x41;
constexpr uint8_t kInvalid = 0x80;

class Meanings {
 public:
  explicit constexpr Meanings(const char (&alphabet)[65]) {
    for (uint8_t& meaning : meanings_) meaning = kInvalid;
    for (uint8_t i = 0; i < 64; ++i) meanings_[static_cast<uint8_t>(alphabet[i])] = i;
    for (const char space : {' ', '\t', '\n', '\v', '\f', '\r'}) {
      meanings_[static_cast<uint8_t>(space)] = kSpace;
    }
    meanings_['='] = meanings_['.'] = kPadding;
  }
  uint8_t operator[](char c) const { return meanings_[static_cast<uint8_t>(c)]; }

 private:
  std::array<uint8_t, 256> meanings_{};
};

constexpr Meanings kStandardMeanings(kStandard);
constexpr Meanings kUrlSafeMeanings(kUrlSafe);

// Of the alphabet that the text is in. One in both has characters that this one lacks.
const Meanings& MeaningsIn(std::string_view text) {
  const bool is_url_safe =
      text.find('-') != std::string_view::npos || text.find('_') != std::string_view::npos;
  return is_url_safe ? kUrlSafeMeanings : kStandardMeanings;
}

// Whole groups of four data characters, the bulk of any text. Returns where it stopped.
const char* DecodeGroups(const Meanings& meanings, const char* from, const char* end, char** to) {
  char* out = *to;
  for (; end - from >= 4; from += 4) {
    const uint32_t a = meanings[from[0]], b = meanings[from[1]];
    const uint32_t c = meanings[from[2]], d = meanings[from[3]];
    if ((a | b | c | d) >= 64) break;
    const uint32_t bits = a << 18 | b << 12 | c << 6 | d;
    *out++ = static_cast<char>(bits >> 16);
    *out++ = static_cast<char>(bits >> 8);
    *out++ = static_cast<char>(bits);
  }
  *to = out;
  return from;
}

// Whether the rest of the text is white space with no padding, or with `wanted` of it.
bool IsTail(const Meanings& meanings, const char* from, const char* end, int wanted) {
  int padding = 0;
  for (; from != end; ++from) {
    if (meanings[*from] == kPadding) {
      ++padding;
    } else if (meanings[*from] != kSpace) {
      return false;
    }
  }
  return padding == 0 || padding == wanted;
}

}  // namespace

void AppendBase64(std::string* to, ByteView bytes) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])); };
  const auto put = [&](uint32_t bits, int characters) {
    for (int shift = 18; characters > 0; --characters, shift -= 6) {
      to->push_back(kStandard[bits >> shift & 63]);
    }
  };
  to->reserve(to->size() + (bytes.size() + 2) / 3 * 4);
  size_t i = 0;
  for (; bytes.size() - i >= 3; i += 3) put(byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2), 4);
  if (bytes.size() - i == 2) {
    put(byte(i) << 16 | byte(i + 1) << 8, 3);
    to->append("=");
  } else if (bytes.size() - i == 1) {
    put(byte(i) << 16, 2);
    to->append("==");
  }
}

bool DecodeBase64(std::string_view text, char* to, size_t* size) {
  const Meanings& meanings = MeaningsIn(text);
  char* out = to;
  const char* end = text.data() + text.size();
  const char* from = DecodeGroups(meanings, text.data(), end, &out);
  uint32_t bits = 0;
  int held = 0;  // data characters in `bits`
  for (; from != end && meanings[*from] != kPadding; ++from) {
    if (meanings[*from] == kSpace) continue;
    if (meanings[*from] == kInvalid) return false;
    bits = bits << 6 | meanings[*from];
    if (++held == 4) {
      *out++ = static_cast<char>(bits >> 16);
      *out++ = static_cast<char>(bits >> 8);
      *out++ = static_cast<char>(bits);
      held = 0;
      bits = 0;
    }
  }
  if (held == 1) return false;
  if (held == 2) *out++ = static_cast<char>(bits >> 4);
  if (held == 3) {
    *out++ = static_cast<char>(bits >> 10);
    *out++ = static_cast<char>(bits >> 2);
  }
  *size = static_cast<size_t>(out - to);
  return IsTail(meanings, from, end, held == 0 ? 0 : 4 - held);
}

}  // namespace fastserve
