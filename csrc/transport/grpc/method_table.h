#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "transport/grpc/server.h"

namespace fastserve {

// What a server's calls are handed to. Filled before the I/O threads start, constant from then on.
struct MethodTable {
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view path) const { return std::hash<std::string_view>()(path); }
  };
  using Methods = std::unordered_map<std::string, UnaryMethod, Hash, std::equal_to<>>;
  // A path with its method.
  using Entry = Methods::value_type;

  // The native method at `path`, or null.
  const Entry* Find(std::string_view path) const {
    const auto found = methods.find(path);
    return found == methods.end() ? nullptr : &*found;
  }

  Methods methods;
  FallbackHandler fallback;  // may be null
  Authorizer authorizer;     // may be null
};

}  // namespace fastserve
