#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "codec/wire_reader.h"

namespace fastserve {

// tensorflow.serving.ModelSpec; the views borrow from the request.
struct ModelSpecView {
  std::string_view name;
  std::string_view signature_name;
  // At most one of the two is set (oneof version_choice): whichever came last on the wire.
  std::optional<int64_t> version;
  std::optional<std::string_view> version_label;
};

// Merges into `spec`, as protobuf does when a message comes twice. False when it does not parse.
bool ReadModelSpec(WireReader in, ModelSpecView* spec);

// The ModelSpec of an answer: the model as it was asked for, the version and the signature that
// answered.
struct AnsweringModel {
  std::string_view name;
  int64_t version = 0;
  std::string_view signature_name;
};

// A field that holds it: its size; Write...() writes at `to`, which has room, and returns the end.
size_t ModelSpecFieldSize(uint32_t field, const AnsweringModel& model);
char* WriteModelSpecField(char* to, uint32_t field, const AnsweringModel& model);

}  // namespace fastserve
