#include "core/crypto/certificate.h"

#include <gtest/gtest.h>

#include <string>

#include "core/crypto/digest.h"
#include "core/crypto/library.h"
#include "test/core/crypto/test_certificate.h"

namespace weir::crypto {
namespace {

using test::kCertificate;

class CertificateTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(open_library().ok()); }
  static Certificate one() {
    auto parsed = Certificate::parse_pem(kCertificate);
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    return std::move(parsed->front());
  }
};

// What openssl(1) says of it.
TEST_F(CertificateTest, Facts) {
  Certificate certificate = one();
  EXPECT_EQ(certificate.subject(), "CN=www.example.com,O=Example");
  EXPECT_EQ(certificate.issuer(), "CN=www.example.com,O=Example");
  EXPECT_EQ(certificate.serial_hex(), "1234abcd");
  EXPECT_EQ(certificate.not_before(), WallTime(std::chrono::seconds(1795664357)));
  EXPECT_EQ(certificate.not_after(), WallTime(std::chrono::seconds(4949264357)));
  EXPECT_EQ(certificate.fingerprint(), "8ac8bc193c1bb01ca4f945fed4622b26be2ae63a2ce7f29e5c1006b908abae06");
  EXPECT_EQ(certificate.dns_names(), (std::vector<std::string>{"www.example.com", "*.example.org"}));
  EXPECT_EQ(certificate.uris(), (std::vector<std::string>{"spiffe://cluster.local/ns/a/sa/b"}));
  EXPECT_EQ(certificate.ip_addresses(), (std::vector<std::string>{"192.0.2.1", "2001:db8::1"}));
  EXPECT_EQ(certificate.emails(), (std::vector<std::string>{"ops@example.com"}));
}

TEST_F(CertificateTest, OtherForms) {
  Certificate certificate = one();
  EXPECT_EQ(certificate.fingerprint_sha1(), to_hex(sha1(certificate.der())));
  EXPECT_EQ(certificate.fingerprint(), to_hex(sha256(certificate.der())));
  EXPECT_EQ(certificate.pem(), kCertificate);
  auto again = Certificate::parse_der(certificate.der());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->serial_hex(), "1234abcd");
  EXPECT_EQ(again->dns_names(), certificate.dns_names());
  EXPECT_EQ(message_of(Certificate::parse_der(certificate.der() + "x").status()), "something follows the certificate");
  EXPECT_EQ(message_of(Certificate::parse_der("junk").status()).find("the certificate cannot be read: "), 0u);
}

TEST_F(CertificateTest, SeveralInOneText) {
  std::string text =
      "a comment\n" + std::string(kCertificate) + "\n" + std::string(test::kKey) + std::string(kCertificate);
  auto parsed = Certificate::parse_pem(text);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->size(), 2u);
}

TEST_F(CertificateTest, SaysWhichIsBroken) {
  std::string text(kCertificate);
  std::string broken = text;
  broken.replace(broken.find('\n') + 3, 8, "!!!!!!!!");
  auto parsed = Certificate::parse_pem(text + broken);
  ASSERT_FALSE(parsed.ok());
  EXPECT_NE(message_of(parsed.status()).find("certificate 2 cannot be read: "), std::string::npos) << parsed.status();
  EXPECT_FALSE(Certificate::parse_pem(text.substr(0, text.size() / 2)).ok());
  EXPECT_EQ(message_of(Certificate::parse_pem("hello").status()),
            "no certificate in it (no -----BEGIN CERTIFICATE-----)");
  EXPECT_FALSE(Certificate::parse_pem("").ok());
}

TEST_F(CertificateTest, Keys) {
  Certificate certificate = one();
  EXPECT_TRUE(certificate.check_key(test::kKey, "").ok());
  EXPECT_TRUE(certificate.check_key(test::kEncryptedKey, "open-sesame").ok());
  EXPECT_FALSE(certificate.check_key(test::kEncryptedKey, "open").ok());
  EXPECT_FALSE(certificate.check_key(test::kEncryptedKey, "").ok());
  EXPECT_EQ(message_of(certificate.check_key(test::kOtherKey, "")),
            "the private key is not that of the certificate (CN=www.example.com,O=Example)");
  EXPECT_FALSE(certificate.check_key("", "").ok());
  EXPECT_FALSE(certificate.check_key(kCertificate, "").ok());
}

}  // namespace
}  // namespace weir::crypto
