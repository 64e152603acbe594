// Which of several certificates is shown, and with which OCSP response.
#include <openssl/ssl.h>

#include "test/core/tls/ends.h"

namespace weir::tls {
namespace {

using net::CertificateFact;
using net::End;

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
  // Nor is a certificate of use that no cipher suite can authenticate with, however well its name fits.
  add("of RSA alone", test::Key::kRsa2048, {"DNS:rsa.example"});
  client_spec.parameters.cipher_suites = {"ECDHE-ECDSA-AES128-GCM-SHA256"};
  rebuild();
  EXPECT_EQ(shown("www.example"), "ecdsa");
  EXPECT_EQ(shown("elsewhere.example"), "ecdsa");
}

// What clients offer counts only where the context may use it.
TEST_F(SelectionTest, ByWhatTheContextMayUse) {
  server_spec.identities.clear();
  add("ecdsa", test::Key::kP256, {"DNS:www.example"});
  add("rsa", test::Key::kRsa2048, {"DNS:www.example"});
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    only(version);
    server_spec.parameters.signature_algorithms = {"rsa_pss_rsae_sha256"};
    rebuild();
    EXPECT_EQ(shown("www.example"), "rsa");
    server_spec.parameters.signature_algorithms = {"rsa_pss_rsae_sha256", "ecdsa_secp256r1_sha256"};
    rebuild();
    EXPECT_EQ(shown("www.example"), "ecdsa");
    server_spec.parameters.signature_algorithms = {};
  }
  server_spec.parameters.cipher_suites = {"ECDHE-RSA-AES256-GCM-SHA384"};
  rebuild();
  EXPECT_EQ(shown("www.example"), "ecdsa") << "the cipher suites of TLS 1.3 are no matter of certificates";
  only(Version::kTls12);
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

TEST_F(StaplingTest, OneCertificateWithoutAnyCountsToo) {
  serve(leaf, {});
  EXPECT_EQ(stapled(true), "");
  EXPECT_EQ(stapled(false), "");
  EXPECT_EQ(counts().ocsp_staple_requests.value(), 1u);
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

}  // namespace
}  // namespace weir::tls
