#include "transport/net/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <utility>
#include <vector>

namespace fastserve {
namespace {

template <class T, void (*kFree)(T*)>
struct Freer {
  void operator()(T* object) const { kFree(object); }
};
using CertificatePtr = std::unique_ptr<X509, Freer<X509, X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY, EVP_PKEY_free>>;
using BioPtr = std::unique_ptr<BIO, Freer<BIO, BIO_free_all>>;

constexpr unsigned char kHttp2[] = {2, 'h', '2'};  // as ALPN lists names
// What HTTP/2 may use with TLS 1.2 (RFC 9113, appendix A, names the rest).
constexpr char kTls12Ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

// False when the dynamic linker has resolved OpenSSL's names to BoringSSL's, which TensorFlow's
// Python package exports to the whole process. Both look alike, but their structures differ.
bool IsOpenSsl() { return OpenSSL_version_num() >> 28 == OPENSSL_VERSION_MAJOR; }

// OpenSSL's own words for the last error of this thread.
std::string Reason() {
  const unsigned long error = ERR_peek_last_error();
  const char* reason = ERR_reason_error_string(error);
  ERR_clear_error();
  return reason ? reason : "unknown error";
}

Status Bad(const std::string& field, const std::string& why) {
  return Status::InvalidArgument(field + ": " + why);
}

// An encrypted key is an error; OpenSSL would ask on the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

BioPtr Reader(const std::string& pem) {
  return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

Result<std::vector<CertificatePtr>> ReadCertificates(const std::string& field,
                                                     const std::string& pem) {
  const BioPtr reader = Reader(pem);
  std::vector<CertificatePtr> certificates;
  ERR_clear_error();
  while (X509* read = PEM_read_bio_X509(reader.get(), nullptr, &NoPassword, nullptr)) {
    certificates.emplace_back(read);
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!at_end) return Bad(field, "a certificate cannot be read (" + Reason() + ")");
  ERR_clear_error();
  if (certificates.empty()) return Bad(field, "it holds no certificate in PEM");
  return certificates;
}

Status UseCertificates(SSL_CTX* context, const std::string& pem) {
  Result<std::vector<CertificatePtr>> chain = ReadCertificates("server_cert", pem);
  if (!chain.ok()) return chain.status();
  bool used = SSL_CTX_use_certificate(context, chain->front().get()) == 1;
  for (size_t i = 1; used && i < chain->size(); ++i) {
    used = SSL_CTX_add1_chain_cert(context, (*chain)[i].get()) == 1;
  }
  return used ? Status() : Bad("server_cert", "it cannot be used (" + Reason() + ")");
}

Status UseKey(SSL_CTX* context, const std::string& pem) {
  const KeyPtr key(PEM_read_bio_PrivateKey(Reader(pem).get(), nullptr, &NoPassword, nullptr));
  if (key == nullptr) {
    return Bad("server_key",
               "it holds no private key in PEM without a password (" + Reason() + ")");
  }
  if (SSL_CTX_use_PrivateKey(context, key.get()) == 1 && SSL_CTX_check_private_key(context) == 1) {
    return {};
  }
  return Bad("server_key", "it does not belong to server_cert (" + Reason() + ")");
}

Status UseRoots(SSL_CTX* context, const std::string& pem) {
  if (pem.empty()) {
    return SSL_CTX_set_default_verify_paths(context) == 1
               ? Status()
               : Bad("custom_ca", "it is empty, and the system's roots cannot be read");
  }
  Result<std::vector<CertificatePtr>> roots = ReadCertificates("custom_ca", pem);
  if (!roots.ok()) return roots.status();
  for (const CertificatePtr& root : *roots) {
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root.get()) != 1 ||
        SSL_CTX_add_client_CA(context, root.get()) != 1) {
      return Bad("custom_ca", "it cannot be used (" + Reason() + ")");
    }
  }
  return {};
}

int SelectProtocol(SSL*, const unsigned char** selected, unsigned char* size,
                   const unsigned char* offered, unsigned int offered_size, void*) {
  unsigned char* found = nullptr;
  const int result =
      SSL_select_next_proto(&found, size, kHttp2, sizeof(kHttp2), offered, offered_size);
  *selected = found;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

// Everything that does not depend on keys and certificates.
bool SetUp(SSL_CTX* context) {
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                   SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(context, &SelectProtocol, nullptr);
  // Without a name of its own, OpenSSL refuses to resume sessions of verified clients.
  constexpr unsigned char kSessions[] = "fastserve";
  return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
         SSL_CTX_set_cipher_list(context, kTls12Ciphers) == 1 &&
         SSL_CTX_set_session_id_context(context, kSessions, sizeof(kSessions)) == 1;
}

}  // namespace

void TlsContext::Free::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

Result<std::shared_ptr<const TlsContext>> TlsContext::Create(const TlsOptions& options) {
  if (!IsOpenSsl()) {
    return Status::FailedPrecondition(
        "another library in this process, such as TensorFlow's Python package, has put its own "
        "functions in the place of OpenSSL's: TLS needs a process without it");
  }
  std::unique_ptr<SSL_CTX, Free> context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr || !SetUp(context.get())) {
    return Status::Internal("OpenSSL cannot make a TLS server: " + Reason());
  }
  FASTSERVE_RETURN_IF_ERROR(UseCertificates(context.get(), options.server_cert));
  FASTSERVE_RETURN_IF_ERROR(UseKey(context.get(), options.server_key));
  if (options.verify_clients) {
    FASTSERVE_RETURN_IF_ERROR(UseRoots(context.get(), options.client_roots));
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return std::shared_ptr<const TlsContext>(new TlsContext(std::move(context)));
}

}  // namespace fastserve
