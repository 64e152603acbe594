// Handshakes between our two sides: what is agreed on, who is let in, what is said of failures, and how bytes travel.
#include <malloc.h>
#include <openssl/ssl.h>

#include <algorithm>

#include "core/base/random.h"
#include "test/core/tls/ends.h"
#include "test/support/seed.h"

namespace weir::tls {
namespace {

using net::CertificateFact;
using net::CloseReason;
using net::End;
using net::NameKind;
using net::SessionFact;

constexpr std::string_view kVerifyFailed =
    "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: ";

std::string pattern(size_t size) {
  std::string text(size, 'x');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

TEST_F(TlsTest, BothVersions) {
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    only(version);
    rebuild();
    options.server_name = "www.example";
    meet();
    ASSERT_TRUE(met());
    for (Side* side : {server.get(), client.get()}) {
      EXPECT_EQ(side->session(SessionFact::kVersion), version == Version::kTls12 ? "TLSv1.2" : "TLSv1.3");
      EXPECT_EQ(side->session(SessionFact::kGroup), "X25519");
      EXPECT_EQ(side->session(SessionFact::kServerName), "www.example");
      EXPECT_EQ(side->session(SessionFact::kProtocol), "");
      const std::string cipher = side->session(SessionFact::kCipher);
      EXPECT_EQ(cipher.substr(0, 4), version == Version::kTls12 ? "ECDH" : "TLS_");
      EXPECT_EQ(side->failure(), "");
      EXPECT_FALSE(side->facts().validated());
    }
    EXPECT_FALSE(server->facts().presented());
    EXPECT_TRUE(client->facts().presented());
  }
}

TEST_F(TlsTest, NothingIsKnownBeforeTheHandshakeIsOver) {
  open();
  EXPECT_EQ(server->session(SessionFact::kVersion), "");
  EXPECT_EQ(server->facts().certificate(End::kPeer, CertificateFact::kSubject), "");
  EXPECT_TRUE(server->facts().names(End::kPeer, NameKind::kDns).each.empty());
  EXPECT_FALSE(server->facts().presented());
}

TEST_F(TlsTest, FactsOfCertificates) {
  TestIdentity middle = make_authority("middle", &root);
  TestIdentity me =
      make_certificate({.common_name = "me",
                        .key = test::Key::kP384,
                        .names = {"URI:spiffe://a/b", "DNS:one.example", "DNS:two.example", "IP:192.0.2.7",
                                  "email:a@b.example", "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:me@corp"}},
                       &middle);
  server_spec.verifier = verifier_of({.trusted_ca = {root.certificate, "ca.pem"}});
  server_spec.require_client_certificate = true;
  client_spec.identity = identity_of(me, middle.certificate);
  meet();
  ASSERT_TRUE(met()) << server->failure() << client->failure();
  net::TransportFacts& facts = server->facts();
  auto own = *crypto::Certificate::parse_der(me.der());
  auto issuer = *crypto::Certificate::parse_der(middle.der());
  auto fact = [&](CertificateFact which) { return facts.certificate(End::kPeer, which); };
  EXPECT_EQ(fact(CertificateFact::kSubject), "CN=me");
  EXPECT_EQ(fact(CertificateFact::kIssuer), "CN=middle");
  EXPECT_EQ(fact(CertificateFact::kSerial), own.serial_hex());
  EXPECT_EQ(fact(CertificateFact::kSha256), own.fingerprint());
  EXPECT_EQ(fact(CertificateFact::kSha1), own.fingerprint_sha1());
  EXPECT_EQ(fact(CertificateFact::kSha1).size(), 40u);
  EXPECT_EQ(fact(CertificateFact::kIssuerSha256), issuer.fingerprint());
  EXPECT_EQ(fact(CertificateFact::kIssuerSerial), issuer.serial_hex());
  EXPECT_EQ(fact(CertificateFact::kChainSha256), own.fingerprint() + "," + issuer.fingerprint());
  EXPECT_EQ(fact(CertificateFact::kChainSha1), own.fingerprint_sha1() + "," + issuer.fingerprint_sha1());
  EXPECT_EQ(fact(CertificateFact::kChainSerials), own.serial_hex() + "," + issuer.serial_hex());
  EXPECT_EQ(fact(CertificateFact::kPem).find("-----BEGIN%20CERTIFICATE-----%0AMII"), 0u);
  EXPECT_EQ(fact(CertificateFact::kPem).find_first_of("+/=\n "), std::string_view::npos);
  EXPECT_EQ(fact(CertificateFact::kPemChain).find(fact(CertificateFact::kPem)), 0u);
  EXPECT_GT(fact(CertificateFact::kPemChain).size(), fact(CertificateFact::kPem).size() + 300);
  EXPECT_EQ(facts.not_before(), test::kValidFrom);
  EXPECT_EQ(facts.not_after(), test::kValidTo);
  auto joined = [&](NameKind kind) { return facts.names(End::kPeer, kind).joined; };
  EXPECT_EQ(joined(NameKind::kUri), "spiffe://a/b");
  EXPECT_EQ(joined(NameKind::kDns), "one.example,two.example");
  EXPECT_EQ(facts.names(End::kPeer, NameKind::kDns).each.size(), 2u);
  EXPECT_EQ(joined(NameKind::kIp), "192.0.2.7");
  EXPECT_EQ(joined(NameKind::kEmail), "a@b.example");
  EXPECT_EQ(joined(NameKind::kOther), "me@corp");
  EXPECT_TRUE(facts.presented());
  EXPECT_TRUE(facts.validated());
  // Our own side.
  EXPECT_EQ(facts.certificate(End::kLocal, CertificateFact::kSubject), "CN=leaf");
  EXPECT_EQ(facts.names(End::kLocal, NameKind::kDns).joined, "www.example");
  EXPECT_EQ(client->facts().certificate(End::kLocal, CertificateFact::kSubject), "CN=me");
  EXPECT_EQ(client->facts().certificate(End::kPeer, CertificateFact::kSubject), "CN=leaf");
  // They outlive the connection, for its log line.
  server->connection->close();
  lane.turns(2);
  EXPECT_EQ(server->facts().certificate(End::kPeer, CertificateFact::kSerial), own.serial_hex());
  EXPECT_EQ(server->session(SessionFact::kVersion), "TLSv1.3");
}

TEST_F(TlsTest, Protocols) {
  server_spec.alpn_protocols = {"h2", "http/1.1"};
  client_spec.alpn_protocols = {"http/1.1", "h2"};
  meet();
  ASSERT_TRUE(met());
  EXPECT_EQ(server->session(SessionFact::kProtocol), "h2") << "the server's order counts";
  EXPECT_EQ(client->session(SessionFact::kProtocol), "h2");
  options.alpn_protocols = {"http/1.1"};
  meet();
  ASSERT_TRUE(met());
  EXPECT_EQ(client->session(SessionFact::kProtocol), "http/1.1");
  options.alpn_protocols = {"spdy/3"};
  meet();
  ASSERT_TRUE(met()) << "no overlap is no failure";
  EXPECT_EQ(client->session(SessionFact::kProtocol), "");
}

TEST_F(TlsTest, VersionsThatDoNotMeet) {
  server_spec.parameters = {.minimum = Version::kTls13};
  client_spec.parameters = {.maximum = Version::kTls12};
  meet();
  EXPECT_TRUE(server->closed);
  EXPECT_EQ(server->reason, CloseReason::kTransportFailed);
  EXPECT_EQ(server->failure(), "TLS_error:|268435696:SSL routines:OPENSSL_internal:UNSUPPORTED_PROTOCOL:TLS_error_end");
  EXPECT_EQ(client->failure(),
            "TLS_error:|268436526:SSL routines:OPENSSL_internal:TLSV1_ALERT_PROTOCOL_VERSION:TLS_error_end");
  EXPECT_EQ(client->reason, CloseReason::kTransportFailed);
  EXPECT_EQ(server_spec.stats->connection_error.value(), 1u);
  EXPECT_EQ(client_spec.stats->connection_error.value(), 1u);
  EXPECT_EQ(server_spec.stats->handshake.value(), 0u);
}

TEST_F(TlsTest, CipherSuitesThatDoNotMeet) {
  server_spec.parameters = {.maximum = Version::kTls12, .cipher_suites = {"ECDHE-ECDSA-AES128-GCM-SHA256"}};
  client_spec.parameters = {.cipher_suites = {"ECDHE-RSA-AES128-GCM-SHA256"}};
  meet();
  EXPECT_EQ(server->failure(), "TLS_error:|268435640:SSL routines:OPENSSL_internal:NO_SHARED_CIPHER:TLS_error_end");
  EXPECT_EQ(client->failure(),
            "TLS_error:|268436496:SSL routines:OPENSSL_internal:SSLV3_ALERT_HANDSHAKE_FAILURE|268435610:SSL "
            "routines:OPENSSL_internal:HANDSHAKE_FAILURE_ON_CLIENT_HELLO:TLS_error_end");
}

TEST_F(TlsTest, WhoseCipherSuitesComeFirst) {
  const char* const kFirst = "ECDHE-ECDSA-AES256-GCM-SHA384";
  const char* const kSecond = "ECDHE-ECDSA-AES128-GCM-SHA256";
  server_spec.parameters = {.maximum = Version::kTls12, .cipher_suites = {kFirst, kSecond}};
  client_spec.parameters = {.cipher_suites = {kSecond, kFirst}};
  meet();
  ASSERT_TRUE(met());
  EXPECT_EQ(server->session(SessionFact::kCipher), kFirst);
  server_spec.prefer_client_ciphers = true;
  rebuild();
  meet();
  ASSERT_TRUE(met());
  EXPECT_EQ(server->session(SessionFact::kCipher), kSecond);
  // Equally good ones: the client decides.
  server_spec.prefer_client_ciphers = false;
  server_spec.parameters.cipher_suites = {std::string("[") + kFirst + "|" + kSecond + "]"};
  rebuild();
  meet();
  ASSERT_TRUE(met());
  EXPECT_EQ(server->session(SessionFact::kCipher), kSecond);
}

TEST_F(TlsTest, Groups) {
  server_spec.parameters.ecdh_curves = {"P-384"};
  client_spec.parameters.ecdh_curves = {"X25519", "P-384"};
  meet();
  ASSERT_TRUE(met()) << "a second ClientHello";
  EXPECT_EQ(server->session(SessionFact::kGroup), "P-384");
  EXPECT_EQ(stat("listener.server.ssl.curves.P-384"), 1u);
}

TEST_F(TlsTest, PlainTextInsteadOfTls) {
  build();
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  server = std::make_unique<Side>();
  server->open(lane, fds[0], make_server_transport(server_context, lane), "@client");
  const std::string_view request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
  ASSERT_EQ(send(fds[1], request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  lane.turns(3);
  EXPECT_TRUE(server->closed);
  EXPECT_EQ(server->failure(), "TLS_error:|268435612:SSL routines:OPENSSL_internal:HTTP_REQUEST:TLS_error_end");
  EXPECT_EQ(server_spec.stats->connection_error.value(), 1u);
  close(fds[1]);
}

TEST_F(TlsTest, AnEarlyEndIsNoTlsError) {
  build();
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  server = std::make_unique<Side>();
  server->open(lane, fds[0], make_server_transport(server_context, lane), "@client");
  lane.turn();
  close(fds[1]);
  lane.turns(2);
  EXPECT_TRUE(server->closed);
  EXPECT_EQ(server->reason, CloseReason::kRemote);
  EXPECT_EQ(server->failure(), "the connection was closed during the TLS handshake");
  EXPECT_EQ(server_spec.stats->connection_error.value(), 0u);
}

// ---- Who is let in.

TEST_F(TlsTest, ARequiredClientCertificate) {
  server_spec.verifier = verifier_of({.trusted_ca = {root.certificate, "ca.pem"}});
  server_spec.require_client_certificate = true;
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    only(version);
    client_spec.identity = nullptr;
    rebuild();
    meet();
    EXPECT_FALSE(met());
    EXPECT_EQ(server->failure(),
              "TLS_error:|268435648:SSL routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE:TLS_error_end");
    EXPECT_EQ(
        client->failure(),
        version == Version::kTls12
            ? "TLS_error:|268436496:SSL routines:OPENSSL_internal:SSLV3_ALERT_HANDSHAKE_FAILURE:TLS_error_end"
            : "TLS_error:|268436572:SSL routines:OPENSSL_internal:TLSV1_ALERT_CERTIFICATE_REQUIRED:TLS_error_end");
    TestIdentity me = make_certificate({}, &root);
    client_spec.identity = identity_of(me);
    rebuild();
    meet();
    EXPECT_TRUE(met());
    EXPECT_TRUE(server->facts().validated());
  }
  EXPECT_EQ(server_spec.stats->fail_verify_no_cert.value(), 2u);
  EXPECT_EQ(server_spec.stats->connection_error.value(), 0u);
}

TEST_F(TlsTest, AnOptionalClientCertificate) {
  server_spec.verifier = verifier_of({.trusted_ca = {root.certificate, "ca.pem"}});
  meet();
  ASSERT_TRUE(met());
  EXPECT_FALSE(server->facts().presented());
  EXPECT_FALSE(server->facts().validated());
  EXPECT_EQ(server_spec.stats->no_certificate.value(), 1u);

  TestIdentity stranger = make_certificate({});
  client_spec.identity = identity_of(stranger);
  rebuild();
  meet();
  EXPECT_FALSE(met()) << "none is good, a bad one is not";
  EXPECT_EQ(server->failure(), std::string(kVerifyFailed) +
                                   "X509_verify_cert: certificate verification error at depth 0: self signed "
                                   "certificate:TLS_error_end");
  EXPECT_EQ(client->failure(),
            "TLS_error:|268436504:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA:TLS_error_end");
  EXPECT_EQ(server_spec.stats->fail_verify_error.value(), 1u);
  EXPECT_EQ(server_spec.stats->connection_error.value(), 0u);
}

TEST_F(TlsTest, ARequiredCertificateThatNobodyChecks) {
  server_spec.require_client_certificate = true;
  meet();
  EXPECT_FALSE(met());
  TestIdentity stranger = make_certificate({});
  client_spec.identity = identity_of(stranger);
  rebuild();
  meet();
  EXPECT_TRUE(met());
  EXPECT_TRUE(server->facts().presented());
  EXPECT_FALSE(server->facts().validated());
}

TEST_F(TlsTest, UntrustedClientsThatAreAccepted) {
  server_spec.verifier = verifier_of({.trusted_ca = {root.certificate, "ca.pem"}, .accept_untrusted = true});
  TestIdentity stranger = make_certificate({});
  client_spec.identity = identity_of(stranger);
  meet();
  EXPECT_TRUE(met());
  EXPECT_TRUE(server->facts().presented());
  EXPECT_FALSE(server->facts().validated());
  EXPECT_EQ(server_spec.stats->fail_verify_error.value(), 1u);
}

TEST_F(TlsTest, ServersAreVerified) {
  client_spec.verifier = verifier_of({.trusted_ca = {root.certificate, "ca.pem"}});
  meet();
  ASSERT_TRUE(met());
  EXPECT_TRUE(client->facts().validated());

  TestIdentity other = make_authority("other");
  client_spec.verifier = verifier_of({.trusted_ca = {other.certificate, "ca.pem"}});
  rebuild();
  meet();
  EXPECT_FALSE(met());
  EXPECT_FALSE(client->connected);
  EXPECT_TRUE(client->connection->connecting() || client->closed);
  EXPECT_EQ(client->failure(), std::string(kVerifyFailed) +
                                   "X509_verify_cert: certificate verification error at depth 0: unable to get local "
                                   "issuer certificate:TLS_error_end");
  EXPECT_EQ(server->failure(),
            "TLS_error:|268436504:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA:TLS_error_end");
}

TEST_F(TlsTest, NamesOfServersAreVerified) {
  VerifierSpec spec{.trusted_ca = {root.certificate, "ca.pem"}};
  client_spec.verifier = verifier_of(spec);
  client_spec.auto_sni_san_validation = true;
  client_spec.sni = "www.example";
  meet();
  EXPECT_TRUE(met());
  client_spec.sni = "other.example";
  rebuild();
  meet();
  EXPECT_FALSE(met());
  EXPECT_EQ(client->failure(), std::string(kVerifyFailed) + "verify SAN list:TLS_error_end");
  EXPECT_EQ(client_spec.stats->fail_verify_san.value(), 1u);
  // What is said for one connection goes before the context's name.
  options.server_name = "www.example";
  meet();
  EXPECT_TRUE(met());
  options.expected_names = {"elsewhere.example"};
  meet();
  EXPECT_FALSE(met());
}

TEST_F(TlsTest, AddressesAreNoServerNames) {
  client_spec.sni = "192.0.2.1";
  meet();
  ASSERT_TRUE(met());
  EXPECT_EQ(server->session(SessionFact::kServerName), "");
}

TEST_F(TlsTest, RequiredServerNames) {
  server_spec.require_sni = true;
  meet();
  EXPECT_FALSE(met());
  EXPECT_EQ(server->reason, CloseReason::kTransportFailed);
  EXPECT_NE(server->failure().find("CONNECTION_REJECTED"), std::string::npos) << server->failure();
  options.server_name = "any.example";
  meet();
  EXPECT_TRUE(met());
}

// ---- Which certificate is shown.

class SelectionTest : public TlsTest {
 protected:
  std::string shown(const std::string& name) {
    options.server_name = name;
    meet();
    return met() ? std::string(client->facts().certificate(End::kPeer, CertificateFact::kSubject)).substr(3)
                 : "(" + server->failure() + ")";
  }
  void add(const char* label, test::Key key, std::vector<std::string> names) {
    made_.push_back(make_certificate({.common_name = label, .key = key, .names = std::move(names)}, &root));
    server_spec.identities.push_back(identity_of(made_.back()));
  }
  std::vector<TestIdentity> made_;
};

TEST_F(SelectionTest, ByName) {
  server_spec.identities.clear();
  add("first", test::Key::kP256, {"DNS:first.example"});
  add("exact", test::Key::kP256, {"DNS:www.Shop.example"});
  add("wild", test::Key::kP256, {"DNS:*.shop.example", "DNS:shop.example"});
  EXPECT_EQ(shown("www.shop.example"), "exact");
  EXPECT_EQ(shown("WWW.shop.EXAMPLE"), "exact");
  EXPECT_EQ(shown("api.shop.example"), "wild");
  EXPECT_EQ(shown("shop.example"), "wild");
  EXPECT_EQ(shown("a.b.shop.example"), "first");
  EXPECT_EQ(shown("elsewhere.example"), "first");
  EXPECT_EQ(shown(""), "first");
}

TEST_F(SelectionTest, ByKey) {
  server_spec.identities.clear();
  add("rsa", test::Key::kRsa2048, {"DNS:www.example"});
  add("ecdsa", test::Key::kP256, {"DNS:www.example"});
  const std::vector<std::string> rsa_only = {"rsa_pss_rsae_sha256", "rsa_pkcs1_sha256"};
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    only(version);
    rebuild();
    EXPECT_EQ(shown("www.example"), "ecdsa") << "cheaper, if the client can check it";
    EXPECT_EQ(shown(""), "ecdsa");
    client_spec.parameters.signature_algorithms = rsa_only;
    rebuild();
    EXPECT_EQ(shown("www.example"), "rsa");
    EXPECT_EQ(shown("elsewhere.example"), "rsa");
    client_spec.parameters.signature_algorithms = {};
  }
  // TLS 1.2: the curve of the key must be among the groups, and a cipher suite must say ECDSA.
  only(Version::kTls12);
  client_spec.parameters.ecdh_curves = {"X25519", "P-384"};
  rebuild();
  EXPECT_EQ(shown("www.example"), "rsa");
  client_spec.parameters.ecdh_curves = {};
  client_spec.parameters.cipher_suites = {"ECDHE-RSA-AES128-GCM-SHA256"};
  rebuild();
  EXPECT_EQ(shown("www.example"), "rsa");
}

TEST_F(SelectionTest, NobodyCanCheckIt) {
  server_spec.identities.clear();
  add("ecdsa", test::Key::kP256, {"DNS:www.example"});
  client_spec.parameters.signature_algorithms = {"rsa_pss_rsae_sha256"};
  EXPECT_EQ(shown("www.example"),
            "(TLS_error:|268435709:SSL routines:OPENSSL_internal:NO_COMMON_SIGNATURE_ALGORITHMS:TLS_error_end)");
}

TEST_F(SelectionTest, OtherCurves) {
  server_spec.identities.clear();
  add("p384", test::Key::kP384, {"DNS:www.example"});
  add("rsa", test::Key::kRsa2048, {"DNS:www.example"});
  EXPECT_EQ(shown("www.example"), "p384");
  client_spec.parameters.signature_algorithms = {"ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256"};
  rebuild();
  EXPECT_EQ(shown("www.example"), "rsa");
}

TEST_F(SelectionTest, FullScan) {
  server_spec.identities.clear();
  add("rsa", test::Key::kRsa2048, {"DNS:a.example"});
  add("ecdsa", test::Key::kP256, {"DNS:b.example"});
  EXPECT_EQ(shown("elsewhere.example"), "rsa");
  server_spec.full_scan_certs_on_sni_mismatch = true;
  rebuild();
  EXPECT_EQ(shown("elsewhere.example"), "ecdsa");
  EXPECT_EQ(shown("a.example"), "rsa");
}

// Clients of ours do not ask for OCSP: a bare one does.
class StaplingTest : public TlsTest {
 protected:
  // What a client that asks (or not) gets: the staple, or the failure of the server.
  std::string stapled(bool ask) {
    hang_up();
    build();
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) return "(no sockets)";
    server = std::make_unique<Side>();
    server->open(lane, fds[0], make_server_transport(server_context, lane), "@client");
    bssl::UniquePtr<SSL_CTX> context(SSL_CTX_new(TLS_with_buffers_method()));
    SSL_CTX_set_custom_verify(context.get(), SSL_VERIFY_PEER, [](SSL*, uint8_t*) { return ssl_verify_ok; });
    bssl::UniquePtr<SSL> ssl(SSL_new(context.get()));
    SSL_set_fd(ssl.get(), fds[1]);
    if (ask) SSL_enable_ocsp_stapling(ssl.get());
    int result = 0;
    for (int i = 0; i < 8 && result != 1; ++i) {
      result = SSL_connect(ssl.get());
      lane.turn();
    }
    const uint8_t* bytes = nullptr;
    size_t size = 0;
    SSL_get0_ocsp_response(ssl.get(), &bytes, &size);
    std::string got = result == 1 ? std::string(reinterpret_cast<const char*>(bytes), size) : "(failed)";
    ssl.reset();
    close(fds[1]);
    return got;
  }
  void serve(const TestIdentity& identity, const std::string& response) {
    server_spec.identities = {identity_of(identity, root.certificate, response)};
    rebuild();
  }
  const Stats& counts() { return *server_spec.stats; }
  std::string good_ = make_ocsp_response(leaf, root);
  std::string old_ = make_ocsp_response(leaf, root, {.next_update = WallTime(1'650'000'000s)});
};

TEST_F(StaplingTest, Lenient) {
  serve(leaf, good_);
  EXPECT_EQ(stapled(true), good_);
  EXPECT_EQ(stapled(false), "");
  EXPECT_EQ(counts().ocsp_staple_requests.value(), 1u);
  EXPECT_EQ(counts().ocsp_staple_responses.value(), 1u);
  serve(leaf, old_);
  EXPECT_EQ(stapled(true), "");
  EXPECT_EQ(counts().ocsp_staple_omitted.value(), 1u);
}

TEST_F(StaplingTest, Strict) {
  server_spec.ocsp_staple_policy = OcspStaplePolicy::kStrict;
  serve(leaf, good_);
  EXPECT_EQ(stapled(true), good_);
  serve(leaf, {});
  EXPECT_EQ(stapled(true), "");
  serve(leaf, old_);
  EXPECT_EQ(stapled(true), "(failed)");
  EXPECT_EQ(counts().ocsp_staple_failed.value(), 1u);
  EXPECT_EQ(stapled(false), "");
}

TEST_F(StaplingTest, MustStaple) {
  server_spec.ocsp_staple_policy = OcspStaplePolicy::kMustStaple;
  serve(leaf, good_);
  EXPECT_EQ(stapled(true), good_);
  serve(leaf, old_);
  EXPECT_EQ(stapled(true), "(failed)");
  EXPECT_EQ(stapled(false), "");
}

TEST_F(StaplingTest, ACertificateThatSaysMustStaple) {
  TestIdentity must = make_certificate({.must_staple = true}, &root);
  serve(must, make_ocsp_response(must, root, {.next_update = WallTime(1'650'000'000s)}));
  EXPECT_EQ(stapled(true), "(failed)");
  EXPECT_EQ(counts().ocsp_staple_failed.value(), 1u);
}

TEST_F(StaplingTest, AnotherCertificateWithAGoodResponse) {
  TestIdentity second = make_certificate({.names = {"DNS:www.example"}}, &root);
  const std::string response = make_ocsp_response(second, root);
  server_spec.ocsp_staple_policy = OcspStaplePolicy::kStrict;
  server_spec.identities = {identity_of(leaf, root.certificate, old_), identity_of(second, root.certificate, response)};
  EXPECT_EQ(stapled(true), response);
}

// ---- How bytes travel.

// Two transports joined without sockets, to see their records.
class RecordTest : public TlsTest {
 protected:
  void join() {
    build();
    there_ = make_client_transport(client_context, lane, options);
    here_ = make_server_transport(server_context, lane);
    for (int i = 0; i < 4; ++i) {
      there_->handshake();
      here_->wire_in().append_all(there_->wire_out());
      here_->handshake();
      there_->wire_in().append_all(here_->wire_out());
      lane.turn();  // each has its share of handshakes
    }
    ASSERT_EQ(there_->handshake(), net::Transport::Step::kDone);
    ASSERT_EQ(here_->handshake(), net::Transport::Step::kDone);
    // The tickets go with the first bytes.
    Slices first;
    first.append_copy("first", lane.lane().blocks());
    ASSERT_TRUE(here_->write(first, 1));
    there_->wire_in().append_all(here_->wire_out());
    Slices in;
    there_->read(in, 1000);
    ASSERT_EQ(in.to_string(), "first");
  }
  // Sizes of the records in wire_out().
  std::vector<size_t> records() {
    std::vector<size_t> sizes;
    std::string wire = here_->wire_out().to_string();
    while (wire.size() >= 5) {
      const size_t size = static_cast<size_t>(static_cast<uint8_t>(wire[3])) << 8 | static_cast<uint8_t>(wire[4]);
      sizes.push_back(size - kOverhead);
      wire.erase(0, 5 + size);
    }
    EXPECT_EQ(wire, "");
    return sizes;
  }
  void append(Slices& to, std::string_view text) {
    BlockRef block = lane.lane().blocks().take(text.size());
    memcpy(block->data(), text.data(), text.size());
    block->set_used(text.size());
    const char* data = block->data();
    to.append(Slice(std::move(block), data, text.size()));
  }
  static constexpr size_t kOverhead = 17;  // TLS 1.3: the kind of content and the tag
  std::unique_ptr<net::Transport> here_, there_;
};

TEST_F(RecordTest, BulkIsInFullRecords) {
  join();
  Slices out;
  append(out, pattern(100'000));
  while (!out.empty()) ASSERT_TRUE(here_->write(out, 1 << 20));
  std::vector<size_t> sizes = records();
  EXPECT_EQ(sizes.size(), 7u);
  for (size_t i = 0; i + 1 < sizes.size(); ++i) EXPECT_EQ(sizes[i], 16384u);
}

TEST_F(RecordTest, SmallSlicesShareARecord) {
  join();
  Slices out;
  for (const char* piece : {"HTTP/1.1 200 OK\r\n", "content-length: 2\r\n\r\n", "ok"}) append(out, piece);
  ASSERT_TRUE(here_->write(out, 1 << 20));
  EXPECT_EQ(records(), std::vector<size_t>{40});
}

TEST_F(RecordTest, AHeadDoesNotShiftTheBlocksBehindIt) {
  join();
  Slices head_and_blocks;
  append(head_and_blocks, pattern(300));
  for (int i = 0; i < 3; ++i) append(head_and_blocks, pattern(16'384));
  ASSERT_TRUE(here_->write(head_and_blocks, 1 << 20));
  EXPECT_EQ(records(), (std::vector<size_t>{300, 16'384, 16'384, 16'384}));
  here_->wire_out().clear();
  Slices out;
  append(out, pattern(300));
  append(out, pattern(16'000));
  append(out, pattern(16'384));
  append(out, pattern(16'384));
  append(out, pattern(100));
  ASSERT_TRUE(here_->write(out, 1 << 20));
  EXPECT_EQ(records(), (std::vector<size_t>{16'300, 16'384, 16'384, 100}));
}

TEST_F(RecordTest, SmallPiecesFillRecords) {
  join();
  Slices out;
  for (int i = 0; i < 40; ++i) append(out, pattern(1000));
  ASSERT_TRUE(here_->write(out, 1 << 20));
  EXPECT_EQ(records(), (std::vector<size_t>{16'384, 16'384, 40'000 - 2 * 16'384}));
}

TEST_F(RecordTest, NoMoreThanIsWantedAtOnce) {
  join();
  Slices out;
  append(out, pattern(1'000'000));
  ASSERT_TRUE(here_->write(out, 64 * 1024));
  EXPECT_LT(here_->wire_out().size(), 64 * 1024 + 17'000u);
  EXPECT_GT(out.size(), 900'000u);
  // And on the other side.
  there_->wire_in().append_all(here_->wire_out());
  Slices in;
  EXPECT_EQ(there_->read(in, 20'000), net::Transport::Read::kMore);
  EXPECT_EQ(in.size(), 20'000u);
}

TEST_F(RecordTest, RecordsInPieces) {
  join();
  Slices out;
  append(out, pattern(40'000));
  ASSERT_TRUE(here_->write(out, 1 << 20));
  const std::string wire = here_->wire_out().to_string();
  Random random(1);
  std::string got;
  for (size_t at = 0; at < wire.size();) {
    const size_t size = std::min<size_t>(wire.size() - at, 1 + random.below(7000));
    append(there_->wire_in(), std::string_view(wire).substr(at, size));
    at += size;
    Slices in;
    EXPECT_EQ(there_->read(in, 1 << 20), net::Transport::Read::kNeedInput);
    got += in.to_string();
  }
  EXPECT_TRUE(got == pattern(40'000)) << got.size();
}

TEST_F(RecordTest, ARecordThatWasTurnedOverEndsIt) {
  join();
  Slices out;
  append(out, "hello");
  ASSERT_TRUE(here_->write(out, 1 << 20));
  std::string wire = here_->wire_out().to_string();
  wire.back() = static_cast<char>(wire.back() ^ 1);
  append(there_->wire_in(), wire);
  Slices in;
  EXPECT_EQ(there_->read(in, 1 << 20), net::Transport::Read::kFailed);
  EXPECT_EQ(there_->failure(),
            "TLS_error:|503316581:Cipher functions:OPENSSL_internal:BAD_DECRYPT|268435595:SSL "
            "routines:OPENSSL_internal:DECRYPTION_FAILED_OR_BAD_RECORD_MAC:TLS_error_end");
  EXPECT_GT(there_->wire_out().size(), 0u) << "an alert";
  EXPECT_EQ(client_spec.stats->connection_error.value(), 1u);
}

TEST_F(TlsTest, MuchDataBothWays) {
  const std::string there = pattern(3'000'000);
  const std::string back = pattern(2'500'000);
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    only(version);
    rebuild();
    meet();
    ASSERT_TRUE(met());
    server->received.clear();
    client->received.clear();
    client->write(there);
    server->write(back);
    client->connection->half_close();
    server->connection->half_close();
    for (int i = 0; i < 2000 && !(server->ended && client->ended); ++i) lane.turn();
    EXPECT_TRUE(server->received == there);
    EXPECT_TRUE(client->received == back);
    EXPECT_TRUE(server->ended && client->ended);
    EXPECT_FALSE(server->connection->transport()->truncated());
    EXPECT_FALSE(client->connection->transport()->truncated());
  }
}

TEST_F(TlsTest, AnEndThatWasNotSaidIsTruncation) {
  meet();
  ASSERT_TRUE(met());
  shutdown(client->connection->fd(), SHUT_WR);
  lane.turns(2);
  EXPECT_TRUE(server->ended);
  EXPECT_TRUE(server->connection->transport()->truncated());
}

TEST_F(TlsTest, CloseIsSaid) {
  meet();
  ASSERT_TRUE(met());
  client->connection->close();
  lane.turns(2);
  EXPECT_TRUE(server->ended);
  EXPECT_FALSE(server->connection->transport()->truncated());
}

TEST_F(TlsTest, AHandshakeInEveryPossiblePiece) {
  build();
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{100}}) {
    int a[2], b[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, a), 0);
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, b), 0);
    hang_up();
    server = std::make_unique<Side>();
    client = std::make_unique<Side>();
    server->open(lane, a[0], make_server_transport(server_context, lane), "@client");
    client->open(lane, b[0], make_client_transport(client_context, lane, options), "@server");
    auto pass = [&](int from, int to) {
      std::string bytes(piece, ' ');
      const ssize_t n = recv(from, bytes.data(), bytes.size(), 0);
      if (n > 0) {
        EXPECT_EQ(send(to, bytes.data(), static_cast<size_t>(n), 0), n);
      }
    };
    client->write("request");
    server->write("response");
    for (int i = 0; i < 20'000 && !met(); ++i) {
      lane.turn();
      pass(b[1], a[1]);
      pass(a[1], b[1]);
    }
    EXPECT_TRUE(met()) << piece;
    close(a[1]);
    close(b[1]);
  }
}

// ---- Many at once.

TEST_F(TlsTest, HandshakesTakeTurns) {
  for (const test::Key key : {test::Key::kRsa2048, test::Key::kP256}) {
    TestIdentity identity = make_certificate({.key = key});
    server_spec.identities = {identity_of(identity)};
    client_spec.max_session_keys = 0;
    rebuild();
    build();
    constexpr size_t kMany = 12;
    std::vector<std::unique_ptr<Side>> servers, clients;
    for (size_t i = 0; i < kMany; ++i) {
      int fds[2];
      ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
      servers.push_back(std::make_unique<Side>());
      clients.push_back(std::make_unique<Side>());
      clients.back()->open(lane, fds[1], make_client_transport(client_context, lane, options), "@server");
      servers.back()->open(lane, fds[0], make_server_transport(server_context, lane), "@client");
    }
    const size_t at_once = key == test::Key::kRsa2048 ? 1 : 4;
    size_t done_before = 0;
    for (int turn = 0; turn < 60; ++turn) {
      lane.turn();
      size_t done = 0;
      for (auto& side : clients) done += side->connected ? 1 : 0;
      EXPECT_LE(done - done_before, at_once);
      // Who came first is served first.
      for (size_t i = 0; i < done; ++i) EXPECT_TRUE(clients[i]->connected) << i;
      done_before = done;
    }
    EXPECT_EQ(done_before, kMany);
    EXPECT_GE(server_spec.stats->handshake_deferred.value(), kMany - at_once - 1);
    // Some leave while they wait.
    for (auto* sides : {&servers, &clients}) {
      for (auto& side : *sides) side->connection->close();
    }
    lane.turns(3);
  }
}

TEST_F(TlsTest, WhoLeavesWhileWaitingHoldsUpNobody) {
  TestIdentity rsa = make_certificate({.key = test::Key::kRsa2048});
  server_spec.identities = {identity_of(rsa)};
  build();
  std::vector<std::unique_ptr<Side>> sides;
  for (int i = 0; i < 6; ++i) {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    for (const bool is_server : {false, true}) {
      sides.push_back(std::make_unique<Side>());
      sides.back()->open(lane, fds[is_server ? 0 : 1],
                         is_server ? make_server_transport(server_context, lane)
                                   : make_client_transport(client_context, lane, options),
                         "@x");
    }
  }
  lane.turns(2);
  for (auto& side : sides) side->connection->close();
  lane.turns(2);
  sides.clear();
  meet();
  EXPECT_TRUE(met());
}

// An idle connection has no buffer and nothing of its handshake (issue 6: 6 KiB with HTTP on top).
TEST_F(TlsTest, AnIdleConnectionIsSmall) {
#ifdef WEIR_SANITIZED
  GTEST_SKIP() << "sanitizers have their own heap";
#endif
  client_spec.max_session_keys = 0;
  build();
  constexpr size_t kMany = 200;
  std::vector<std::pair<std::unique_ptr<Side>, std::unique_ptr<Side>>> pairs;
  auto add = [&] {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    auto here = std::make_unique<Side>();
    auto there = std::make_unique<Side>();
    here->open(lane, fds[0], make_server_transport(server_context, lane), "@client");
    there->open(lane, fds[1], make_client_transport(client_context, lane, options), "@server");
    lane.turns(8);
    there->write("request");
    lane.turns(2);
    here->write("response");
    lane.turns(2);
    ASSERT_EQ(there->received, "response");
    pairs.emplace_back(std::move(here), std::move(there));
  };
  for (int i = 0; i < 20; ++i) add();  // what is made once
  const size_t before = mallinfo2().uordblks;
  for (size_t i = 0; i < kMany; ++i) add();
  const size_t both = (mallinfo2().uordblks - before) / kMany;
  RecordProperty("bytes_of_both_ends", static_cast<int>(both));
  std::printf("idle: %zu bytes for both ends\n", both);
  for (auto& pair : pairs) {
    pair.first->connection->close();
    pair.second->connection->close();
  }
  lane.turns(3);
  // Connections, the recorders of this test and all: half of it is one side's.
  EXPECT_LE(both, 8'400u);
}

}  // namespace
}  // namespace weir::tls
