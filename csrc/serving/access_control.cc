#include "serving/access_control.h"

#include <algorithm>
#include <utility>

namespace fastserve {
namespace {

struct Rule {
  std::string_view path;  // of a method; of all methods of a service where it ends in '/'
  Access access;
};

constexpr Rule kRules[] = {
    {"/tensorflow.serving.PredictionService/", Access::kPredict},
    {"/tensorflow.serving.ModelService/GetModelStatus", Access::kPredict},
    {"/grpc.reflection.v1.ServerReflection/", Access::kPredict},
    {"/grpc.reflection.v1alpha.ServerReflection/", Access::kPredict},
    {"/grpc.health.v1.Health/Check", Access::kOpen},
    {"/grpc.health.v1.Health/Watch", Access::kOpen},
};

constexpr std::string_view kScheme = "bearer";

bool EqualIgnoringCase(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
}

// What stands behind the scheme; all of a value without one.
std::string_view TokenOf(std::string_view authorization) {
  if (!EqualIgnoringCase(authorization.substr(0, kScheme.size()), kScheme)) return authorization;
  const std::string_view rest = authorization.substr(kScheme.size());
  const size_t begin = rest.find_first_not_of(' ');
  if (begin == 0) return authorization;  // a token that begins with these letters
  return begin == std::string_view::npos ? std::string_view() : rest.substr(begin);
}

}  // namespace

Access AccessOf(std::string_view path) {
  for (const Rule& rule : kRules) {
    if (rule.path.ends_with('/') ? path.starts_with(rule.path) : path == rule.path) {
      return rule.access;
    }
  }
  return Access::kAdminister;
}

TokenSet::Padded::Padded(std::string_view token) : size(token.size()) {
  std::copy_n(token.data(), std::min(token.size(), bytes.size()), bytes.begin());
}

Result<std::shared_ptr<const TokenSet>> TokenSet::Create(const std::vector<std::string>& tokens) {
  auto set = std::make_shared<TokenSet>();
  set->tokens_.reserve(tokens.size());
  for (const std::string& token : tokens) {
    if (token.empty() || token.size() > kMaxTokenBytes) {
      return Status::InvalidArgument("a token has " + std::to_string(token.size()) +
                                     " bytes; it must have from 1 to " +
                                     std::to_string(kMaxTokenBytes));
    }
    set->tokens_.emplace_back(token);
  }
  return std::shared_ptr<const TokenSet>(std::move(set));
}

bool TokenSet::Equal(const Padded& a, const Padded& b) {
  unsigned char difference = 0;
  for (size_t i = 0; i < kMaxTokenBytes; ++i) {
    difference = static_cast<unsigned char>(difference | (a.bytes[i] ^ b.bytes[i]));
  }
  return (difference == 0) & (a.size == b.size);
}

bool TokenSet::Contains(std::string_view token) const {
  const Padded shown(token);
  unsigned found = 0;
  for (const Padded& known : tokens_) found |= static_cast<unsigned>(Equal(shown, known));
  return found != 0;
}

Status AccessControl::SetTokens(Access access, const std::vector<std::string>& tokens) {
  Result<std::shared_ptr<const TokenSet>> set = TokenSet::Create(tokens);
  if (!set.ok()) return set.status();
  (access == Access::kAdminister ? administrators_ : clients_).store(std::move(*set));
  return {};
}

Status AccessControl::Check(Access access, std::string_view authorization) const {
  if (access == Access::kOpen) return {};
  const std::shared_ptr<const TokenSet> clients = clients_.load();
  if (access == Access::kPredict && clients == nullptr) return {};
  const std::string_view token = TokenOf(authorization);
  if (token.empty()) {
    return {StatusCode::kUnauthenticated,
            "No token: send one as \"authorization: Bearer TOKEN\", or TOKEN alone"};
  }
  const std::shared_ptr<const TokenSet> administrators = administrators_.load();
  const bool administers = administrators != nullptr && administrators->Contains(token);
  const bool predicts = clients != nullptr && clients->Contains(token);
  if (administers || (predicts && access == Access::kPredict)) return {};
  if (predicts) {
    return {StatusCode::kPermissionDenied,
            "The token is for predictions; this needs one of --admin_auth_token_file"};
  }
  return {StatusCode::kUnauthenticated, "The token in \"authorization\" is not known"};
}

}  // namespace fastserve
