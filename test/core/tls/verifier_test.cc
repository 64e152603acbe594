// Verification of peers, kind by kind, and the exact words for what fails.
#include "core/tls/verifier.h"

#include <gtest/gtest.h>
#include <openssl/base64.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/stack.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/crypto/digest.h"
#include "test/support/certificates.h"

namespace weir::tls {
namespace {

using net::NameKind;
using test::make_authority;
using test::make_certificate;
using test::make_crl;
using test::TestIdentity;
using Kind = match::StringMatcherSpec::Kind;

constexpr WallTime kNow{1'700'000'000s};
constexpr std::string_view kExpired =
    "verify cert failed: X509_verify_cert: certificate verification error at depth 0: certificate has expired";
constexpr std::string_view kNoIssuer =
    "verify cert failed: X509_verify_cert: certificate verification error at depth 0: unable to get local issuer "
    "certificate";

using Chain = bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)>;

Chain chain_of(const std::vector<const TestIdentity*>& identities) {
  Chain chain(sk_CRYPTO_BUFFER_new_null());
  for (const TestIdentity* one : identities) {
    const std::string der = one->der();
    bssl::PushToStack(chain.get(), bssl::UniquePtr<CRYPTO_BUFFER>(CRYPTO_BUFFER_new(
                                       reinterpret_cast<const uint8_t*>(der.data()), der.size(), nullptr)));
  }
  return chain;
}

class VerifierTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Verifier> build(VerifierSpec spec) {
    auto built = Verifier::build(std::move(spec));
    EXPECT_TRUE(built.ok()) << built.status();
    return built.ok() ? *built : nullptr;
  }
  static std::string error_of(VerifierSpec spec) {
    auto built = Verifier::build(std::move(spec));
    return built.ok() ? "(built)" : message_of(built.status());
  }
  VerifierSpec with_root() { return {.trusted_ca = {root_.certificate, "/etc/ca.pem"}}; }
  // The verdict on a chain: its detail, or "good", or "let in".
  std::string verdict(const VerifierSpec& spec, const std::vector<const TestIdentity*>& chain, VerifyInput input = {}) {
    auto verifier = build(spec);
    if (input.now == WallTime{}) input.now = kNow;
    last_ = verifier->verify(chain_of(chain).get(), input);
    EXPECT_EQ(last_.validated && last_.detail.empty(), last_.validated);
    if (!last_.accepted) return last_.detail;
    return last_.validated ? "good" : "let in";
  }

  TestIdentity root_ = make_authority("root");
  TestIdentity middle_ = make_authority("middle", &root_);
  TestIdentity leaf_ = make_certificate(
      {.names = {"DNS:www.Example.com", "DNS:*.wild.example", "URI:spiffe://town.example/ns/a/sa/b", "IP:192.0.2.1",
                 "IP:2001:db8::1", "email:ops@example.com", "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:user@corp"}},
      &middle_);
  TestIdentity stranger_ = make_certificate({});
  Verdict last_;
};

TEST_F(VerifierTest, Chains) {
  EXPECT_EQ(verdict(with_root(), {&leaf_, &middle_}), "good");
  EXPECT_EQ(verdict(with_root(), {&leaf_}), kNoIssuer);
  EXPECT_EQ(last_.failed, Verdict::Failed::kChain);
  EXPECT_EQ(last_.alert, SSL_AD_UNKNOWN_CA);
  EXPECT_EQ(verdict(with_root(), {&stranger_}),
            "verify cert failed: X509_verify_cert: certificate verification error at depth 0: self signed certificate");
  // An intermediate is as good as a root, if it is trusted.
  EXPECT_EQ(verdict({.trusted_ca = {middle_.certificate, "/etc/ca.pem"}}, {&leaf_}), "good");
  // And so is the certificate itself.
  EXPECT_EQ(verdict({.trusted_ca = {stranger_.certificate, "/etc/ca.pem"}}, {&stranger_}), "good");
  EXPECT_EQ(verdict(with_root(), {}), "verify cert failed: no certificate");
  EXPECT_EQ(last_.failed, Verdict::Failed::kNoCertificate);
}

TEST_F(VerifierTest, NothingAskedForIsNothingProven) {
  EXPECT_EQ(verdict({}, {&stranger_}), "let in");
  EXPECT_EQ(last_.failed, Verdict::Failed::kNothing);
}

TEST_F(VerifierTest, Dates) {
  TestIdentity old = make_certificate({.not_after = kNow - 1h}, &root_);
  TestIdentity early = make_certificate({.not_before = kNow + 1h}, &root_);
  EXPECT_EQ(verdict(with_root(), {&old}), kExpired);
  EXPECT_EQ(last_.alert, SSL_AD_CERTIFICATE_EXPIRED);
  EXPECT_EQ(
      verdict(with_root(), {&early}),
      "verify cert failed: X509_verify_cert: certificate verification error at depth 0: certificate is not yet valid");
  VerifierSpec tolerant = with_root();
  tolerant.allow_expired_certificate = true;
  EXPECT_EQ(verdict(tolerant, {&old}), "good");
  EXPECT_EQ(verdict(tolerant, {&early}), "good");
  EXPECT_EQ(verdict(tolerant, {&stranger_}).find("verify cert failed"), 0u);
}

TEST_F(VerifierTest, Purpose) {
  TestIdentity server = make_certificate({.extended_key_usage = "serverAuth"}, &root_);
  EXPECT_EQ(verdict(with_root(), {&server}, {.peer = PeerRole::kServer}), "good");
  EXPECT_EQ(verdict(with_root(), {&server}, {.peer = PeerRole::kClient}),
            "verify cert failed: X509_verify_cert: certificate verification error at depth 0: unsupported certificate "
            "purpose");
}

TEST_F(VerifierTest, Depth) {
  VerifierSpec spec = with_root();
  spec.max_verify_depth = 1;
  EXPECT_EQ(verdict(spec, {&leaf_, &middle_}).find("verify cert failed"), 0u);
  spec.max_verify_depth = 2;
  EXPECT_EQ(verdict(spec, {&leaf_, &middle_}), "good");
}

TEST_F(VerifierTest, RevocationLists) {
  VerifierSpec spec = with_root();
  const std::string middle_list = make_crl(middle_, {&leaf_});
  const std::string empty_middle_list = make_crl(middle_, {});
  const std::string root_list = make_crl(root_, {});
  spec.crl = {root_list + middle_list, "/etc/crl.pem"};
  EXPECT_EQ(verdict(spec, {&leaf_, &middle_}),
            "verify cert failed: X509_verify_cert: certificate verification error at depth 0: certificate revoked");
  EXPECT_EQ(last_.alert, SSL_AD_CERTIFICATE_REVOKED);
  spec.crl.bytes = root_list + empty_middle_list;
  EXPECT_EQ(verdict(spec, {&leaf_, &middle_}), "good");
  // An issuer without a list.
  spec.crl.bytes = empty_middle_list;
  EXPECT_EQ(
      verdict(spec, {&leaf_, &middle_}),
      "verify cert failed: X509_verify_cert: certificate verification error at depth 1: unable to get certificate CRL");
  spec.only_verify_leaf_cert_crl = true;
  EXPECT_EQ(verdict(spec, {&leaf_, &middle_}), "good");
  spec.crl.bytes = make_crl(middle_, {}, kNow - 1h);
  EXPECT_EQ(verdict(spec, {&leaf_, &middle_}),
            "verify cert failed: X509_verify_cert: certificate verification error at depth 0: CRL has expired");
  // Among the authorities.
  spec.crl = {};
  spec.trusted_ca.bytes = root_.certificate + middle_list;
  EXPECT_EQ(verdict(spec, {&leaf_, &middle_}),
            "verify cert failed: X509_verify_cert: certificate verification error at depth 0: certificate revoked");
  const std::string digest(build(spec)->digest());
  spec.trusted_ca.bytes = root_.certificate + empty_middle_list;
  EXPECT_EQ(verdict(spec, {&leaf_, &middle_}), "good");
  EXPECT_NE(build(spec)->digest(), digest);
  spec.trusted_ca.bytes = root_.certificate + "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
  EXPECT_EQ(error_of(spec).find("trusted_ca: /etc/ca.pem: list 1 cannot be read: "), 0u) << error_of(spec);
  spec = with_root();
  spec.crl = {empty_middle_list, "/etc/crl.pem"};
  // An authority that was revoked.
  spec.only_verify_leaf_cert_crl = false;
  spec.crl.bytes = make_crl(root_, {&middle_}) + empty_middle_list;
  EXPECT_EQ(verdict(spec, {&leaf_, &middle_}),
            "verify cert failed: X509_verify_cert: certificate verification error at depth 1: certificate revoked");
}

TEST_F(VerifierTest, Names) {
  auto with = [&](NameKind kind, Kind how, std::string text, std::string oid = {}, bool ignore_case = false) {
    VerifierSpec spec = with_root();
    spec.san_matchers = {{kind, std::move(oid), {how, std::move(text), ignore_case}}};
    return verdict(spec, {&leaf_, &middle_});
  };
  constexpr std::string_view kNo = "verify cert failed: SAN matcher";
  EXPECT_EQ(with(NameKind::kDns, Kind::kExact, "www.Example.com"), "good");
  EXPECT_EQ(with(NameKind::kDns, Kind::kExact, "www.example.com"), "good");  // names of hosts have no case
  EXPECT_EQ(with(NameKind::kDns, Kind::kExact, "other.example.com"), kNo);
  EXPECT_EQ(last_.failed, Verdict::Failed::kNames);
  EXPECT_EQ(last_.alert, SSL_AD_CERTIFICATE_UNKNOWN);
  EXPECT_EQ(with(NameKind::kDns, Kind::kExact, "a.wild.example"), "good");
  EXPECT_EQ(with(NameKind::kDns, Kind::kExact, "a.b.wild.example"), kNo);
  EXPECT_EQ(with(NameKind::kDns, Kind::kExact, "wild.example"), kNo);
  EXPECT_EQ(with(NameKind::kDns, Kind::kExact, ".wild.example"), kNo);
  EXPECT_EQ(with(NameKind::kDns, Kind::kExact, "*.wild.example"), "good");
  EXPECT_EQ(with(NameKind::kDns, Kind::kSuffix, ".wild.example"), "good");  // "*.wild.example" as a text
  EXPECT_EQ(with(NameKind::kDns, Kind::kPrefix, "a.wild"), kNo);
  EXPECT_EQ(with(NameKind::kDns, Kind::kRegex, "www\\..*"), "good");
  EXPECT_EQ(with(NameKind::kUri, Kind::kExact, "spiffe://town.example/ns/a/sa/b"), "good");
  EXPECT_EQ(with(NameKind::kUri, Kind::kPrefix, "spiffe://town.example/"), "good");
  EXPECT_EQ(with(NameKind::kUri, Kind::kExact, "SPIFFE://town.example/ns/a/sa/b"), kNo);
  EXPECT_EQ(with(NameKind::kUri, Kind::kExact, "SPIFFE://town.example/ns/a/sa/b", {}, true), "good");
  EXPECT_EQ(with(NameKind::kUri, Kind::kExact, "www.Example.com"), kNo) << "a name of another kind";
  EXPECT_EQ(with(NameKind::kEmail, Kind::kExact, "ops@example.com"), "good");
  EXPECT_EQ(with(NameKind::kEmail, Kind::kSuffix, "@example.com"), "good");
  EXPECT_EQ(with(NameKind::kIp, Kind::kExact, "192.0.2.1"), "good");
  EXPECT_EQ(with(NameKind::kIp, Kind::kExact, "2001:db8::1"), "good");
  EXPECT_EQ(with(NameKind::kIp, Kind::kPrefix, "192.0.2."), "good");
  EXPECT_EQ(with(NameKind::kIp, Kind::kExact, "192.0.2.10"), kNo);
  EXPECT_EQ(with(NameKind::kOther, Kind::kExact, "user@corp", "1.3.6.1.4.1.311.20.2.3"), "good");
  EXPECT_EQ(with(NameKind::kOther, Kind::kExact, "user@corp", "1.3.6.1.4.1.311.20.2.4"), kNo);
  EXPECT_EQ(with(NameKind::kOther, Kind::kExact, "other@corp", "1.3.6.1.4.1.311.20.2.3"), kNo);
}

TEST_F(VerifierTest, OneOfSeveralNamesIsEnough) {
  VerifierSpec spec = with_root();
  spec.san_matchers = {{NameKind::kDns, {}, {Kind::kExact, "nobody.example"}},
                       {NameKind::kEmail, {}, {Kind::kExact, "ops@example.com"}}};
  EXPECT_EQ(verdict(spec, {&leaf_, &middle_}), "good");
  TestIdentity nameless = make_certificate({}, &root_);
  EXPECT_EQ(verdict(spec, {&nameless}), "verify cert failed: SAN matcher");
}

// "www.example.com\0.evil.example": a reader of C strings would take it for the first part. Line ends would begin
// lines.
TEST_F(VerifierTest, NamesWithControlCharactersAreNone) {
  for (const std::string& bytes : {std::string("www.example.com\0.evil.example", 29),
                                   std::string("www.example.com\r\nx: y"), std::string("www.example.com\x7f")}) {
    TestIdentity evil = make_certificate({.common_name = "evil"}, &root_);
    bssl::UniquePtr<GENERAL_NAMES> names(sk_GENERAL_NAME_new_null());
    bssl::UniquePtr<GENERAL_NAME> name(GENERAL_NAME_new());
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, bytes.data(), static_cast<int>(bytes.size()));
    GENERAL_NAME_set0_value(name.get(), GEN_DNS, text);
    bssl::PushToStack(names.get(), std::move(name));
    X509_add1_ext_i2d(evil.x509.get(), NID_subject_alt_name, names.get(), 0, 0);
    ASSERT_TRUE(X509_sign(evil.x509.get(), root_.key.get(), EVP_sha256()));
    VerifierSpec spec = with_root();
    spec.san_matchers = {{NameKind::kDns, {}, {Kind::kPrefix, "www.example.com"}}};
    EXPECT_EQ(verdict(spec, {&evil}), "verify cert failed: SAN matcher") << bytes;
  }
}

TEST_F(VerifierTest, AWildcardIsNoAddress) {
  TestIdentity wild = make_certificate({.names = {"DNS:*.0.0.1", "DNS:*.0.0.example"}}, &root_);
  const std::vector<std::string> address = {"10.0.0.1"};
  const std::vector<std::string> name = {"10.0.0.example"};
  EXPECT_EQ(verdict(with_root(), {&wild}, {.expected_names = address}), "verify cert failed: verify SAN list");
  EXPECT_EQ(verdict(with_root(), {&wild}, {.expected_names = name}), "good");
}

TEST_F(VerifierTest, ExpectedNamesComeBesideMatchersOrInsteadOfThem) {
  VerifierSpec spec = with_root();
  spec.san_matchers = {{NameKind::kDns, {}, {Kind::kExact, "nobody.example"}}};
  auto expecting = [&](std::vector<std::string> names, bool suffice = true) {
    return verdict(spec, {&leaf_, &middle_}, {.expected_names = names, .names_suffice = suffice});
  };
  EXPECT_EQ(expecting({"www.example.com"}), "good");
  EXPECT_EQ(expecting({"x.example", "a.wild.example"}), "good");
  EXPECT_EQ(expecting({"192.0.2.1"}), "good");
  EXPECT_EQ(expecting({"2001:db8:0::1"}), "good");
  EXPECT_EQ(expecting({"spiffe://town.example/ns/a/sa/b"}), "good");
  EXPECT_EQ(expecting({"nobody.example"}), "verify cert failed: verify SAN list");
  EXPECT_EQ(last_.failed, Verdict::Failed::kNames);
  EXPECT_EQ(expecting({"www.example.com"}, false), "verify cert failed: SAN matcher");
  spec.san_matchers = {{NameKind::kUri, {}, {Kind::kPrefix, "spiffe://town.example/"}}};
  EXPECT_EQ(expecting({"www.example.com"}, false), "good");
  EXPECT_EQ(expecting({"nobody.example"}, false), "verify cert failed: verify SAN list");
}

TEST_F(VerifierTest, Pins) {
  const std::string der = leaf_.der();
  const std::string hex = crypto::to_hex(crypto::sha256(der));
  std::string colons;
  for (size_t i = 0; i < hex.size(); i += 2) colons += (i > 0 ? ":" : "") + hex.substr(i, 2);
  for (char& c : colons) c = static_cast<char>(c >= 'a' && c <= 'f' ? c - 32 : c);
  uint8_t* spki = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf_.x509.get()), &spki);
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(spki, static_cast<size_t>(size), digest);
  OPENSSL_free(spki);
  char base64[64] = {};
  EVP_EncodeBlock(reinterpret_cast<uint8_t*>(base64), digest, sizeof(digest));
  const std::string other_hex(64, 'a');
  const std::string other_base64 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
  constexpr std::string_view kNo = "verify cert failed: cert hash and spki";

  EXPECT_EQ(verdict({.certificate_hashes = {hex}}, {&leaf_}), "good");
  EXPECT_EQ(verdict({.certificate_hashes = {colons}}, {&leaf_}), "good");
  EXPECT_EQ(verdict({.certificate_hashes = {other_hex, hex}}, {&leaf_}), "good");
  EXPECT_EQ(verdict({.certificate_hashes = {other_hex}}, {&leaf_}), kNo);
  EXPECT_EQ(last_.failed, Verdict::Failed::kHash);
  EXPECT_EQ(verdict({.spki_hashes = {base64}}, {&leaf_}), "good");
  EXPECT_EQ(verdict({.spki_hashes = {other_base64}}, {&leaf_}), kNo);
  // One of either kind.
  EXPECT_EQ(verdict({.certificate_hashes = {other_hex}, .spki_hashes = {base64}}, {&leaf_}), "good");
  // The chain is asked for all the same.
  VerifierSpec spec = with_root();
  spec.certificate_hashes = {hex};
  EXPECT_EQ(verdict(spec, {&leaf_}), kNoIssuer);
}

TEST_F(VerifierTest, AcceptUntrusted) {
  VerifierSpec spec = with_root();
  spec.accept_untrusted = true;
  EXPECT_EQ(verdict(spec, {&leaf_, &middle_}), "good");
  EXPECT_EQ(verdict(spec, {&stranger_}), "let in");
  EXPECT_EQ(last_.failed, Verdict::Failed::kChain);
  spec.san_matchers = {{NameKind::kDns, {}, {Kind::kExact, "nobody.example"}}};
  EXPECT_EQ(verdict(spec, {&leaf_, &middle_}), "let in");
  EXPECT_EQ(last_.failed, Verdict::Failed::kNames);
}

class SpiffeTest : public VerifierTest {
 protected:
  VerifierSpec domains() {
    VerifierSpec spec;
    spec.trust_domains = {{"other.example", {other_root_.certificate, "/etc/other.pem"}},
                          {"town.example", {root_.certificate, "/etc/town.pem"}}};
    return spec;
  }
  TestIdentity other_root_ = make_authority("other root");
};

TEST_F(SpiffeTest, ADomainHasItsOwnBundle) {
  EXPECT_EQ(verdict(domains(), {&leaf_, &middle_}), "good");
  EXPECT_EQ(verdict(domains(), {&leaf_}), kNoIssuer);
  TestIdentity forged = make_certificate({.names = {"URI:spiffe://town.example/x"}}, &other_root_);
  EXPECT_EQ(verdict(domains(), {&forged}), kNoIssuer) << "signed by the authority of another domain";
  TestIdentity other = make_certificate({.names = {"URI:spiffe://other.example/x"}}, &other_root_);
  EXPECT_EQ(verdict(domains(), {&other}), "good");
  TestIdentity longer = make_certificate({.names = {"URI:spiffe://town.example.evil/x"}}, &root_);
  EXPECT_EQ(verdict(domains(), {&longer}),
            "verify cert failed: SPIFFE: no trust bundle for the trust domain \"town.example.evil\"");
}

TEST_F(SpiffeTest, IdentitiesThatAreNone) {
  TestIdentity none = make_certificate({.names = {"DNS:town.example"}}, &root_);
  EXPECT_EQ(verdict(domains(), {&none}),
            "verify cert failed: SPIFFE: the certificate has 0 URI names; it must have one");
  TestIdentity two =
      make_certificate({.names = {"URI:spiffe://town.example/a", "URI:spiffe://town.example/b"}}, &root_);
  EXPECT_EQ(verdict(domains(), {&two}),
            "verify cert failed: SPIFFE: the certificate has 2 URI names; it must have one");
  TestIdentity web = make_certificate({.names = {"URI:https://town.example/a"}}, &root_);
  EXPECT_EQ(verdict(domains(), {&web}),
            "verify cert failed: SPIFFE: the URI of the certificate does not begin with spiffe://");
  TestIdentity ca = make_certificate({.names = {"URI:spiffe://town.example/a"}, .authority = true}, &root_);
  EXPECT_EQ(verdict(domains(), {&ca}), "verify cert failed: SPIFFE: the certificate is that of an authority");
  TestIdentity signs =
      make_certificate({.names = {"URI:spiffe://town.example/a"}, .key_usage = "digitalSignature,keyCertSign"}, &root_);
  EXPECT_EQ(verdict(domains(), {&signs}), "verify cert failed: SPIFFE: the certificate is that of an authority");
}

TEST_F(SpiffeTest, NamesAndDatesAreChecked) {
  VerifierSpec spec = domains();
  spec.san_matchers = {{NameKind::kUri, {}, {Kind::kPrefix, "spiffe://town.example/ns/a/"}}};
  EXPECT_EQ(verdict(spec, {&leaf_, &middle_}), "good");
  spec.san_matchers = {{NameKind::kUri, {}, {Kind::kPrefix, "spiffe://town.example/ns/z/"}}};
  EXPECT_EQ(verdict(spec, {&leaf_, &middle_}), "verify cert failed: SAN matcher");
  TestIdentity old = make_certificate({.names = {"URI:spiffe://town.example/a"}, .not_after = kNow - 1h}, &root_);
  EXPECT_EQ(verdict(domains(), {&old}), kExpired);
  spec = domains();
  spec.allow_expired_certificate = true;
  EXPECT_EQ(verdict(spec, {&old}), "good");
}

TEST_F(VerifierTest, SpecsThatCannotBe) {
  EXPECT_EQ(error_of({.trusted_ca = {"", "/etc/ca.pem"}}),
            "trusted_ca: /etc/ca.pem: no certificate in it (no -----BEGIN CERTIFICATE-----)");
  EXPECT_EQ(error_of({.crl = {make_crl(root_, {}), "/etc/crl.pem"}}),
            "crl: /etc/crl.pem: needs trusted_ca: lists are checked along the chain");
  VerifierSpec spec = with_root();
  spec.crl = {"nothing", "/etc/crl.pem"};
  EXPECT_EQ(error_of(spec), "crl: /etc/crl.pem: no revocation list in it (no -----BEGIN X509 CRL-----)");
  spec.crl.bytes = make_crl(root_, {}) + "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
  EXPECT_EQ(error_of(spec).find("crl: /etc/crl.pem: list 2 cannot be read: "), 0u);
  EXPECT_EQ(
      error_of({.certificate_hashes = {"ab:cd"}}),
      "verify_certificate_hash: \"ab:cd\" is not a SHA-256 in hexadecimal (64 digits, or 32 pairs with colons between "
      "them)");
  EXPECT_EQ(error_of({.certificate_hashes = {std::string(63, 'a') + "g"}}).find("verify_certificate_hash: "), 0u);
  EXPECT_EQ(error_of({.spki_hashes = {"????"}}),
            "verify_certificate_spki: \"????\" is not a SHA-256 in base64 (44 characters)");
  const auto named = [&](NameKind kind, std::string oid, match::StringMatcherSpec matcher) {
    VerifierSpec names = with_root();
    names.san_matchers = {{kind, std::move(oid), std::move(matcher)}};
    return error_of(names);
  };
  EXPECT_EQ(
      named(NameKind::kOther, "one.two", {Kind::kExact, "x"}),
      "match_typed_subject_alt_names[0].oid: \"one.two\" is not an object identifier, as in 1.3.6.1.4.1.311.20.2.3");
  EXPECT_EQ(named(NameKind::kDns, "1.2.3", {Kind::kExact, "x"}),
            "match_typed_subject_alt_names[0].oid: is for OTHER_NAME only");
  EXPECT_EQ(named(NameKind::kDns, {}, {Kind::kRegex, "("}).find("match_typed_subject_alt_names[0].matcher: "), 0u);
  // Nobody has signed the name, or looks at the dates.
  EXPECT_EQ(error_of({.san_matchers = {{NameKind::kDns, {}, {Kind::kExact, "x"}}}}),
            "match_typed_subject_alt_names: needs trusted_ca: whoever makes a certificate of his own writes any name "
            "into it");
  EXPECT_EQ(error_of({.allow_expired_certificate = true}),
            "allow_expired_certificate: needs trusted_ca: without it the dates of certificates are not looked at");
  spec = with_root();
  spec.trust_domains = {{"a", {root_.certificate, "x"}}};
  EXPECT_EQ(error_of(spec),
            "trust_domains: cannot be together with trusted_ca or crl; each trust domain has its own bundle");
  EXPECT_EQ(error_of({.trust_domains = {{"a", {root_.certificate, "x"}}, {"a", {root_.certificate, "x"}}}}),
            "trust_domains: \"a\" is there twice");
  EXPECT_EQ(error_of({.trust_domains = {{"a", {"junk", "/etc/a.pem"}}}}),
            "trust_domains: /etc/a.pem: no certificate in it (no -----BEGIN CERTIFICATE-----)");
}

TEST_F(VerifierTest, AChainThatIsNoCertificate) {
  auto verifier = build(with_root());
  Chain chain(sk_CRYPTO_BUFFER_new_null());
  bssl::PushToStack(chain.get(), bssl::UniquePtr<CRYPTO_BUFFER>(
                                     CRYPTO_BUFFER_new(reinterpret_cast<const uint8_t*>("junk"), 4, nullptr)));
  const Verdict verdict = verifier->verify(chain.get(), {.now = kNow});
  EXPECT_FALSE(verdict.accepted);
  EXPECT_EQ(verdict.detail.find("verify cert failed: certificate 1 of the chain cannot be read: "), 0u);
}

TEST_F(VerifierTest, DigestsTellRulesApart) {
  const VerifierSpec plain = with_root();
  VerifierSpec names = with_root();
  names.san_matchers = {{NameKind::kDns, {}, {Kind::kExact, "a"}}};
  VerifierSpec tolerant = with_root();
  tolerant.allow_expired_certificate = true;
  VerifierSpec revoked = with_root();
  revoked.crl = {make_crl(root_, {}), "x"};
  EXPECT_EQ(build(plain)->digest(), build(with_root())->digest());
  EXPECT_NE(build(plain)->digest(), build(names)->digest());
  EXPECT_NE(build(plain)->digest(), build(tolerant)->digest());
  EXPECT_NE(build(plain)->digest(), build(revoked)->digest());
  EXPECT_NE(build(plain)->digest(), build({})->digest());
}

TEST_F(VerifierTest, TrustedCertificatesAreListed) {
  TestIdentity old = make_certificate({.common_name = "old", .not_after = kNow - 1h});
  auto verifier = build({.trusted_ca = {root_.certificate + old.certificate, "/etc/ca.pem"}});
  ASSERT_EQ(verifier->trusted().size(), 2u);
  EXPECT_EQ(verifier->trusted()[1].origin, "/etc/ca.pem");
  EXPECT_EQ(verifier->trusted()[1].certificate.subject(), "CN=old");
  EXPECT_EQ(verifier->warnings(kNow), std::vector<std::string>{});  // bundles hold what has expired for years
  EXPECT_EQ(build({.trusted_ca = {old.certificate, "/etc/ca.pem"}})->warnings(kNow),
            std::vector<std::string>{"/etc/ca.pem: CN=old has expired"});
  EXPECT_EQ(sk_CRYPTO_BUFFER_num(verifier->ca_names()), 2u);
}

TEST_F(VerifierTest, RevocationListsThatAreHardlyMeant) {
  const auto warnings = [&](const std::string& lists, WallTime now) {
    return build({.trusted_ca = {root_.certificate, "/etc/ca.pem"}, .crl = {lists, "/etc/crl.pem"}})->warnings(now);
  };
  using Texts = std::vector<std::string>;
  const std::string good = make_crl(root_, {});
  // Of an intermediate that the chain will bring nothing can be said.
  EXPECT_EQ(warnings(good + make_crl(middle_, {&leaf_}), kNow), Texts{});
  EXPECT_EQ(warnings(good + make_crl(root_, {}, kNow - 1h), kNow),
            Texts{"/etc/crl.pem: list 2 is out of date; certificates of its issuer are refused"});
  EXPECT_EQ(warnings(good, test::kValidFrom - 1h).back(),
            "/etc/crl.pem: list 1 is not valid yet; certificates of its issuer are refused");
  const TestIdentity namesake = make_authority("root");
  EXPECT_EQ(warnings(make_crl(namesake, {}), kNow),
            Texts{"/etc/crl.pem: list 1 is not signed by its issuer; certificates of its issuer are refused"});
}

}  // namespace
}  // namespace weir::tls
