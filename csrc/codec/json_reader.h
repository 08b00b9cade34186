#pragma once

#include <rapidjson/reader.h>

#include <algorithm>
#include <cstddef>
#include <span>

#include "base/byte_buffer.h"
#include "base/status.h"

namespace fastserve {

// How upstream has RapidJSON read a body: nesting of any depth without recursion, NaN and
// infinities are numbers, and what follows the first whole value is not looked at.
inline constexpr unsigned kJsonFlags = rapidjson::kParseIterativeFlag |
                                       rapidjson::kParseNanAndInfFlag |
                                       rapidjson::kParseStopWhenDoneFlag;

// A text as a stream of RapidJSON's. A byte order mark, or what there is of one, is skipped, as
// upstream does (rapidjson::EncodedInputStream).
// With kParseInsituFlag decoded strings gather in `strings`, one behind the other, each followed by
// a NUL. As much room as the text takes is enough for all of them: decoding lengthens nothing, and
// a NUL takes the place of a quotation mark. Characters without room are counted but not stored.
class JsonInput {
 public:
  using Ch = char;

  explicit JsonInput(ByteView text, std::span<char> strings = {})
      : begin_(text.data()), at_(begin_), end_(begin_ + text.size()), strings_(strings) {
    for (const char mark : {'\xef', '\xbb', '\xbf'}) {
      if (Peek() == mark) ++at_;
    }
  }

  char Peek() const { return at_ == end_ ? '\0' : *at_; }
  char Take() { return at_ == end_ ? '\0' : *at_++; }
  size_t Tell() const { return static_cast<size_t>(at_ - begin_); }
  // The text from here on; set: what is to be read next, a part of it.
  ByteView rest() const { return {at_, static_cast<size_t>(end_ - at_)}; }
  void set_rest(ByteView rest) { at_ = rest.data(); }

  char* PutBegin() {
    string_begin_ = put_;
    return strings_.data() + std::min(put_, strings_.size());
  }
  void Put(char c) {
    if (put_ < strings_.size()) strings_[put_] = c;
    ++put_;
  }
  size_t PutEnd(const char*) const { return put_ - string_begin_; }

 private:
  const char* const begin_;
  const char* at_;
  const char* const end_;
  const std::span<char> strings_;
  size_t put_ = 0;  // characters of strings so far
  size_t string_begin_ = 0;
};

// kInvalidArgument with upstream's text for a body that is empty, or too large for RapidJSON.
Status CheckJsonSize(ByteView body);

// OK, or kInvalidArgument with upstream's text: reason and offset.
Status JsonParseStatus(const rapidjson::ParseResult& result);

}  // namespace fastserve
