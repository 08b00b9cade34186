#pragma once

#include <memory>
#include <string>

#include "base/status.h"

struct ssl_ctx_st;

namespace fastserve {

// What a server proves its identity with, and what it asks of its clients. Keys and certificates
// are PEM text.
struct TlsOptions {
  std::string server_key;
  std::string server_cert;  // may be followed by the certificates that it was issued with
  // What client certificates are verified against; empty: the system's roots.
  std::string client_roots;
  // Clients without a certificate that the roots vouch for are refused; else none is asked for.
  bool verify_clients = false;
};

// The server's side of TLS 1.2 and 1.3 for HTTP/2 (RFC 9113, section 9.2), before any connection.
// Threads: any; immutable.
class TlsContext {
 public:
  // kInvalidArgument names the option that is wrong, by its field in upstream's SSLConfig;
  // kFailedPrecondition in a process where another library has taken OpenSSL's place.
  static Result<std::shared_ptr<const TlsContext>> Create(const TlsOptions& options);

  // OpenSSL's side of it. A connection made from it keeps what it needs.
  ssl_ctx_st* get() const { return context_.get(); }

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };
  explicit TlsContext(std::unique_ptr<ssl_ctx_st, Free> context) : context_(std::move(context)) {}

  const std::unique_ptr<ssl_ctx_st, Free> context_;
};

}  // namespace fastserve
