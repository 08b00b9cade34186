#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "load/expected_answers.h"

namespace fastserve::bench {

// Judges answers that arrive in pieces, at the price of a memcmp in the usual case: once an answer
// was found right by ExpectedAnswers, later ones with the very same bytes are right too, and only
// others are gathered and examined in full. Threads: one; each has its own.
class AnswerCheck {
 public:
  // `prefix_size` leading bytes are transport framing (a gRPC message's prefix), judged by the
  // caller. `expected` outlives this.
  AnswerCheck(const ExpectedAnswers& expected, size_t prefix_size)
      : expected_(expected), prefix_size_(prefix_size) {}

  // One answer under way; reusable after Reset().
  class Answer {
   public:
    void Reset();
    void Append(const AnswerCheck& check, std::string_view piece);
    size_t size() const { return gathered_.empty() ? same_ : gathered_.size(); }
    // What arrived, framing included; valid until the next change.
    std::string_view bytes() const;

   private:
    friend class AnswerCheck;
    const std::string* known_ = nullptr;  // the right answer that this one is compared with
    size_t same_ = 0;                     // leading bytes equal to known_
    std::string gathered_;                // everything, once it differs from known_
  };

  // The index of the expected answer that a complete `answer` agrees with.
  std::optional<size_t> Judge(const Answer& answer);

 private:
  // Encodings kept; beyond that, others pay for the full check each time.
  static constexpr size_t kMaxKnown = 64;

  struct Known {
    std::string bytes;
    size_t index;
  };

  const ExpectedAnswers& expected_;
  const size_t prefix_size_;
  std::deque<Known> known_;        // right answers; never moved or removed: answers point to them
  const Known* latest_ = nullptr;  // the one that the next answer is most likely to equal
};

}  // namespace fastserve::bench
