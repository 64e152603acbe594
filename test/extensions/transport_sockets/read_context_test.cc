// What is made of the messages of TLS contexts, and what is said of those that are wrong.
#include "extensions/transport_sockets/tls/read_context.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/config/report.h"
#include "core/config/secret_sources.h"
#include "core/crypto/library.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.pb.h"
#include "test/support/certificates.h"
#include "test/support/plugin_scope.h"

namespace weir::transport_sockets {
namespace {

namespace pb = envoy::extensions::transport_sockets::tls::v3;

class NoRoutes final : public filter::RouteProvider {
  TableSlot route_table(const google::protobuf::Message&, filter::FactoryScope&) override { return {}; }
};

class ReadContextTest : public testing::Test {
 protected:
  ReadContextTest() {
    EXPECT_TRUE(crypto::open_library().ok());
    char name[] = "/tmp/weir-tls-XXXXXX";
    root_ = std::filesystem::canonical(mkdtemp(name));
    test::CertificateOptions options;
    options.names = {"DNS:a.example"};
    authority_ = test::make_authority("root");
    identity_ = test::make_certificate(options, &authority_);
    cert_ = file("cert.pem", identity_.certificate);
    key_ = file("key.pem", identity_.private_key);
    ca_ = file("ca.pem", authority_.certificate);
  }
  ~ReadContextTest() override { std::filesystem::remove_all(root_); }

  std::string file(const std::string& name, const std::string& content) {
    std::string path = root_ / name;
    std::ofstream(path) << content;
    return path;
  }
  template <class Message>
  static Message parsed(const std::string& text) {
    Message message;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
    return message;
  }
  std::string certificate() const {
    return "tls_certificates { certificate_chain { filename: '" + cert_ + "' } private_key { filename: '" + key_ +
           "' } } ";
  }
  // A server that has a certificate, and more.
  std::optional<tls::ServerSpec> server(const std::string& common, const std::string& more = "") {
    return server_of("common_tls_context { " + certificate() + common + " } " + more);
  }
  std::optional<tls::ServerSpec> server_of(const std::string& text) {
    fresh();
    filter::FactoryScope scope = this->scope();
    return read_server(parsed<pb::DownstreamTlsContext>(text), scope);
  }
  std::optional<ClientReading> client(const std::string& text) {
    fresh();
    filter::FactoryScope scope = this->scope();
    return read_client(parsed<pb::UpstreamTlsContext>(text), scope);
  }
  filter::FactoryScope scope() {
    filter::FactoryScope scope(test::PluginScope::registry(), store_, routes_, *report_, "tls");
    scope.set_serves_http1_alone(http1_);
    return scope;
  }
  void fresh() {
    diagnostics_ = {};
    report_.emplace(positions_, diagnostics_);
    sources_.emplace();
    for (const auto& [name, secret] : secrets_) sources_->add(secret, "secrets[" + name + "]");
    report_->set_secrets(*sources_);
  }
  // All that was found.
  std::string found() const {
    std::string text;
    for (const auto& item : diagnostics_.items()) text += (text.empty() ? "" : "\n") + item.path + ": " + item.message;
    return text;
  }

  std::filesystem::path root_;
  test::TestIdentity authority_, identity_;
  std::string cert_, key_, ca_;
  std::map<std::string, pb::Secret> secrets_;
  bool http1_ = false;
  stats::Store store_;
  NoRoutes routes_;
  config::PositionIndex positions_;
  config::Diagnostics diagnostics_;
  std::optional<config::Report> report_;
  std::optional<config::SecretSources> sources_;
};

// field: TlsParameters.tls_minimum_protocol_version, TlsParameters.tls_maximum_protocol_version
// field: TlsParameters.cipher_suites, TlsParameters.ecdh_curves, TlsParameters.signature_algorithms
// field: CommonTlsContext.tls_params, CommonTlsContext.alpn_protocols
TEST_F(ReadContextTest, Parameters) {
  auto spec = server(
      "tls_params { tls_minimum_protocol_version: TLSv1_1 tls_maximum_protocol_version: TLSv1_3 "
      "cipher_suites: 'ECDHE-RSA-AES128-GCM-SHA256' ecdh_curves: 'P-256' signature_algorithms: "
      "'ecdsa_secp256r1_sha256' } alpn_protocols: ['h2', 'http/1.1']");
  ASSERT_TRUE(spec.has_value()) << found();
  EXPECT_EQ(spec->parameters.minimum, tls::Version::kTls11);
  EXPECT_EQ(spec->parameters.maximum, tls::Version::kTls13);
  EXPECT_EQ(spec->parameters.cipher_suites, std::vector<std::string>{"ECDHE-RSA-AES128-GCM-SHA256"});
  EXPECT_EQ(spec->parameters.ecdh_curves, std::vector<std::string>{"P-256"});
  EXPECT_EQ(spec->parameters.signature_algorithms, std::vector<std::string>{"ecdsa_secp256r1_sha256"});
  EXPECT_EQ(spec->alpn_protocols, (std::vector<std::string>{"h2", "http/1.1"}));
  EXPECT_EQ(found(), "");

  EXPECT_FALSE(server("tls_params { cipher_suites: 'RC4-MD5' }").has_value());
  EXPECT_TRUE(found().starts_with("tls.common_tls_context.tls_params.cipher_suites")) << found();
  EXPECT_FALSE(server("alpn_protocols: ''").has_value());
  EXPECT_EQ(found(), "tls.common_tls_context.alpn_protocols[0]: has 0 bytes; 1 to 255 are allowed");
}

TEST_F(ReadContextTest, ProtocolsThatNobodyServesAreNotOffered) {
  http1_ = true;
  auto spec = server("alpn_protocols: ['h2', 'http/1.1']");
  ASSERT_TRUE(spec.has_value());
  EXPECT_EQ(spec->alpn_protocols, std::vector<std::string>{"http/1.1"});
  EXPECT_EQ(
      found(),
      "tls.common_tls_context.alpn_protocols[0]: \"h2\" is not offered: codec_type of the filter behind it is HTTP1");
  http1_ = false;
  spec = server("alpn_protocols: ['h3', 'h2']");
  ASSERT_TRUE(spec.has_value());
  EXPECT_EQ(spec->alpn_protocols, std::vector<std::string>{"h2"});
  EXPECT_EQ(found(),
            "tls.common_tls_context.alpn_protocols[0]: \"h3\" is not offered: HTTP/3 has a transport of its own, QUIC");
}

// field: CommonTlsContext.tls_certificates, TlsCertificate.certificate_chain, TlsCertificate.private_key
// field: TlsCertificate.watched_directory
TEST_F(ReadContextTest, Certificates) {
  auto spec = server("");
  ASSERT_TRUE(spec.has_value()) << found();
  ASSERT_EQ(spec->identities.size(), 1u);
  EXPECT_EQ(spec->identities[0]->origin(), cert_);
  EXPECT_EQ(report_->sources().directories(), std::set<std::string>{root_});
  const auto again = server("");
  EXPECT_EQ(again->identities[0], spec->identities[0]);  // loaded once

  std::filesystem::create_directory(root_ / "watched");
  spec = server_of("common_tls_context { tls_certificates { certificate_chain { filename: '" + cert_ +
                   "' } private_key { filename: '" + key_ + "' } watched_directory { path: '" +
                   std::string(root_ / "watched") + "' } } }");
  ASSERT_TRUE(spec.has_value()) << found();
  EXPECT_EQ(report_->sources().directories(), std::set<std::string>{root_ / "watched"});
}

// field: TlsCertificate.pkcs12, TlsCertificate.password, TlsCertificate.ocsp_staple
TEST_F(ReadContextTest, OtherFormsOfCertificates) {
  const std::string bag = file("bag", identity_.pkcs12("secret"));
  auto spec = server_of("common_tls_context { tls_certificates { pkcs12 { filename: '" + bag +
                        "' } password { inline_string: 'secret' } } }");
  ASSERT_TRUE(spec.has_value()) << found();
  EXPECT_EQ(spec->identities[0]->origin(), bag);
  const std::string locked = file("locked", identity_.encrypted_key("secret"));
  const std::string ocsp = file("ocsp", test::make_ocsp_response(identity_, authority_));
  const auto with_password = [&](const std::string& password) {
    return server_of("common_tls_context { tls_certificates { certificate_chain { filename: '" + cert_ +
                     "' } private_key { filename: '" + locked + "' } password { inline_string: '" + password +
                     "' } ocsp_staple { filename: '" + ocsp + "' } } }");
  };
  spec = with_password("secret");
  ASSERT_TRUE(spec.has_value()) << found();
  EXPECT_TRUE(spec->identities[0]->has_ocsp_response());
  EXPECT_FALSE(with_password("wrong").has_value());
  EXPECT_TRUE(found().starts_with("tls.common_tls_context.tls_certificates[0].p")) << found();
  EXPECT_EQ(found().find("wrong"), std::string::npos);
}

TEST_F(ReadContextTest, BadCertificates) {
  EXPECT_FALSE(server_of("").has_value());
  EXPECT_TRUE(found().starts_with("tls.common_tls_context.tls_certificates: must not be empty")) << found();
  EXPECT_FALSE(server_of("common_tls_context { tls_certificates {} }").has_value());
  EXPECT_EQ(found(),
            "tls.common_tls_context.tls_certificates[0].certificate_chain: must be set, or pkcs12\n"
            "tls.common_tls_context.tls_certificates[0].private_key: must be set, or pkcs12");
  const test::TestIdentity other = test::make_certificate({}, &authority_);
  key_ = file("other.key", other.private_key);
  EXPECT_FALSE(server("").has_value());
  EXPECT_TRUE(found().starts_with("tls.common_tls_context.tls_certificates[0].private_key: " + key_)) << found();
  key_ = file("none.key", "");
  EXPECT_FALSE(server("").has_value());
  EXPECT_EQ(found(), "tls.common_tls_context.tls_certificates[0].private_key: " + key_ + ": is empty");
  key_ = "/no/such";
  EXPECT_FALSE(server("").has_value());
  EXPECT_EQ(found(),
            "tls.common_tls_context.tls_certificates[0].private_key.filename: cannot read /no/such: No such file or "
            "directory");
}

// field: CommonTlsContext.tls_certificate_sds_secret_configs, Secret.tls_certificate
TEST_F(ReadContextTest, NamedCertificates) {
  pb::Secret& secret = secrets_["own"];
  secret.set_name("own");
  secret.mutable_tls_certificate()->mutable_certificate_chain()->set_filename(cert_);
  secret.mutable_tls_certificate()->mutable_private_key()->set_filename(key_);
  const std::string text = "common_tls_context { tls_certificate_sds_secret_configs { name: 'own' } }";
  auto spec = server_of(text);
  ASSERT_TRUE(spec.has_value()) << found();
  EXPECT_EQ(spec->identities.size(), 1u);
  // What is wrong with it is said where it stands.
  secret.mutable_tls_certificate()->mutable_private_key()->set_filename("/no/such");
  EXPECT_FALSE(server_of(text).has_value());
  EXPECT_EQ(found(),
            "secrets[own].tls_certificate.private_key.filename: cannot read /no/such: No such file or directory");
  secret.mutable_validation_context();
  EXPECT_FALSE(server_of(text).has_value());
  EXPECT_TRUE(
      found().starts_with("tls.common_tls_context.tls_certificate_sds_secret_configs[0].name: the secret "
                          "\"own\" has no tls_certificate"))
      << found();
}

// field: CommonTlsContext.validation_context, CertificateValidationContext.trusted_ca, Secret.validation_context
// field: CommonTlsContext.validation_context_sds_secret_config, CommonTlsContext.combined_validation_context
// field: CombinedCertificateValidationContext.default_validation_context
// field: CombinedCertificateValidationContext.validation_context_sds_secret_config
TEST_F(ReadContextTest, WhereTrustComesFrom) {
  auto spec = server("validation_context { trusted_ca { filename: '" + ca_ + "' } }");
  ASSERT_TRUE(spec.has_value()) << found();
  EXPECT_EQ(spec->verifier->trusted().at(0).origin, ca_);
  EXPECT_TRUE(report_->sources().directories().contains(root_));

  pb::Secret& secret = secrets_["trust"];
  secret.set_name("trust");
  secret.mutable_validation_context()->mutable_trusted_ca()->set_filename(ca_);
  spec = server("validation_context_sds_secret_config { name: 'trust' }");
  ASSERT_TRUE(spec.has_value()) << found();
  EXPECT_EQ(spec->verifier->trusted().at(0).origin, ca_);

  const std::string other = file("other.pem", test::make_authority("other").certificate);
  const auto combined = [&](const std::string& base) {
    return server("combined_validation_context { default_validation_context { " + base +
                  " } validation_context_sds_secret_config { name: 'trust' } }");
  };
  spec = combined("trusted_ca { filename: '" + other + "' }");
  ASSERT_TRUE(spec.has_value()) << found();
  ASSERT_EQ(spec->verifier->trusted().size(), 1u);
  EXPECT_EQ(spec->verifier->trusted().at(0).origin, ca_);  // the secret's is the later word
  const std::string digest(spec->verifier->digest());
  spec = combined("match_typed_subject_alt_names { san_type: DNS matcher { exact: 'a' } }");
  ASSERT_TRUE(spec.has_value()) << found();
  EXPECT_NE(spec->verifier->digest(), digest);
  EXPECT_FALSE(server("validation_context_sds_secret_config { name: 'own' }").has_value());
}

// field: CertificateValidationContext.system_root_certs
TEST_F(ReadContextTest, TrustOfTheSystem) {
  auto spec = server("validation_context { system_root_certs {} }");
  if (!std::filesystem::exists("/etc/ssl/certs/ca-certificates.crt")) {
    EXPECT_FALSE(spec.has_value());
    EXPECT_NE(found().find("cannot read /etc/ssl/certs/ca-certificates.crt"), std::string::npos) << found();
    return;
  }
  ASSERT_TRUE(spec.has_value()) << found();
  EXPECT_EQ(spec->verifier->trusted().at(0).origin, "/etc/ssl/certs/ca-certificates.crt");
}

class VerifierOfContext : public ReadContextTest {
 protected:
  // The verdict about `peer`, of whom the authority is trusted.
  tls::Verdict verdict(const std::string& context, const test::TestIdentity& peer, bool trusted = true) {
    auto spec =
        server("validation_context { " + (trusted ? "trusted_ca { filename: '" + ca_ + "' } " : "") + context + " }");
    EXPECT_TRUE(spec.has_value()) << found();
    if (!spec.has_value()) return {};
    bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> chain(sk_CRYPTO_BUFFER_new_null());
    const std::string der = peer.der();
    bssl::PushToStack(chain.get(), bssl::UniquePtr<CRYPTO_BUFFER>(CRYPTO_BUFFER_new(
                                       reinterpret_cast<const uint8_t*>(der.data()), der.size(), nullptr)));
    return spec->verifier->verify(chain.get(), {.now = now_});
  }
  bool lets_in(const std::string& context, const test::TestIdentity& peer, bool trusted = true) {
    return verdict(context, peer, trusted).accepted;
  }
  test::TestIdentity named(std::vector<std::string> names) {
    test::CertificateOptions options;
    options.names = std::move(names);
    return test::make_certificate(options, &authority_);
  }
  static std::string hash_of(const test::TestIdentity& identity) {
    return crypto::Certificate::parse_pem(identity.certificate)->front().fingerprint();
  }

  WallTime now_ = test::kValidFrom + std::chrono::hours(1);
};

// field: CertificateValidationContext.match_typed_subject_alt_names, SubjectAltNameMatcher.san_type
// field: SubjectAltNameMatcher.matcher, CertificateValidationContext.match_subject_alt_names
TEST_F(VerifierOfContext, Names) {
  const test::TestIdentity peer = named({"DNS:a.example", "URI:spiffe://x/y", "email:me@a.example", "IP:10.0.0.1"});
  const auto typed = [&](const std::string& type, const std::string& matcher) {
    return lets_in("match_typed_subject_alt_names { san_type: " + type + " matcher { " + matcher + " } }", peer);
  };
  EXPECT_TRUE(typed("DNS", "exact: 'a.example'"));
  EXPECT_FALSE(typed("DNS", "exact: 'spiffe://x/y'"));
  EXPECT_TRUE(typed("DNS", "exact: 'A.EXAMPLE' ignore_case: true"));
  EXPECT_TRUE(typed("URI", "prefix: 'spiffe://x/'"));
  EXPECT_FALSE(typed("URI", "prefix: 'spiffe://y/'"));
  EXPECT_TRUE(typed("EMAIL", "suffix: '@a.example'"));
  EXPECT_TRUE(typed("IP_ADDRESS", "contains: '0.0'"));
  EXPECT_TRUE(typed("DNS", "safe_regex { regex: 'a\\\\.[a-z]+' }"));
  EXPECT_FALSE(typed("DNS", "safe_regex { regex: 'b\\\\..*' }"));
  for (const char* name : {"a.example", "spiffe://x/y", "me@a.example", "10.0.0.1"})
    EXPECT_TRUE(lets_in("match_subject_alt_names { exact: '" + std::string(name) + "' }", peer)) << name;
  EXPECT_FALSE(lets_in("match_subject_alt_names { exact: 'b.example' }", peer));
}

TEST_F(VerifierOfContext, NamesThatNobodyHasSigned) {
  EXPECT_FALSE(server("validation_context { match_typed_subject_alt_names { san_type: DNS matcher { exact: 'a' } } }")
                   .has_value());
  EXPECT_NE(found().find("validation_context.match_typed_subject_alt_names: needs trusted_ca"), std::string::npos)
      << found();
  // The one may be in a secret, and the other beside it.
  pb::Secret& secret = secrets_["trust"];
  secret.set_name("trust");
  secret.mutable_validation_context()->mutable_trusted_ca()->set_filename(ca_);
  EXPECT_TRUE(
      server("combined_validation_context { default_validation_context { match_subject_alt_names { exact: 'a' } } "
             "validation_context_sds_secret_config { name: 'trust' } }")
          .has_value())
      << found();
}

// field: SubjectAltNameMatcher.oid
TEST_F(VerifierOfContext, OtherNames) {
  const test::TestIdentity peer = named({"otherName:1.2.3.4;UTF8:me"});
  const auto other = [&](const std::string& oid) {
    return lets_in("match_typed_subject_alt_names { san_type: OTHER_NAME oid: '" + oid + "' matcher { exact: 'me' } }",
                   peer);
  };
  EXPECT_TRUE(other("1.2.3.4"));
  EXPECT_FALSE(other("1.2.3.5"));
  EXPECT_FALSE(
      server("validation_context { match_typed_subject_alt_names { san_type: OTHER_NAME matcher { exact: 'x' } "
             "} match_typed_subject_alt_names { san_type: DNS oid: '1.2' matcher { exact: 'x' } } }")
          .has_value());
  EXPECT_EQ(diagnostics_.errors(), 2u) << found();
}

// field: CertificateValidationContext.verify_certificate_hash, CertificateValidationContext.verify_certificate_spki
TEST_F(VerifierOfContext, Pins) {
  const test::TestIdentity peer = named({"DNS:a.example"});
  EXPECT_TRUE(lets_in("verify_certificate_hash: '" + hash_of(peer) + "'", peer, false));
  EXPECT_FALSE(lets_in("verify_certificate_hash: '" + hash_of(authority_) + "'", peer, false));
  EXPECT_FALSE(lets_in("verify_certificate_spki: '" + std::string(43, 'A') + "='", peer, false));
}

// field: CertificateValidationContext.crl, CertificateValidationContext.only_verify_leaf_cert_crl
TEST_F(VerifierOfContext, RevocationLists) {
  const test::TestIdentity good = named({"DNS:a.example"}), bad = named({"DNS:b.example"});
  const std::string list = file("list.crl", test::make_crl(authority_, {&bad}));
  const std::string crl = "crl { filename: '" + list + "' }";
  EXPECT_TRUE(lets_in(crl, good));
  EXPECT_FALSE(lets_in(crl, bad));
  EXPECT_TRUE(lets_in("", bad));
  const auto strict = server("validation_context { trusted_ca { filename: '" + ca_ + "' } " + crl + " }");
  const auto leaf = server("validation_context { trusted_ca { filename: '" + ca_ + "' } " + crl +
                           " only_verify_leaf_cert_crl: true }");
  EXPECT_NE(strict->verifier->digest(), leaf->verifier->digest());
}

// field: CertificateValidationContext.allow_expired_certificate
TEST_F(VerifierOfContext, ExpiredOnes) {
  test::CertificateOptions options;
  options.not_after = test::kValidFrom + 1s;
  const test::TestIdentity old = test::make_certificate(options, &authority_);
  EXPECT_FALSE(lets_in("", old));
  EXPECT_TRUE(lets_in("allow_expired_certificate: true", old));
}

// field: CertificateValidationContext.trust_chain_verification
TEST_F(VerifierOfContext, UntrustedOnes) {
  const test::TestIdentity stranger = test::make_certificate({});
  EXPECT_FALSE(lets_in("", stranger));
  const tls::Verdict verdict = this->verdict("trust_chain_verification: ACCEPT_UNTRUSTED", stranger);
  EXPECT_TRUE(verdict.accepted);
  EXPECT_FALSE(verdict.validated);
}

// field: CertificateValidationContext.max_verify_depth
TEST_F(VerifierOfContext, Depth) {
  const auto digest = [&](const std::string& context) {
    auto spec = server("validation_context { trusted_ca { filename: '" + ca_ + "' } " + context + " }");
    return std::string(spec->verifier->digest());
  };
  EXPECT_NE(digest(""), digest("max_verify_depth { value: 1 }"));
  EXPECT_EQ(digest(""), digest("max_verify_depth { value: 100 }"));
}

// field: CertificateValidationContext.custom_validator_config, SPIFFECertValidatorConfig.trust_domains
// field: SPIFFECertValidatorConfig.TrustDomain.name, SPIFFECertValidatorConfig.TrustDomain.trust_bundle
TEST_F(VerifierOfContext, Spiffe) {
  const std::string context =
      "custom_validator_config { name: 'spiffe' typed_config { "
      "[type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig] { trust_domains { "
      "name: 'x' trust_bundle { filename: '" +
      ca_ + "' } } } } }";
  EXPECT_TRUE(lets_in(context, named({"URI:spiffe://x/y"}), false));
  EXPECT_FALSE(lets_in(context, named({"URI:spiffe://z/y"}), false));
  EXPECT_FALSE(lets_in(context, named({"DNS:x"}), false));
  EXPECT_FALSE(server("validation_context { custom_validator_config { name: 'x' typed_config { "
                      "[type.googleapis.com/envoy.config.core.v3.DataSource] {} } } }")
                   .has_value());
  EXPECT_NE(found().find("is no validator of this build"), std::string::npos) << found();
}

// field: SPIFFECertValidatorConfig.trust_bundles
TEST_F(VerifierOfContext, SpiffeBundlesOfOneFile) {
  std::string base64;
  std::istringstream lines(authority_.certificate);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("-----")) base64 += line;
  }
  const auto context = [&](const std::string& json, const std::string& domain = {}) {
    return "custom_validator_config { name: 'spiffe' typed_config { "
           "[type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig] { "
           "trust_domains { name: 'z' " +
           domain + " } trust_bundles { filename: '" + file("bundles.json", json) + "' } } } }";
  };
  const auto domains = [](const std::string& text) { return R"({"trust_domains": {)" + text + "}}"; };
  const std::string json =
      domains(R"("empty": {"keys": []}, "x": {"spiffe_sequence": 1, "keys": [{"use": "jwt-svid", "kid": "1"}, )"
              R"({"kty": "EC", "use": "x509-svid", "x5c": [")" +
              base64 + R"("]}]})");
  const std::string good = context(json);
  EXPECT_TRUE(lets_in(good, named({"URI:spiffe://x/y"}), false));
  EXPECT_EQ(found(), "");
  EXPECT_TRUE(report_->sources().directories().contains(root_));
  EXPECT_FALSE(lets_in(good, named({"URI:spiffe://z/y"}), false));
  EXPECT_FALSE(lets_in(good, named({"URI:spiffe://empty/y"}), false));
  EXPECT_FALSE(lets_in(context(json, "trust_bundle { filename: '" + ca_ + "' }"), named({"URI:spiffe://z/y"}), false));
  EXPECT_TRUE(found().ends_with(".typed_config.trust_domains: has no effect beside trust_bundles")) << found();

  const auto of_x = [&](const std::string& keys) { return domains(R"("x": {"keys": [)" + keys + "]}"); };
  for (const auto& [bad, fault] : std::vector<std::pair<std::string, std::string>>{
           {"[", "is not JSON: "},
           {"{}", "has no object \"trust_domains\", which has the bundle of each trust domain"},
           {domains(R"("x": {})"), "trust domain \"x\": has no list \"keys\""},
           {of_x("{}"), "trust domain \"x\": keys[0] has no \"use\""},
           {of_x(R"({"use": "x509-svid"})"), "trust domain \"x\": keys[0] has no certificate (\"x5c\")"},
           {of_x(R"({"use": "x509-svid", "x5c": ["-----END"]})"),
            "trust domain \"x\": keys[0].x5c is not a certificate in base64"},
           {of_x(R"({"use": "x509-svid", "x5c": ["AAAA"]})"), "trust domain \"x\": "},
           {of_x(""), "has no certificate of any trust domain"}}) {
    EXPECT_FALSE(server("validation_context { " + context(bad) + " }").has_value()) << bad;
    EXPECT_TRUE(found().starts_with(
        "tls.common_tls_context.validation_context.custom_validator_config.typed_config.trust_bundles: " +
        std::string(root_ / "bundles.json") + ": " + fault))
        << found();
  }
}

// field: CertificateValidationContext.watched_directory
TEST_F(ReadContextTest, WatchedTrust) {
  std::filesystem::create_directory(root_ / "trust");
  const auto spec = client("common_tls_context { validation_context { trusted_ca { filename: '" + ca_ +
                           "' } watched_directory { path: '" + std::string(root_ / "trust") + "' } } }");
  ASSERT_TRUE(spec.has_value()) << found();
  EXPECT_EQ(report_->sources().directories(), std::set<std::string>{root_ / "trust"});
}

TEST_F(ReadContextTest, BadTrust) {
  const std::string junk = file("junk.pem", "junk");
  EXPECT_FALSE(server("validation_context { trusted_ca { filename: '" + junk + "' } }").has_value());
  EXPECT_TRUE(found().starts_with("tls.common_tls_context.validation_context.trusted_ca: " + junk)) << found();
  EXPECT_FALSE(server("validation_context { match_typed_subject_alt_names { san_type: DNS matcher { safe_regex { "
                      "regex: '(' } } } }")
                   .has_value());
  EXPECT_TRUE(found().starts_with(
      "tls.common_tls_context.validation_context.match_typed_subject_alt_names[0].matcher.safe_regex"))
      << found();
}

// field: DownstreamTlsContext.common_tls_context, DownstreamTlsContext.require_client_certificate
// field: DownstreamTlsContext.require_sni, DownstreamTlsContext.full_scan_certs_on_sni_mismatch
// field: DownstreamTlsContext.prefer_client_ciphers, DownstreamTlsContext.ocsp_staple_policy
// field: DownstreamTlsContext.disable_stateless_session_resumption, DownstreamTlsContext.session_timeout
// field: DownstreamTlsContext.disable_stateful_session_resumption
TEST_F(ReadContextTest, Servers) {
  auto spec = server("");
  ASSERT_TRUE(spec.has_value());
  EXPECT_FALSE(spec->require_client_certificate || spec->require_sni || spec->full_scan_certs_on_sni_mismatch ||
               spec->prefer_client_ciphers || spec->disable_stateless_session_resumption ||
               spec->disable_stateful_session_resumption || spec->session_timeout.has_value());
  EXPECT_EQ(spec->ocsp_staple_policy, tls::OcspStaplePolicy::kLenient);
  const std::string yes = " { value: true } ";
  EXPECT_TRUE(server("", "require_client_certificate" + yes)->require_client_certificate);
  EXPECT_TRUE(server("", "require_sni" + yes)->require_sni);
  EXPECT_TRUE(server("", "full_scan_certs_on_sni_mismatch" + yes)->full_scan_certs_on_sni_mismatch);
  EXPECT_TRUE(server("", "prefer_client_ciphers: true")->prefer_client_ciphers);
  EXPECT_TRUE(server("", "disable_stateless_session_resumption: true")->disable_stateless_session_resumption);
  EXPECT_TRUE(server("", "disable_stateful_session_resumption: true")->disable_stateful_session_resumption);
  EXPECT_EQ(server("", "session_timeout { seconds: 60 }")->session_timeout, 60s);
  EXPECT_EQ(server("", "ocsp_staple_policy: STRICT_STAPLING")->ocsp_staple_policy, tls::OcspStaplePolicy::kStrict);
  EXPECT_EQ(server("", "ocsp_staple_policy: MUST_STAPLE")->ocsp_staple_policy, tls::OcspStaplePolicy::kMustStaple);
}

// field: DownstreamTlsContext.session_ticket_keys, TlsSessionTicketKeys.keys, Secret.session_ticket_keys
// field: DownstreamTlsContext.session_ticket_keys_sds_secret_config
TEST_F(ReadContextTest, TicketKeys) {
  const std::string key(80, 'k'), path = file("ticket.key", std::string(80, 'f'));
  auto spec =
      server("", "session_ticket_keys { keys { inline_string: '" + key + "' } keys { filename: '" + path + "' } }");
  ASSERT_TRUE(spec.has_value()) << found();
  ASSERT_EQ(spec->session_ticket_keys.size(), 2u);
  EXPECT_EQ(spec->session_ticket_keys[0].to_bytes(), key);
  EXPECT_TRUE(report_->sources().directories().contains(root_));
  EXPECT_FALSE(server("", "session_ticket_keys { keys { inline_string: 'short' } }").has_value());
  EXPECT_TRUE(found().starts_with("tls.session_ticket_keys.keys[0]: inline ")) << found();

  pb::Secret& secret = secrets_["tickets"];
  secret.set_name("tickets");
  secret.mutable_session_ticket_keys()->add_keys()->set_inline_string(key);
  spec = server("", "session_ticket_keys_sds_secret_config { name: 'tickets' }");
  ASSERT_TRUE(spec.has_value()) << found();
  EXPECT_EQ(spec->session_ticket_keys.at(0).to_bytes(), key);
}

// field: CommonTlsContext.key_log, TlsKeyLog.path, TlsKeyLog.local_address_range, TlsKeyLog.remote_address_range
TEST_F(ReadContextTest, KeyLogs) {
  const std::string path = root_ / "keys.log";
  auto spec =
      server("key_log { path: '" + path +
             "' local_address_range { address_prefix: '10.0.0.0' prefix_len { value: 8 } } remote_address_range "
             "{ address_prefix: '192.0.2.0' prefix_len { value: 24 } } }");
  ASSERT_TRUE(spec.has_value()) << found();
  const auto at = [](const char* ip) { return *net::Address::from_ip(ip, 1); };
  EXPECT_TRUE(spec->key_log->wants(at("10.1.1.1"), at("192.0.2.1")));
  EXPECT_FALSE(spec->key_log->wants(at("11.1.1.1"), at("192.0.2.1")));
  EXPECT_FALSE(spec->key_log->wants(at("10.1.1.1"), at("192.0.3.1")));
  EXPECT_FALSE(server("key_log { path: '/no/such/file' }").has_value());
  EXPECT_TRUE(found().starts_with("tls.common_tls_context.key_log.path")) << found();
}

// field: UpstreamTlsContext.common_tls_context, UpstreamTlsContext.sni, UpstreamTlsContext.auto_host_sni
// field: UpstreamTlsContext.auto_sni_san_validation, UpstreamTlsContext.allow_renegotiation
// field: UpstreamTlsContext.max_session_keys, UpstreamTlsContext.enforce_rsa_key_usage
TEST_F(ReadContextTest, Clients) {
  auto reading = client("");
  ASSERT_TRUE(reading.has_value());
  EXPECT_EQ(reading->spec.max_session_keys, 1u);
  EXPECT_EQ(reading->spec.identity, nullptr);
  EXPECT_EQ(reading->spec.verifier, nullptr);
  EXPECT_FALSE(reading->auto_host_sni || reading->spec.auto_sni_san_validation || reading->spec.allow_renegotiation ||
               reading->spec.enforce_rsa_key_usage);
  EXPECT_EQ(client("sni: 'a.example'")->spec.sni, "a.example");
  EXPECT_TRUE(client("auto_host_sni: true")->auto_host_sni);
  EXPECT_TRUE(client("auto_sni_san_validation: true")->spec.auto_sni_san_validation);
  EXPECT_TRUE(client("allow_renegotiation: true")->spec.allow_renegotiation);
  EXPECT_EQ(client("max_session_keys { value: 5 }")->spec.max_session_keys, 5u);
  EXPECT_TRUE(client("enforce_rsa_key_usage { value: true }")->spec.enforce_rsa_key_usage);
  EXPECT_NE(client("common_tls_context { " + certificate() + " }")->spec.identity, nullptr);
  EXPECT_FALSE(client("common_tls_context { " + certificate() + certificate() + " }").has_value());
  EXPECT_EQ(found(),
            "tls.common_tls_context.tls_certificates: has more than one certificate; a client shows one alone");
}

}  // namespace
}  // namespace weir::transport_sockets
