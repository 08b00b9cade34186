#pragma once

#include <rapidjson/document.h>

#include <cstddef>
#include <memory>
#include <string_view>

#include "base/byte_buffer.h"
#include "base/status.h"

namespace fastserve {

// What is said of a body without this form; behind the body, as JsonValueError() has it.
inline constexpr std::string_view kIsNotObject = "Is not object";
inline constexpr std::string_view kSignatureNameIsNoString =
    "not formatted correctly. 'signature_name' key must be a string value.";

inline constexpr std::string_view kSignatureNameKey = "signature_name";

// The body of a REST request to a model, as a tree: a JSON object that may name a signature.
// Errors are kInvalidArgument with upstream's texts (util/json_tensor.cc).
// Threads: immutable once parsed, so any thread may read it.
class JsonDocument {
 public:
  static Result<std::unique_ptr<const JsonDocument>> Parse(ByteView body);

  const rapidjson::Value& root() const { return root_; }  // an object
  // Empty when the request names none. Valid as long as this object.
  std::string_view signature_name() const;

 private:
  JsonDocument() : allocator_(memory_, sizeof memory_), root_(&allocator_) {}

  alignas(std::max_align_t) char memory_[2048];  // small requests live in this one allocation
  rapidjson::MemoryPoolAllocator<> allocator_;
  rapidjson::Document root_;
};

// The first member of that name, or null.
const rapidjson::Value* FindMember(const rapidjson::Value& object, std::string_view name);

}  // namespace fastserve
