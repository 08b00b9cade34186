#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace fastserve {

// What a call or a page is for, which decides whose token opens it.
enum class Access {
  kOpen,        // probes: no token
  kPredict,     // use of models: a client's token, or an administrator's
  kAdminister,  // an administrator's token
};

// What a gRPC method is for. `path`: "/package.Service/Method". A method that is not known here is
// administration, so that a new one is not open by oversight.
Access AccessOf(std::string_view path);

// Secrets. Immutable.
class TokenSet {
 public:
  static constexpr size_t kMaxTokenBytes = 512;

  // kInvalidArgument for an empty token and one over kMaxTokenBytes.
  static Result<std::shared_ptr<const TokenSet>> Create(const std::vector<std::string>& tokens);

  // Takes the same time whether `token` is a member or not, and wherever it differs from one.
  bool Contains(std::string_view token) const;

 private:
  struct Padded {
    explicit Padded(std::string_view token);  // cut to what there is room for

    std::array<char, kMaxTokenBytes> bytes{};
    size_t size;  // of the whole token
  };
  static bool Equal(const Padded& a, const Padded& b);

  std::vector<Padded> tokens_;
};

// Decides by a request's `authorization` whether it is answered. Takes no lock.
// Threads: Check() from any; SetTokens() from one at a time.
class AccessControl {
 public:
  // From now on these open what `access` (not kOpen) needs, instead of those before. Without any
  // ever, kPredict needs no token and kAdminister is closed. Errors as TokenSet has them.
  Status SetTokens(Access access, const std::vector<std::string>& tokens);

  // `authorization` is the field's value: "Bearer TOKEN" (RFC 6750, the scheme in any case), or the
  // token alone. kUnauthenticated without a token that is known, kPermissionDenied for a client's
  // token where an administrator's is needed. No text tells anything of a token.
  Status Check(Access access, std::string_view authorization) const;

 private:
  std::atomic<std::shared_ptr<const TokenSet>> clients_;  // null: predictions need no token
  std::atomic<std::shared_ptr<const TokenSet>> administrators_;
};

}  // namespace fastserve
