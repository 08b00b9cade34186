#pragma once

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "transport/net/tls_context.h"

namespace fastserve {

// A self-signed certificate with its key, as PEM. It is its own root.
struct Identity {
  std::string key;
  std::string cert;
};

inline std::string TextOf(BIO* memory) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(memory, &bytes);
  return {bytes, static_cast<size_t>(size)};
}

inline Identity MakeIdentity(const char* name) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"),
                                                                &EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> cert(X509_new(), &X509_free);
  X509_set_version(cert.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), 3600);
  X509_set_pubkey(cert.get(), key.get());
  X509_NAME* subject = X509_get_subject_name(cert.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  X509_set_issuer_name(cert.get(), subject);
  X509_sign(cert.get(), key.get(), EVP_sha256());
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> key_pem(BIO_new(BIO_s_mem()), &BIO_free_all);
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> cert_pem(BIO_new(BIO_s_mem()), &BIO_free_all);
  PEM_write_bio_PrivateKey(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  PEM_write_bio_X509(cert_pem.get(), cert.get());
  return {TextOf(key_pem.get()), TextOf(cert_pem.get())};
}

inline std::shared_ptr<const TlsContext> MakeContext(const TlsOptions& options) {
  auto context = TlsContext::Create(options);
  EXPECT_TRUE(context.ok()) << context.status().ToString();
  return *context;
}

// OpenSSL's client, in memory: the test carries its bytes.
class TlsPeer {
 public:
  struct Options {
    std::string alpn = std::string("\x02h2", 3);
    int version = 0;                     // the highest and only one; 0: any
    const Identity* identity = nullptr;  // what it shows when asked
  };

  explicit TlsPeer(const Options& options)
      : context_(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free) {
    SSL_CTX_set_min_proto_version(context_.get(), options.version);
    SSL_CTX_set_max_proto_version(context_.get(), options.version);
    // Else OpenSSL itself would not offer TLS 1.1.
    SSL_CTX_set_cipher_list(context_.get(), "DEFAULT@SECLEVEL=0");
    if (options.identity != nullptr) Show(*options.identity);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(options.alpn.data()),
                        static_cast<unsigned int>(options.alpn.size()));
    SSL_set_bio(ssl_.get(), in_ = BIO_new(BIO_s_mem()), out_ = BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl_.get());
    SSL_do_handshake(ssl_.get());
  }

  // What it has to send.
  std::string TakeOutput() {
    std::string bytes = TextOf(out_);
    BIO_reset(out_);
    return bytes;
  }
  // Returns the plain bytes that `sealed` makes complete.
  std::string Receive(const std::string& sealed) {
    BIO_write(in_, sealed.data(), static_cast<int>(sealed.size()));
    std::string plain;
    char room[5000];
    ERR_clear_error();
    for (int n; (n = SSL_read(ssl_.get(), room, sizeof(room))) > 0;) {
      plain.append(room, static_cast<size_t>(n));
    }
    return plain;
  }
  void Send(const std::string& plain) {
    EXPECT_EQ(SSL_write(ssl_.get(), plain.data(), static_cast<int>(plain.size())),
              static_cast<int>(plain.size()));
  }
  void End() { SSL_shutdown(ssl_.get()); }
  bool established() const { return SSL_is_init_finished(ssl_.get()) != 0; }
  bool ended() const { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }
  // OpenSSL's reason for the last failure, such as an alert that came.
  static std::string Error() {
    const char* reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason ? reason : "";
  }

 private:
  void Show(const Identity& identity) {
    const std::unique_ptr<BIO, decltype(&BIO_free_all)> key(
        BIO_new_mem_buf(identity.key.data(), static_cast<int>(identity.key.size())), &BIO_free_all);
    const std::unique_ptr<BIO, decltype(&BIO_free_all)> cert(
        BIO_new_mem_buf(identity.cert.data(), static_cast<int>(identity.cert.size())),
        &BIO_free_all);
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> read_key(
        PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> read_cert(
        PEM_read_bio_X509(cert.get(), nullptr, nullptr, nullptr), &X509_free);
    SSL_CTX_use_certificate(context_.get(), read_cert.get());
    SSL_CTX_use_PrivateKey(context_.get(), read_key.get());
  }

  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, &SSL_free};
  BIO* in_ = nullptr;   // ssl_'s
  BIO* out_ = nullptr;  // ssl_'s
};

}  // namespace fastserve
