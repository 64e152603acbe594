// Sessions: tickets and identifiers, keys that change, and who is not let in again.
#include <openssl/ssl.h>

#include "test/core/tls/ends.h"

namespace weir::tls {
namespace {

using net::SessionFact;

TEST_F(TlsTest, SessionsAreResumedByTickets) {
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    only(version);
    rebuild();
    meet();
    ASSERT_TRUE(met());
    EXPECT_FALSE(resumed());
    for (int i = 0; i < 3; ++i) {
      meet();
      ASSERT_TRUE(met());
      EXPECT_TRUE(resumed()) << i;
      EXPECT_EQ(client->session(SessionFact::kVersion), version == Version::kTls12 ? "TLSv1.2" : "TLSv1.3");
    }
  }
  EXPECT_EQ(client_spec.stats->session_reused.value(), 6u);
}

TEST_F(TlsTest, SessionsOutliveTheContextByTheRing) {
  meet();
  server_context = nullptr;
  meet();
  ASSERT_TRUE(met());
  EXPECT_TRUE(resumed());
}

TEST_F(TlsTest, RotatedKeysStillDecrypt) {
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    only(version);
    rebuild();
    meet();
    resumed();
    ring->rotate();
    ring->rotate();
    meet();
    EXPECT_TRUE(resumed()) << "under the last of three keys";
    // The ticket was renewed under the first key: it lasts two more.
    ring->rotate();
    ring->rotate();
    meet();
    EXPECT_TRUE(resumed());
    for (int i = 0; i < 3; ++i) ring->rotate();
    meet();
    ASSERT_TRUE(met());
    EXPECT_FALSE(resumed()) << "the key is gone";
  }
}

TEST_F(TlsTest, ConfiguredTicketKeys) {
  const TicketKey old_key = TicketKey::random();
  const TicketKey new_key = TicketKey::random();
  server_spec.session_ticket_keys = {old_key};
  meet();
  resumed();
  server_spec.session_ticket_keys = {new_key, old_key};
  server_context = nullptr;
  meet();
  EXPECT_TRUE(resumed());
  server_spec.session_ticket_keys = {new_key};
  server_context = nullptr;
  meet();
  EXPECT_TRUE(resumed()) << "renewed under the first key";
  server_spec.session_ticket_keys = {old_key};
  server_context = nullptr;
  meet();
  ASSERT_TRUE(met());
  EXPECT_FALSE(resumed());
}

TEST_F(TlsTest, WithoutTicketsThereAreIdentifiersInTls12) {
  server_spec.disable_stateless_session_resumption = true;
  only(Version::kTls12);
  meet();
  resumed();
  meet();
  ASSERT_TRUE(met());
  EXPECT_TRUE(resumed());
  EXPECT_EQ(server->session(SessionFact::kSessionId).size(), 64u);
  EXPECT_EQ(server->session(SessionFact::kSessionId), client->session(SessionFact::kSessionId));

  server_spec.disable_stateful_session_resumption = true;
  rebuild();
  meet();
  meet();
  ASSERT_TRUE(met());
  EXPECT_FALSE(resumed());
}

TEST_F(TlsTest, NoTicketsNoResumptionInTls13) {
  server_spec.disable_stateless_session_resumption = true;
  meet();
  meet();
  ASSERT_TRUE(met());
  EXPECT_FALSE(resumed());
  server_spec.disable_stateless_session_resumption = false;
  server_spec.ticket_ring = nullptr;
  rebuild();
  meet();
  meet();
  ASSERT_TRUE(met());
  EXPECT_FALSE(resumed()) << "neither a ring nor keys";
}

TEST_F(TlsTest, AClientThatKeepsNone) {
  client_spec.max_session_keys = 0;
  meet();
  meet();
  ASSERT_TRUE(met());
  EXPECT_FALSE(resumed());
}

TEST_F(TlsTest, SessionsEnd) {
  server_spec.session_timeout = 60s;
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    only(version);
    rebuild();
    meet();
    resumed();
    lane.advance(50s);
    meet();
    EXPECT_TRUE(resumed());
    lane.advance(70s);
    meet();
    ASSERT_TRUE(met());
    EXPECT_FALSE(resumed());
  }
}

// Whoever was shown to be one server is not taken for another without proof.
TEST_F(TlsTest, ASessionIsGoodForItsNameOnly) {
  client_spec.max_session_keys = 4;
  client_spec.verifier = verifier_of({.trusted_ca = {root.certificate, "ca.pem"}});
  client_spec.auto_sni_san_validation = true;
  options.server_name = "www.example";
  meet();
  ASSERT_TRUE(met());
  resumed();
  options.server_name = "other.example";
  meet();
  EXPECT_FALSE(met());
  EXPECT_FALSE(resumed());
  EXPECT_EQ(
      client->failure(),
      "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: verify SAN "
      "list:TLS_error_end");
  options.server_name = "www.example";
  meet();
  ASSERT_TRUE(met());
  EXPECT_TRUE(resumed());
  EXPECT_TRUE(client->facts().validated());
  options.expected_names = {"spiffe://x"};
  meet();
  EXPECT_FALSE(met());
}

TEST_F(TlsTest, SessionsOfOtherLanesAreTheirs) {
  meet();
  resumed();
  hang_up();
  event::Lane::leave();
  {
    test::TestLane other(2);
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    Side there, here;
    here.open(other, fds[0], make_server_transport(server_context, other), "@client");
    there.open(other, fds[1], make_client_transport(client_context, other, options), "@server");
    other.turns(8);
    EXPECT_TRUE(there.connected);
    EXPECT_FALSE(resumed());
    here.connection->close();
    there.connection->close();
    other.turns(2);
  }
  lane.lane().enter();
  meet();
  EXPECT_TRUE(resumed()) << "its own is still there";
}

TEST_F(TlsTest, OtherConditionsForClientsEndSessions) {
  server_spec.verifier = verifier_of({.trusted_ca = {root.certificate, "ca.pem"}});
  TestIdentity me = make_certificate({.common_name = "me"}, &root);
  client_spec.identity = identity_of(me);
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    only(version);
    rebuild();
    meet();
    ASSERT_TRUE(met());
    resumed();
    meet();
    ASSERT_TRUE(met());
    EXPECT_TRUE(resumed());
    EXPECT_TRUE(server->facts().presented());
    EXPECT_TRUE(server->facts().validated());
    EXPECT_EQ(server->facts().certificate(net::End::kPeer, net::CertificateFact::kSubject), "CN=me");
    auto before = server_spec.verifier;
    server_spec.verifier = verifier_of({.trusted_ca = {root.certificate, "ca.pem"}, .max_verify_depth = 3});
    server_context = nullptr;
    meet();
    ASSERT_TRUE(met());
    EXPECT_FALSE(resumed());
    server_spec.verifier = before;
  }
}

// Nobody shows a certificate when a session is resumed: it ends with the one that was shown, however often it is
// renewed.
TEST_F(TlsTest, SessionsEndWithTheCertificateOfTheClient) {
  server_spec.verifier = verifier_of({.trusted_ca = {root.certificate, "ca.pem"}});
  for (const bool tickets : {true, false}) {
    for (const Version version : {Version::kTls12, Version::kTls13}) {
      if (!tickets && version == Version::kTls13) continue;
      server_spec.disable_stateless_session_resumption = !tickets;
      TestIdentity me = make_certificate(
          {.common_name = "me", .not_after = std::chrono::floor<std::chrono::seconds>(lane.lane().wall_now()) + 3600s},
          &root);
      client_spec.identity = identity_of(me);
      only(version);
      rebuild();
      meet();
      ASSERT_TRUE(met()) << server->failure();
      resumed();
      for (int i = 0; i < 3; ++i) {
        lane.advance(1000s);
        meet();
        ASSERT_TRUE(met());
        EXPECT_TRUE(resumed()) << i;
        EXPECT_TRUE(server->facts().validated());
      }
      lane.advance(700s);
      meet();
      EXPECT_FALSE(met());
      EXPECT_FALSE(resumed());
      EXPECT_NE(server->failure().find("certificate has expired"), std::string::npos) << server->failure();
    }
  }
}

// Of servers likewise; and where dates do not count, they end nothing.
TEST_F(TlsTest, SessionsEndWithTheCertificateOfTheServer) {
  TestIdentity soon_over =
      make_certificate({.names = {"DNS:www.example"},
                        .not_after = std::chrono::floor<std::chrono::seconds>(lane.lane().wall_now()) + 3600s},
                       &root);
  server_spec.identities = {identity_of(soon_over)};
  for (const bool dates_count : {false, true}) {
    client_spec.verifier =
        verifier_of({.trusted_ca = {root.certificate, "ca.pem"}, .allow_expired_certificate = !dates_count});
    rebuild();
    meet();
    ASSERT_TRUE(met()) << client->failure();
    resumed();
    lane.advance(dates_count ? 3700s : 3s);
    meet();
    EXPECT_EQ(met(), !dates_count);
    EXPECT_EQ(resumed(), !dates_count);
  }
  client_spec.verifier = verifier_of({.trusted_ca = {root.certificate, "ca.pem"}, .allow_expired_certificate = true});
  rebuild();
  meet();
  ASSERT_TRUE(met());
  resumed();
  meet();
  EXPECT_TRUE(resumed());
}

TEST_F(TlsTest, AnUntrustedClientIsNotValidatedByResuming) {
  server_spec.verifier = verifier_of({.trusted_ca = {root.certificate, "ca.pem"}, .accept_untrusted = true});
  TestIdentity stranger = make_certificate({.common_name = "stranger"});
  client_spec.identity = identity_of(stranger);
  for (int i = 0; i < 2; ++i) {
    meet();
    ASSERT_TRUE(met());
    EXPECT_EQ(resumed(), i == 1);
    EXPECT_TRUE(server->facts().presented());
    EXPECT_FALSE(server->facts().validated());
  }
  EXPECT_EQ(server_spec.stats->fail_verify_error.value(), 1u);
}

TEST_F(TlsTest, ANewCertificateOfTheSameNameKeepsSessions) {
  meet();
  resumed();
  TestIdentity renewed = make_certificate({.names = {"DNS:www.example"}}, &root);
  server_spec.identities = {identity_of(renewed)};
  server_context = nullptr;
  meet();
  ASSERT_TRUE(met());
  EXPECT_TRUE(resumed());
}

}  // namespace
}  // namespace weir::tls
