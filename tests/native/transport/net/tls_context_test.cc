#include "transport/net/tls_context.h"

#include <gtest/gtest.h>

#include "transport/net/tls_peer.h"

namespace fastserve {
namespace {

using ::testing::Test;

class TlsContextTest : public Test {
 protected:
  static std::string ErrorOf(const TlsOptions& options) {
    const auto context = TlsContext::Create(options);
    EXPECT_EQ(context.status().code(), StatusCode::kInvalidArgument);
    return context.status().message();
  }
  static bool StartsWith(const std::string& text, const std::string& start) {
    return text.substr(0, start.size()) == start;
  }

  const Identity server_ = MakeIdentity("server");
  const Identity other_ = MakeIdentity("other");
};

TEST_F(TlsContextTest, KeyAndCertificateAreEnough) {
  EXPECT_NE(MakeContext({.server_key = server_.key, .server_cert = server_.cert}), nullptr);
}

TEST_F(TlsContextTest, CertificateMayBeFollowedByThoseOfItsIssuers) {
  const std::string chain = server_.cert + "a comment\n" + other_.cert;
  EXPECT_NE(MakeContext({.server_key = server_.key, .server_cert = chain}), nullptr);
}

TEST_F(TlsContextTest, EachFieldThatIsWrongIsNamed) {
  EXPECT_TRUE(StartsWith(ErrorOf({.server_key = server_.key}),
                         "server_cert: it holds no certificate in PEM"));
  EXPECT_TRUE(StartsWith(ErrorOf({.server_key = server_.key, .server_cert = "not PEM"}),
                         "server_cert: it holds no certificate in PEM"));
  const std::string damaged = server_.cert.substr(0, 80) + "\n-----END CERTIFICATE-----\n";
  EXPECT_TRUE(StartsWith(ErrorOf({.server_key = server_.key, .server_cert = damaged}),
                         "server_cert: a certificate cannot be read ("));
  EXPECT_TRUE(StartsWith(ErrorOf({.server_key = "", .server_cert = server_.cert}),
                         "server_key: it holds no private key in PEM without a password ("));
  EXPECT_TRUE(StartsWith(ErrorOf({.server_key = other_.key, .server_cert = server_.cert}),
                         "server_key: it does not belong to server_cert ("));
  EXPECT_EQ(ErrorOf({.server_key = server_.key,
                     .server_cert = server_.cert,
                     .client_roots = server_.key,
                     .verify_clients = true}),
            "custom_ca: it holds no certificate in PEM");
}

TEST_F(TlsContextTest, RootsAreNotLookedAtWhenClientsAreNotVerified) {
  EXPECT_NE(
      MakeContext(
          {.server_key = server_.key, .server_cert = server_.cert, .client_roots = "not PEM"}),
      nullptr);
}

TEST_F(TlsContextTest, SystemsRootsServeWhereNoneAreGiven) {
  EXPECT_NE(
      MakeContext({.server_key = server_.key, .server_cert = server_.cert, .verify_clients = true}),
      nullptr);
}

TEST_F(TlsContextTest, KeyWithAPasswordIsAnErrorAndNoQuestion) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"),
                                                                &EVP_PKEY_free);
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> pem(BIO_new(BIO_s_mem()), &BIO_free_all);
  PEM_write_bio_PKCS8PrivateKey(pem.get(), key.get(), EVP_aes_128_cbc(), "secret", 6, nullptr,
                                nullptr);
  EXPECT_TRUE(StartsWith(ErrorOf({.server_key = TextOf(pem.get()), .server_cert = server_.cert}),
                         "server_key: it holds no private key in PEM without a password ("));
}

}  // namespace
}  // namespace fastserve
