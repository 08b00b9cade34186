#include "codec/json_reader.h"

#include <rapidjson/error/en.h>

#include <cstdint>
#include <string>

namespace fastserve {
namespace {

// RapidJSON counts elements and bytes of strings in 32 bits.
constexpr size_t kMaxBodyBytes = UINT32_MAX;

}  // namespace

Status CheckJsonSize(ByteView body) {
  if (body.empty()) return Status::InvalidArgument("JSON Parse error: The document is empty");
  if (body.size() > kMaxBodyBytes) {
    return Status::InvalidArgument("JSON Parse error: The document is larger than 4 GiB");
  }
  return Status();
}

Status JsonParseStatus(const rapidjson::ParseResult& result) {
  if (!result.IsError()) return Status();
  return Status::InvalidArgument(std::string("JSON Parse error: ") +
                                 rapidjson::GetParseError_En(result.Code()) +
                                 " at offset: " + std::to_string(result.Offset()));
}

}  // namespace fastserve
