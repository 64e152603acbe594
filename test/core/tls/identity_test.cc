// Loading certificates, keys, PKCS#12 files and OCSP responses: what is accepted, and what is said of what is not.
#include "core/tls/identity.h"

#include <gtest/gtest.h>
#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/crypto/certificate.h"
#include "core/tls/ocsp.h"
#include "test/support/certificates.h"

namespace weir::tls {
namespace {

using test::make_authority;
using test::make_certificate;
using test::TestIdentity;

constexpr WallTime kNow{1'700'000'000s};

IdentitySpec pem(const std::string& chain, const std::string& key) {
  return {.certificate_chain = {chain, "/etc/c.pem"}, .private_key = {key, "/etc/k.pem"}, .now = kNow};
}

std::string error_of(const IdentitySpec& spec) {
  auto loaded = Identity::load(spec);
  return loaded.ok() ? "(loaded)" : message_of(loaded.status());
}

class IdentityTest : public ::testing::Test {
 protected:
  TestIdentity root_ = make_authority("root");
  TestIdentity middle_ = make_authority("middle", &root_);
  TestIdentity leaf_ = make_certificate({.names = {"DNS:A.example", "DNS:*.b.example"}}, &middle_);
};

TEST_F(IdentityTest, ChainAndKey) {
  auto loaded = Identity::load(pem(leaf_.certificate + middle_.certificate, leaf_.private_key));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const Identity& identity = **loaded;
  EXPECT_EQ(identity.certificates().size(), 2u);
  EXPECT_EQ(identity.chain().size(), 2u);
  EXPECT_EQ(identity.key_kind(), KeyKind::kP256);
  EXPECT_EQ(identity.origin(), "/etc/c.pem");
  EXPECT_EQ(identity.server_names(), (std::vector<std::string>{"a.example", "*.b.example"}));
  EXPECT_FALSE(identity.must_staple());
  EXPECT_TRUE(identity.warnings().empty());
}

TEST_F(IdentityTest, TheCommonNameStandsInForNames) {
  TestIdentity plain = make_certificate({.common_name = "Www.Example"});
  auto loaded = Identity::load(pem(plain.certificate, plain.private_key));
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ((*loaded)->server_names(), std::vector<std::string>{"www.example"});
}

TEST_F(IdentityTest, KindsOfKeys) {
  const std::pair<test::Key, KeyKind> kinds[] = {{test::Key::kP256, KeyKind::kP256},
                                                 {test::Key::kP384, KeyKind::kP384},
                                                 {test::Key::kP521, KeyKind::kP521},
                                                 {test::Key::kRsa2048, KeyKind::kRsa},
                                                 {test::Key::kEd25519, KeyKind::kEd25519}};
  for (const auto& [made, kind] : kinds) {
    TestIdentity one = make_certificate({.key = made});
    auto loaded = Identity::load(pem(one.certificate, one.private_key));
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ((*loaded)->key_kind(), kind);
  }
  TestIdentity small = make_certificate({.key = test::Key::kRsa1024});
  EXPECT_EQ(error_of(pem(small.certificate, small.private_key)),
            "private_key: /etc/k.pem: is an RSA key of 1024 bits; at least 2048 are needed");
  TestIdentity odd = make_certificate({.key = test::Key::kSecp224});
  EXPECT_EQ(
      error_of(pem(odd.certificate, odd.private_key)),
      "private_key: /etc/k.pem: is an EC key of a curve that TLS has no use for; P-256, P-384 and P-521 are known");
}

TEST_F(IdentityTest, BrokenFiles) {
  EXPECT_EQ(error_of(pem("", leaf_.private_key)), "certificate_chain: /etc/c.pem: is empty");
  EXPECT_EQ(error_of(pem("nothing", leaf_.private_key)),
            "certificate_chain: /etc/c.pem: no certificate in it (no -----BEGIN CERTIFICATE-----)");
  EXPECT_EQ(error_of(pem(leaf_.certificate + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                         leaf_.private_key))
                .find("certificate_chain: /etc/c.pem: certificate 2 cannot be read: "),
            0u);
  EXPECT_EQ(error_of(pem(leaf_.certificate, "nothing")),
            "private_key: /etc/k.pem: no private key in it (no -----BEGIN PRIVATE KEY-----)");
  EXPECT_EQ(error_of(pem(leaf_.certificate, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
                .find("private_key: /etc/k.pem: cannot be read: "),
            0u);
  EXPECT_EQ(error_of({.private_key = {leaf_.private_key, "/etc/k.pem"}}),
            "certificate_chain: is missing; a certificate has certificate_chain and private_key, or pkcs12");
  EXPECT_EQ(error_of({.certificate_chain = {leaf_.certificate, "/etc/c.pem"}}),
            "private_key: is missing; the certificate /etc/c.pem needs one");
  EXPECT_EQ(error_of(pem(std::string(1024 * 1024 + 1, ' '), leaf_.private_key)),
            "certificate_chain: /etc/c.pem: has more than 1 MiB");
  std::string many;
  for (int i = 0; i < 33; ++i) many += leaf_.certificate;
  EXPECT_EQ(error_of(pem(many, leaf_.private_key)),
            "certificate_chain: /etc/c.pem: has 33 certificates; at most 32 are allowed");
}

TEST_F(IdentityTest, AKeyOfSomebodyElse) {
  EXPECT_EQ(error_of(pem(leaf_.certificate, root_.private_key)),
            "private_key: /etc/k.pem: is not that of the certificate /etc/c.pem (CN=leaf)");
  EXPECT_EQ(
      error_of(pem(middle_.certificate + leaf_.certificate, leaf_.private_key)),
      "certificate_chain: /etc/c.pem: the private key (/etc/k.pem) is that of certificate 2 (CN=leaf), which must be "
      "the first one");
  TestIdentity rsa = make_certificate({.key = test::Key::kRsa2048});
  EXPECT_EQ(error_of(pem(leaf_.certificate, rsa.private_key)),
            "private_key: /etc/k.pem: is not that of the certificate /etc/c.pem (CN=leaf)");
}

TEST_F(IdentityTest, Passwords) {
  IdentitySpec spec = pem(leaf_.certificate, leaf_.encrypted_key("open"));
  EXPECT_EQ(error_of(spec), "private_key: /etc/k.pem: is encrypted, and there is no password");
  spec.password = {"wrong", "inline"};
  EXPECT_EQ(error_of(spec).find("private_key: /etc/k.pem: cannot be decrypted with this password ("), 0u);
  spec.password = {std::string(10'000, 'x'), "inline"};
  EXPECT_EQ(error_of(spec).find("private_key: /etc/k.pem: cannot be decrypted with this password ("), 0u);
  spec.password = {"open", "inline"};
  EXPECT_TRUE(Identity::load(spec).ok());
}

TEST_F(IdentityTest, OrderOfAChain) {
  auto loaded = Identity::load(pem(leaf_.certificate + root_.certificate + middle_.certificate, leaf_.private_key));
  ASSERT_TRUE(loaded.ok());
  ASSERT_EQ((*loaded)->warnings().size(), 2u);
  EXPECT_EQ((*loaded)->warnings()[0],
            "certificate_chain: /etc/c.pem: certificate 2 (CN=root) did not sign certificate 1 (issuer CN=middle)");
  EXPECT_EQ((*loaded)->warnings()[1],
            "certificate_chain: /etc/c.pem: certificate 3 (CN=middle) did not sign certificate 2 (issuer CN=root)");
}

TEST_F(IdentityTest, Dates) {
  TestIdentity old = make_certificate({.not_after = kNow - 1h});
  auto loaded = Identity::load(pem(old.certificate, old.private_key));
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ((*loaded)->warnings(),
            std::vector<std::string>{"certificate_chain: /etc/c.pem: certificate 1 (CN=leaf) has expired"});
  TestIdentity early = make_certificate({.not_before = kNow + 1h});
  loaded = Identity::load(pem(early.certificate, early.private_key));
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ((*loaded)->warnings(),
            std::vector<std::string>{"certificate_chain: /etc/c.pem: certificate 1 (CN=leaf) is not valid yet"});
}

// RFC 5280 4.1.2.5: what never ends says so with a date that 64 bits of nanoseconds do not hold.
TEST_F(IdentityTest, ADateThatIsNone) {
  TestIdentity endless = make_certificate({});
  bssl::UniquePtr<ASN1_TIME> never(ASN1_TIME_new()), old(ASN1_TIME_new());
  ASSERT_TRUE(ASN1_TIME_set_string(never.get(), "99991231235959Z"));
  ASSERT_TRUE(ASN1_TIME_set_string(old.get(), "00010101000000Z"));
  ASSERT_TRUE(X509_set1_notAfter(endless.x509.get(), never.get()));
  ASSERT_TRUE(X509_set1_notBefore(endless.x509.get(), old.get()));
  ASSERT_TRUE(X509_sign(endless.x509.get(), endless.key.get(), EVP_sha256()));
  auto certificate = crypto::Certificate::parse_der(endless.der());
  ASSERT_TRUE(certificate.ok()) << certificate.status();
  EXPECT_GT(certificate->not_after(), kNow + std::chrono::years(200));
  EXPECT_LT(certificate->not_before(), kNow - std::chrono::years(200));
  auto loaded = Identity::load(pem(certificate->pem(), endless.private_key));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->warnings(), std::vector<std::string>());
}

TEST_F(IdentityTest, Pkcs12) {
  IdentitySpec spec{.pkcs12 = {leaf_.pkcs12("open", {&root_, &middle_}), "/etc/i.p12"}, .password = {"open", "inline"}};
  auto loaded = Identity::load(spec);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ASSERT_EQ((*loaded)->certificates().size(), 3u);
  EXPECT_EQ((*loaded)->certificates()[0].subject(), "CN=leaf");
  EXPECT_EQ((*loaded)->certificates()[1].subject(), "CN=middle");
  EXPECT_EQ((*loaded)->certificates()[2].subject(), "CN=root");
  EXPECT_EQ((*loaded)->origin(), "/etc/i.p12");
  EXPECT_TRUE((*loaded)->warnings().empty());

  TestIdentity stranger = make_authority("stranger");
  spec.pkcs12.bytes = leaf_.pkcs12("open", {&stranger, &middle_});
  loaded = Identity::load(spec);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ((*loaded)->certificates().size(), 2u);
  EXPECT_EQ(
      (*loaded)->warnings(),
      std::vector<std::string>{"pkcs12: /etc/i.p12: 1 of its certificates are no part of the chain and are not sent"});

  spec.password = {"wrong", "inline"};
  EXPECT_EQ(error_of(spec), "pkcs12: /etc/i.p12: cannot be decrypted with this password");
  spec.pkcs12.bytes = "junk";
  EXPECT_EQ(error_of(spec).find("pkcs12: /etc/i.p12: is not a PKCS#12 file that can be read: "), 0u);
  spec.certificate_chain = {leaf_.certificate, "/etc/c.pem"};
  EXPECT_EQ(error_of(spec), "pkcs12: /etc/i.p12: cannot be together with certificate_chain and private_key");
}

TEST_F(IdentityTest, MustStaple) {
  TestIdentity must = make_certificate({.must_staple = true});
  auto loaded = Identity::load(pem(must.certificate, must.private_key));
  ASSERT_TRUE(loaded.ok());
  EXPECT_TRUE((*loaded)->must_staple());
}

class OcspTest : public IdentityTest {
 protected:
  IdentitySpec with(const std::string& response) {
    IdentitySpec spec = pem(leaf_.certificate + middle_.certificate, leaf_.private_key);
    spec.ocsp_staple = {response, "/etc/o.der"};
    return spec;
  }
};

TEST_F(OcspTest, GoodResponses) {
  for (const bool sha256 : {false, true}) {
    auto loaded = Identity::load(with(make_ocsp_response(leaf_, middle_, {.sha256 = sha256})));
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_TRUE((*loaded)->has_ocsp_response());
    EXPECT_EQ((*loaded)->ocsp_this_update(), test::kValidFrom);
    EXPECT_EQ((*loaded)->ocsp_next_update(), test::kValidTo);
    EXPECT_FALSE((*loaded)->ocsp_expired(kNow));
    EXPECT_TRUE((*loaded)->ocsp_expired(test::kValidTo));
    EXPECT_TRUE((*loaded)->warnings().empty());
  }
  auto loaded = Identity::load(with(make_ocsp_response(leaf_, middle_, {.has_next_update = false})));
  ASSERT_TRUE(loaded.ok());
  EXPECT_FALSE((*loaded)->ocsp_expired(test::kValidTo + 1h));
}

TEST_F(OcspTest, ResponsesThatAreHardlyMeant) {
  auto warning = [&](const test::OcspOptions& options) {
    auto loaded = Identity::load(with(make_ocsp_response(leaf_, middle_, options)));
    return loaded.ok() && (*loaded)->warnings().size() == 1 ? (*loaded)->warnings()[0] : loaded.status().ToString();
  };
  EXPECT_EQ(warning({.next_update = kNow - 1s}), "ocsp_staple: /etc/o.der: is out of date: a newer response was due");
  EXPECT_EQ(warning({.this_update = kNow + 1s}),
            "ocsp_staple: /etc/o.der: is not valid yet: clients refuse it until then");
  EXPECT_EQ(warning({.certificate_status = 1}), "ocsp_staple: /etc/o.der: says that the certificate is revoked");
  EXPECT_EQ(warning({.certificate_status = 2}),
            "ocsp_staple: /etc/o.der: says that the responder does not know the certificate");
}

TEST_F(OcspTest, ResponsesThatCannotBe) {
  EXPECT_EQ(error_of(with("junk")), "ocsp_staple: /etc/o.der: is not an OCSP response in DER");
  const std::string good = make_ocsp_response(leaf_, middle_);
  EXPECT_EQ(error_of(with(good + "x")), "ocsp_staple: /etc/o.der: is not an OCSP response in DER");
  EXPECT_EQ(error_of(with(make_ocsp_response(leaf_, middle_, {.response_status = 3}))),
            "ocsp_staple: /etc/o.der: is a failure of the responder: tryLater (3)");
  EXPECT_EQ(error_of(with(make_ocsp_response(leaf_, middle_, {.count = 2}))),
            "ocsp_staple: /etc/o.der: is about several certificates; a stapled response is about one");
  EXPECT_EQ(error_of(with(make_ocsp_response(middle_, root_)))
                .find("ocsp_staple: /etc/o.der: is about another certificate (serial "),
            0u);
  EXPECT_EQ(error_of(with(make_ocsp_response(leaf_, root_))),
            "ocsp_staple: /etc/o.der: is about a certificate of another issuer than that of CN=leaf (CN=middle)");
}

// Whatever is cut off or turned over is refused or read, never more.
TEST_F(OcspTest, DamagedResponses) {
  const std::string good = make_ocsp_response(leaf_, middle_);
  ASSERT_TRUE(OcspResponse::parse(good).ok());
  for (size_t i = 0; i < good.size(); ++i) {
    EXPECT_FALSE(OcspResponse::parse(good.substr(0, i)).ok()) << i;
    std::string damaged = good;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x55);
    (void)OcspResponse::parse(damaged);
  }
}

}  // namespace
}  // namespace weir::tls
