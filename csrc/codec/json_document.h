#pragma once

#include <rapidjson/document.h>

#include <cstddef>
#include <memory>
#include <string_view>

#include "base/byte_buffer.h"
#include "base/status.h"

namespace fastserve {

// The body of a REST request to a model: a JSON object that may name a signature. Errors are
// kInvalidArgument with upstream's texts (util/json_tensor.cc).
// Threads: immutable once parsed, so any thread may read it.
class JsonDocument {
 public:
  static Result<std::unique_ptr<const JsonDocument>> Parse(ByteView body);

  const rapidjson::Value& root() const { return root_; }  // an object
  size_t body_size() const { return body_size_; }
  // Empty when the request names none. Valid as long as this object.
  std::string_view signature_name() const;

 private:
  explicit JsonDocument(size_t body_size)
      : body_size_(body_size), allocator_(memory_, sizeof memory_), root_(&allocator_) {}

  const size_t body_size_;
  alignas(std::max_align_t) char memory_[2048];  // small requests live in this one allocation
  rapidjson::MemoryPoolAllocator<> allocator_;
  rapidjson::Document root_;
};

// The first member of that name, or null.
const rapidjson::Value* FindMember(const rapidjson::Value& object, std::string_view name);

// The name of a value's type in error texts.
const char* JsonTypeName(const rapidjson::Value& value);

// "JSON Value: <value> <problem>"
Status JsonValueError(const rapidjson::Value& value, std::string_view problem);

}  // namespace fastserve
