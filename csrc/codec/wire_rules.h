#pragma once

#include <cstdint>
#include <span>

#include "codec/wire_reader.h"

namespace fastserve {

struct MessageRules;

// What the bytes of a field must be for its message to parse.
struct FieldRule {
  enum class Content : uint8_t { kAny, kText, kVarints, kFixed32s, kFixed64s, kMessage };
  Content content = Content::kAny;
  const MessageRules* message = nullptr;  // of a kMessage
};

// The rules of a message's fields, by field number; a field beyond them may be anything. Only the
// fields that have the wire type kBytes are in question: the others are valid when they can be
// skipped, and a known field with another wire type counts as unknown.
struct MessageRules {
  std::span<const FieldRule> fields;
};

extern const MessageRules kExampleRules;
extern const MessageRules kTensorProtoRules;
extern const MessageRules kPredictStreamedOptionsRules;
extern const MessageRules kRequestOptionsRules;

// Whether protobuf would parse the message that `in` is about to read.
bool IsValidMessage(WireReader in, const MessageRules& rules);

}  // namespace fastserve
