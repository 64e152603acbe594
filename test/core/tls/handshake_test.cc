// Handshakes between our two sides: what is agreed on, who is let in, and what is said of failures.
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

// RFC 9113 9.2.
TEST_F(TlsTest, Http2NeedsTls12) {
  server_spec.parameters = {.minimum = Version::kTls10, .cipher_suites = {"ECDHE-ECDSA-AES128-SHA"}};
  server_spec.alpn_protocols = {"h2", "http/1.1"};
  client_spec.alpn_protocols = {"h2", "http/1.1"};
  for (const auto& [version, agreed] :
       {std::pair(Version::kTls10, "http/1.1"), {Version::kTls11, "http/1.1"}, {Version::kTls12, "h2"}}) {
    only(version);
    client_spec.parameters.cipher_suites = {"ECDHE-ECDSA-AES128-SHA"};
    rebuild();
    meet();
    ASSERT_TRUE(met()) << server->failure();
    EXPECT_EQ(server->session(SessionFact::kProtocol), agreed);
  }
  server_spec.alpn_protocols = {"h2"};
  only(Version::kTls11);
  client_spec.parameters.cipher_suites = {"ECDHE-ECDSA-AES128-SHA"};
  rebuild();
  meet();
  ASSERT_TRUE(met());
  EXPECT_EQ(server->session(SessionFact::kProtocol), "");
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

TEST_F(TlsTest, FipsOnEitherSide) {
  for (const bool by_server : {true, false}) {
    server_spec.parameters = by_server ? fips_202205() : Parameters{.ecdh_curves = {"X25519", "P-256"}};
    client_spec.parameters = by_server ? Parameters{.ecdh_curves = {"X25519", "P-256"}} : fips_202205();
    rebuild();
    meet();
    ASSERT_TRUE(met()) << by_server << server->failure() << client->failure();
    EXPECT_EQ(server->session(SessionFact::kVersion), "TLSv1.3");
    EXPECT_EQ(server->session(SessionFact::kGroup), "P-256");
    EXPECT_EQ(server->session(SessionFact::kCipher), "TLS_AES_128_GCM_SHA256");
    Parameters& other = by_server ? client_spec.parameters : server_spec.parameters;
    other = {.ecdh_curves = {"X25519", "P-521"}};
    rebuild();
    meet();
    EXPECT_FALSE(met()) << "no group";
    other = {.maximum = Version::kTls12,
             .cipher_suites = {"ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA"},
             .ecdh_curves = {"P-256"}};
    rebuild();
    meet();
    EXPECT_FALSE(met()) << "no cipher suite";
  }
}

TEST_F(TlsTest, FipsAllowsSomeKeysOnly) {
  using test::Key;
  const auto of_kind = [](Key key) { return identity_of(make_certificate({.key = key})); };
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    for (const Key key : {Key::kRsa2048, Key::kP256, Key::kP384, Key::kP521, Key::kEd25519}) {
      const bool good = key != Key::kP521 && key != Key::kEd25519;
      // Of a client: all else would do.
      server_spec.parameters = fips_202205();
      server_spec.parameters.maximum = version;
      server_spec.require_client_certificate = true;
      client_spec.parameters = {.ecdh_curves = {"P-256", "P-384", "P-521"}};
      client_spec.identity = of_kind(key);
      rebuild();
      meet();
      EXPECT_EQ(met(), good) << static_cast<int>(version) << " " << static_cast<int>(key) << server->failure();
      // Ours.
      auto spec = server_spec;
      spec.identities = {server_spec.identities.front(), of_kind(key)};
      EXPECT_EQ(ServerContext::build(spec).ok(), good);
      auto client = client_spec;
      client.parameters = fips_202205();
      EXPECT_EQ(ClientContext::build(client).ok(), good);
    }
  }
  auto spec = server_spec;
  spec.identities = {of_kind(Key::kEd25519)};
  EXPECT_EQ(message_of(ServerContext::build(spec).status()),
            "tls_certificates: c.pem cannot be used: its key is of Ed25519, and compliance_policies allow RSA, P-256, "
            "P-384");
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

// It gets into logs and headers.
TEST_F(TlsTest, ServerNamesThatAreNoneAreNotTold) {
  for (const char* name : {"www.example\r\nx-admin: 1", "a b", "\x7f", "caf\xc3\xa9"}) {
    options.server_name = name;
    meet();
    ASSERT_TRUE(met());
    EXPECT_EQ(server->session(SessionFact::kServerName), "") << name;
  }
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
    const uint64_t deferred_before = server_spec.stats->handshake_deferred.value();
    size_t done_before = 0;
    for (int turn = 0; turn < 60; ++turn) {
      lane.turn();
      size_t done = 0;
      for (auto& side : clients) done += side->connected ? 1 : 0;
      EXPECT_LE(done - done_before, at_once);
      // Who waits is not asked in between.
      for (auto& side : servers) EXPECT_FALSE(side->connection->end_of_turn_pending());
      // Who came first is served first.
      for (size_t i = 0; i < done; ++i) EXPECT_TRUE(clients[i]->connected) << i;
      done_before = done;
    }
    EXPECT_EQ(done_before, kMany);
    EXPECT_EQ(server_spec.stats->handshake_deferred.value() - deferred_before, kMany - at_once);
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
