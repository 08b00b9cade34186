#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_chain.h"
#include "transport/http2/frames.h"

namespace fastserve {

// gRPC's wire format for tests, written by hand and not by the code under test.

// A message with its prefix.
inline std::string Message(std::string_view bytes, uint8_t flag = 0) {
  return BigEndian(flag, 1) + BigEndian(bytes.size(), 4) + std::string(bytes);
}

// The messages of a response's DATA.
inline std::vector<std::string> SplitMessages(std::string_view data) {
  constexpr size_t kPrefix = 5;
  std::vector<std::string> messages;
  while (data.size() >= kPrefix) {
    const size_t size = FromBigEndian(data.substr(1, 4));
    messages.emplace_back(data.substr(kPrefix, size));
    data.remove_prefix(std::min(data.size(), kPrefix + size));
  }
  EXPECT_TRUE(data.empty()) << "a message is cut off";
  return messages;
}

inline Fields CallFields(std::string_view path, const Fields& more = {}) {
  Fields fields = {{":method", "POST"},          {":scheme", "http"},
                   {":path", std::string(path)}, {":authority", "localhost"},
                   {"te", "trailers"},           {"content-type", "application/grpc"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

inline ByteChain Chain(std::string_view bytes) {
  ByteChain chain;
  chain.Append(bytes);
  return chain;
}

}  // namespace fastserve
