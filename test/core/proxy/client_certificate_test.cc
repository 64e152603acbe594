#include "core/proxy/client_certificate.h"

#include <gtest/gtest.h>

#include "test/support/fake_transport_facts.h"

namespace weir::proxy {
namespace {

using net::CertificateFact;
using net::End;
using net::NameKind;
using test::FakeTransportFacts;

class ClientCertificateTest : public testing::Test {
 protected:
  // All lines of the header afterwards, by " | ".
  std::string told(ForwardClientCert mode, const ClientCertDetails& details = {}, FakeTransportFacts* tls = nullptr,
                   std::vector<std::string> lines = {"By=x;Hash=1", "Hash=2"}) {
    http::HeaderMap headers(arena_);
    for (const std::string& line : lines) headers.add_copy("x-forwarded-client-cert", line);
    forward_client_certificate(mode, details, tls, headers, arena_);
    std::string text;
    headers.for_each(
        [&](const http::HeaderEntry& entry) { text += (text.empty() ? "" : " | ") + std::string(entry.value()); });
    return text;
  }
  // As a client with a certificate.
  FakeTransportFacts& shown() {
    tls_.shows = true;
    return tls_.set(CertificateFact::kSha256, "ab12");
  }

  ArenaPool pool_;
  Arena arena_{pool_};
  FakeTransportFacts tls_;
};

// field: HttpConnectionManager.forward_client_cert_details
TEST_F(ClientCertificateTest, WithoutACertificateNobodyIsBelieved) {
  FakeTransportFacts anonymous;
  for (FakeTransportFacts* tls : {static_cast<FakeTransportFacts*>(nullptr), &anonymous}) {
    for (auto mode : {ForwardClientCert::kSanitize, ForwardClientCert::kForwardOnly, ForwardClientCert::kAppendForward,
                      ForwardClientCert::kSanitizeSet}) {
      EXPECT_EQ(told(mode, {}, tls), "");
    }
    EXPECT_EQ(told(ForwardClientCert::kAlwaysForwardOnly, {}, tls), "By=x;Hash=1 | Hash=2");
  }
}

TEST_F(ClientCertificateTest, Modes) {
  shown();
  EXPECT_EQ(told(ForwardClientCert::kSanitize, {}, &tls_), "");
  EXPECT_EQ(told(ForwardClientCert::kForwardOnly, {}, &tls_), "By=x;Hash=1 | Hash=2");
  EXPECT_EQ(told(ForwardClientCert::kSanitizeSet, {}, &tls_), "Hash=ab12");
  // Ours is the last one, however many lines there were.
  EXPECT_EQ(told(ForwardClientCert::kAppendForward, {}, &tls_), "By=x;Hash=1,Hash=2,Hash=ab12");
  EXPECT_EQ(told(ForwardClientCert::kAppendForward, {}, &tls_, {}), "Hash=ab12");
  EXPECT_EQ(told(ForwardClientCert::kAppendForward, {}, &tls_, {""}), "Hash=ab12");
}

// field: SetCurrentClientCertDetails.subject, SetCurrentClientCertDetails.cert, SetCurrentClientCertDetails.chain
// field: SetCurrentClientCertDetails.dns, SetCurrentClientCertDetails.uri
TEST_F(ClientCertificateTest, Details) {
  shown().set(CertificateFact::kSubject, "CN=a,O=\"b\"").set(CertificateFact::kPem, "-----BEGIN%20");
  tls_.set(CertificateFact::kPemChain, "chain").set(NameKind::kUri, {"spiffe://a/b", "spiffe://c"});
  tls_.set(NameKind::kDns, {"a.example", "b.example"}).set(NameKind::kUri, {"spiffe://here"}, End::kLocal);
  EXPECT_EQ(told(ForwardClientCert::kSanitizeSet,
                 {.certificate = true, .chain = true, .subject = true, .uri = true, .dns = true}, &tls_),
            "By=spiffe://here;Hash=ab12;Cert=\"-----BEGIN%20\";Chain=\"chain\";Subject=\"CN=a,O=\\\"b\\\"\";"
            "URI=spiffe://a/b;URI=spiffe://c;DNS=a.example;DNS=b.example");
  EXPECT_EQ(told(ForwardClientCert::kSanitizeSet, {.dns = true}, &tls_),
            "By=spiffe://here;Hash=ab12;DNS=a.example;DNS=b.example");
}

TEST_F(ClientCertificateTest, EmptyOnes) {
  shown();
  EXPECT_EQ(told(ForwardClientCert::kSanitizeSet,
                 {.certificate = true, .chain = true, .subject = true, .uri = true, .dns = true}, &tls_),
            "Hash=ab12;Subject=\"\";URI=");
}

// As RFC 2253 writes them. Whether a reader takes "\\\\" for one character or two, the quotes end where they should.
TEST_F(ClientCertificateTest, SubjectsWithEscapes) {
  for (const auto& [subject, element] :
       {std::pair(R"(CN=a\, b)", R"(CN=a\, b)"), std::pair(R"(CN=a\"b)", R"(CN=a\"b)"),
        std::pair(R"(CN=a\\)", R"(CN=a\5C)"), std::pair(R"(CN=a\\\")", R"(CN=a\5C\")")}) {
    shown().set(CertificateFact::kSubject, subject);
    EXPECT_EQ(told(ForwardClientCert::kSanitizeSet, {.subject = true}, &tls_),
              "Hash=ab12;Subject=\"" + std::string(element) + "\"");
  }
}

TEST_F(ClientCertificateTest, ABackslashDoesNotHideTheEndOfAName) {
  shown().set(NameKind::kUri, {R"(spiffe://a,\)"});
  EXPECT_EQ(told(ForwardClientCert::kSanitizeSet, {.uri = true}, &tls_), "Hash=ab12;URI=\"spiffe://a,%5C\"");
}

TEST_F(ClientCertificateTest, NamesDoNotForgeElements) {
  shown().set(NameKind::kUri, {"spiffe://a,By=spiffe://b;Hash=\"1\""});
  EXPECT_EQ(told(ForwardClientCert::kSanitizeSet, {.uri = true}, &tls_),
            "Hash=ab12;URI=\"spiffe://a,By=spiffe://b;Hash=\\\"1\\\"\"");
}

}  // namespace
}  // namespace weir::proxy
