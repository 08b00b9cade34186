#include "load/answer_check.h"

#include <algorithm>
#include <cstring>

namespace fastserve::bench {

void AnswerCheck::Answer::Reset() {
  known_ = nullptr;
  same_ = 0;
  gathered_.clear();
}

void AnswerCheck::Answer::Append(const AnswerCheck& check, std::string_view piece) {
  if (piece.empty()) return;
  if (gathered_.empty()) {
    if (!known_ && check.latest_) known_ = &check.latest_->bytes;
    if (known_ && same_ + piece.size() <= known_->size() &&
        std::memcmp(known_->data() + same_, piece.data(), piece.size()) == 0) {
      same_ += piece.size();
      return;
    }
    if (known_) gathered_.assign(*known_, 0, same_);
  }
  gathered_.append(piece);
}

std::string_view AnswerCheck::Answer::bytes() const {
  if (!gathered_.empty()) return gathered_;
  return known_ ? std::string_view(*known_).substr(0, same_) : std::string_view();
}

std::optional<size_t> AnswerCheck::Judge(const Answer& answer) {
  if (latest_ && answer.known_ == &latest_->bytes && answer.gathered_.empty() &&
      answer.same_ == latest_->bytes.size()) {
    return latest_->index;
  }
  const std::string_view bytes = answer.bytes();
  if (bytes.size() < prefix_size_) return std::nullopt;
  const std::optional<size_t> index = expected_.Match(bytes.substr(prefix_size_));
  if (!index) return std::nullopt;
  const auto same = std::find_if(known_.begin(), known_.end(),
                                 [&](const Known& known) { return known.bytes == bytes; });
  if (same != known_.end()) {
    latest_ = &*same;
  } else if (known_.size() < kMaxKnown) {
    latest_ = &known_.emplace_back(Known{std::string(bytes), *index});
  }
  return index;
}

}  // namespace fastserve::bench
