// Parameters, keys of tickets, key logs, statistics, and what contexts refuse.
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "core/tls/key_log.h"
#include "core/tls/parameters.h"
#include "core/tls/ticket_keys.h"
#include "test/core/tls/ends.h"

namespace weir::tls {
namespace {

std::string error_of(const Parameters& parameters) {
  const Status status = check(parameters);
  return status.ok() ? "" : message_of(status);
}

TEST(ParametersTest, Lists) {
  EXPECT_EQ(error_of({}), "");
  EXPECT_EQ(error_of({.cipher_suites = {"[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]",
                                        "ECDHE-RSA-AES128-GCM-SHA256"},
                      .ecdh_curves = {"P-521", "P-384", "P-256", "X25519"},
                      .signature_algorithms = {"ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256"}}),
            "");
  EXPECT_EQ(
      error_of({.cipher_suites = {"ECDHE-RSA-AES128-GCM-SHA256", "RC4-MD5", "TLS_AES_128_GCM_SHA256"}}),
      "cipher_suites: \"RC4-MD5\", \"TLS_AES_128_GCM_SHA256\" is not a cipher suite that can be chosen; names are "
      "OpenSSL's, as in ECDHE-RSA-AES128-GCM-SHA256 (those of TLS 1.3 are always on)");
  EXPECT_EQ(error_of({.ecdh_curves = {"X25519", "P-192"}}),
            "ecdh_curves: \"P-192\" is not a group that can be chosen; X25519, P-256, P-384 and P-521 are known");
  EXPECT_EQ(
      error_of({.signature_algorithms = {"md5"}}),
      "signature_algorithms: \"md5\" is not a signature algorithm that can be chosen; names are those of RFC 8446, as "
      "in ecdsa_secp256r1_sha256 or rsa_pss_rsae_sha256");
  EXPECT_NE(error_of({.cipher_suites = {""}}), "");
}

TEST(ParametersTest, TheLibraryKnowsWhatFipsAllows) { EXPECT_EQ(error_of(fips_202205()), ""); }

TEST(ParametersTest, Versions) {
  EXPECT_EQ(error_of({.minimum = Version::kTls10, .maximum = Version::kTls11}), "");
  EXPECT_EQ(error_of({.minimum = Version::kTls13, .maximum = Version::kTls12}),
            "tls_minimum_protocol_version: is above tls_maximum_protocol_version; there is no version between");
  EXPECT_EQ(error_of({.maximum = Version::kTls11}),
            "tls_minimum_protocol_version: is above tls_maximum_protocol_version; there is no version between")
      << "by default nothing below 1.2";
}

TEST(TicketKeysTest, Bytes) {
  auto short_one = TicketKey::from_bytes("abc");
  EXPECT_EQ(message_of(short_one.status()), "has 3 bytes; a key of session tickets has exactly 80");
  std::string bytes;
  for (int i = 0; i < 80; ++i) bytes += static_cast<char>(i);
  auto key = TicketKey::from_bytes(bytes);
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(key->name[0], 0);
  EXPECT_EQ(key->hmac[0], 16);
  EXPECT_EQ(key->aes[0], 48);
  EXPECT_EQ(key->to_bytes(), bytes);
}

TEST(TicketKeysTest, TheRingKeepsThree) {
  TicketRing ring;
  ASSERT_EQ(ring.keys().keys.size(), 1u);
  const TicketKey first = ring.keys().keys.front();
  const TicketKeySet& looked_at = ring.keys();
  for (int i = 0; i < 2; ++i) ring.rotate();
  EXPECT_EQ(ring.keys().keys.size(), 3u);
  EXPECT_EQ(ring.keys().keys.back().name, first.name);
  EXPECT_NE(ring.keys().keys.front().name, first.name);
  ring.rotate();
  EXPECT_EQ(ring.keys().keys.size(), 3u);
  EXPECT_NE(ring.keys().keys.back().name, first.name);
  EXPECT_EQ(looked_at.keys.front().name, first.name) << "a lane may still look";
}

TEST(TicketKeysTest, TheRingTurnsTwiceADay) {
  TicketRing ring;
  MonoTime now{1'000s};
  ring.rotate_if_due(now);
  EXPECT_EQ(ring.keys().keys.size(), 1u);
  ring.rotate_if_due(now += 11h);
  EXPECT_EQ(ring.keys().keys.size(), 1u);
  ring.rotate_if_due(now += 1h);
  EXPECT_EQ(ring.keys().keys.size(), 2u);
  ring.rotate_if_due(now += 1h);
  EXPECT_EQ(ring.keys().keys.size(), 2u);
}

TEST(TicketKeysTest, ASuccessorGetsTheRing) {
  TicketRing ring;
  ring.rotate();
  TicketRing successor;
  ASSERT_TRUE(successor.restore(ring.save()).ok());
  EXPECT_EQ(successor.save(), ring.save());
  for (const size_t size : {size_t{0}, size_t{8}, size_t{80}, size_t{89}, size_t{328}})
    EXPECT_FALSE(successor.restore(std::string(size, 'x')).ok()) << size;
  EXPECT_EQ(successor.save(), ring.save());
}

// Else whoever restarts more often than that would never have another key.
TEST(TicketKeysTest, ASuccessorTurnsTheRingInTime) {
  TicketRing ring;
  MonoTime now{1'000s};
  ring.rotate_if_due(now);
  for (int restarts = 0; restarts < 3; ++restarts) {
    TicketRing successor;
    ASSERT_TRUE(successor.restore(ring.save()).ok());
    successor.rotate_if_due(now += 5h);
    EXPECT_EQ(successor.keys().keys.size(), restarts < 2 ? 1u : 2u) << restarts;
    ASSERT_TRUE(ring.restore(successor.save()).ok());
  }
  // A clock that was set back (another machine) does not hold it up.
  ring.rotate_if_due(MonoTime{10s});
  ring.rotate_if_due(MonoTime{10s} + 12h);
  EXPECT_EQ(ring.keys().keys.size(), 3u);
}

std::string contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(KeyLogTest, Addresses) {
  const std::string path = ::testing::TempDir() + "/weir_key_log_addresses";
  unlink(path.c_str());
  auto log = KeyLog::open({.path = path,
                           .local_address_range = {*match::make_range("10.0.0.0", 8)},
                           .remote_address_range = {*match::make_range("192.168.0.0", 16)}});
  ASSERT_TRUE(log.ok()) << log.status();
  auto at = [](const char* ip) { return *net::Address::from_ip(ip, 1); };
  EXPECT_TRUE((*log)->wants(at("10.1.1.1"), at("192.168.1.1")));
  EXPECT_FALSE((*log)->wants(at("11.1.1.1"), at("192.168.1.1")));
  EXPECT_FALSE((*log)->wants(at("10.1.1.1"), at("192.169.1.1")));
  (*log)->write("one");
  (*log)->write("two");
  EXPECT_EQ(contents(path), "one\ntwo\n");
  struct stat about {};
  ASSERT_EQ(stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u) << "whoever reads it reads every connection";
  unlink(path.c_str());
  EXPECT_EQ(message_of(KeyLog::open({.path = "/nowhere/at/all"}).status()),
            "path: /nowhere/at/all cannot be opened to append: No such file or directory");
  EXPECT_EQ(message_of(KeyLog::open({}).status()), "path: must not be empty");
}

TEST_F(TlsTest, KeysOfBothVersionsAreLogged) {
  const std::string path = ::testing::TempDir() + "/weir_key_log";
  unlink(path.c_str());
  server_spec.key_log = *KeyLog::open({.path = path});
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    only(version);
    rebuild();
    meet();
    ASSERT_TRUE(met());
  }
  const std::string text = contents(path);
  EXPECT_NE(text.find("CLIENT_RANDOM "), std::string::npos);
  EXPECT_NE(text.find("SERVER_TRAFFIC_SECRET_0 "), std::string::npos);
  unlink(path.c_str());
  // The pair's addresses are no IP: no range holds them.
  server_spec.key_log = *KeyLog::open({.path = path, .remote_address_range = {*match::make_range("0.0.0.0", 0)}});
  rebuild();
  meet();
  ASSERT_TRUE(met());
  EXPECT_EQ(contents(path), "");
  unlink(path.c_str());
}

TEST_F(TlsTest, StatisticsHaveThePublishedNames) {
  meet();
  ASSERT_TRUE(met());
  EXPECT_EQ(stat("listener.server.ssl.handshake"), 1u);
  EXPECT_EQ(stat("listener.server.ssl.no_certificate"), 1u);
  EXPECT_EQ(stat("listener.server.ssl.versions.TLSv1.3"), 1u);
  EXPECT_EQ(stat("listener.server.ssl.curves.X25519"), 1u);
  EXPECT_EQ(stat("listener.client.ssl.handshake"), 1u);
  EXPECT_EQ(stat("listener.client.ssl.no_certificate"), 0u);
  EXPECT_EQ(stat("listener.client.ssl.sigalgs.ecdsa_secp256r1_sha256"), 1u);
  uint64_t ciphers = 0;
  store.visit([&](const stats::Sample& sample) {
    if (sample.name.starts_with("listener.server.ssl.ciphers.TLS_")) ciphers += sample.value;
  });
  EXPECT_EQ(ciphers, 1u);
  meet();
  EXPECT_EQ(stat("listener.server.ssl.versions.TLSv1.3"), 2u);
}

TEST_F(TlsTest, ContextsThatCannotBe) {
  auto server_error = [&](ServerSpec spec) {
    auto built = ServerContext::build(std::move(spec));
    return built.ok() ? "(built)" : message_of(built.status());
  };
  auto client_error = [&](ClientSpec spec) {
    auto built = ClientContext::build(std::move(spec));
    return built.ok() ? "(built)" : message_of(built.status());
  };
  ServerSpec spec = server_spec;
  spec.identities.clear();
  EXPECT_EQ(server_error(spec), "tls_certificates: is empty; a server needs one certificate at least");
  spec = server_spec;
  spec.alpn_protocols = {"h2", ""};
  EXPECT_EQ(server_error(spec), "alpn_protocols: \"\" has 0 bytes; 1 to 255 are allowed");
  spec = server_spec;
  spec.parameters.ecdh_curves = {"none"};
  EXPECT_EQ(server_error(spec).find("ecdh_curves: "), 0u);
  spec = server_spec;
  spec.ocsp_staple_policy = OcspStaplePolicy::kMustStaple;
  EXPECT_EQ(
      server_error(spec),
      "ocsp_staple_policy: the certificate c.pem must have an OCSP response (MUST_STAPLE), and ocsp_staple gives none");
  TestIdentity must = make_certificate({.must_staple = true});
  spec = server_spec;
  spec.identities = {identity_of(must)};
  EXPECT_EQ(server_error(spec),
            "ocsp_staple_policy: the certificate c.pem must have an OCSP response (it says so itself), and ocsp_staple "
            "gives none");
  ClientSpec client = client_spec;
  client.sni = std::string(256, 'a');
  EXPECT_EQ(client_error(client), "sni: has 256 bytes; at most 255 are allowed");
  client.sni = std::string("a\0b", 3);
  EXPECT_EQ(client_error(client), "sni: has a NUL byte in it");
  client = client_spec;
  client.auto_sni_san_validation = true;
  EXPECT_EQ(client_error(client),
            "auto_sni_san_validation: needs a validation context with trusted certificates (trusted_ca)");
  client = client_spec;
  client.alpn_protocols = {std::string(256, 'x')};
  EXPECT_EQ(client_error(client).find("alpn_protocols: "), 0u);
}

}  // namespace
}  // namespace weir::tls
