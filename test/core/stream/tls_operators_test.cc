// What is printed of TLS.
#include <gtest/gtest.h>

#include "core/stream/formatter.h"
#include "core/stream/stream_info.h"
#include "core/stream/upstream_tls.h"
#include "test/support/fake_transport_facts.h"

namespace weir::stream {
namespace {

using net::CertificateFact;
using net::End;
using net::NameKind;
using net::SessionFact;
using test::FakeTransportFacts;

WallTime day(int64_t days) { return WallTime{} + std::chrono::hours(24 * days); }

class TlsOperatorsTest : public testing::Test {
 protected:
  TlsOperatorsTest() {
    for (int i = 0; i < static_cast<int>(SessionFact::kCount); ++i)
      facts_.set(static_cast<SessionFact>(i), "s" + std::to_string(i));
    for (int i = 0; i < static_cast<int>(CertificateFact::kCount); ++i) {
      facts_.set(static_cast<CertificateFact>(i), "p" + std::to_string(i));
      facts_.set(static_cast<CertificateFact>(i), "l" + std::to_string(i), End::kLocal);
    }
    for (int i = 0; i < static_cast<int>(NameKind::kCount); ++i) {
      facts_.set(static_cast<NameKind>(i), {"pn" + std::to_string(i), "x"});
      facts_.set(static_cast<NameKind>(i), {"ln" + std::to_string(i), "x"}, End::kLocal);
    }
    facts_.begin = day(1);
    facts_.end = day(2);
  }
  std::string print(const std::string& format) {
    auto compiled = Format::compile(format, {});
    EXPECT_TRUE(compiled.ok()) << compiled.status();
    std::string out;
    compiled->append(LogSubject{info_}, out);
    return out;
  }
  static std::string of(CertificateFact fact, char end = 'p') { return end + std::to_string(static_cast<int>(fact)); }
  static std::string of(SessionFact fact) { return "s" + std::to_string(static_cast<int>(fact)); }
  static std::string of(NameKind kind, char end = 'p') {
    return end + ("n" + std::to_string(static_cast<int>(kind))) + ",x";
  }

  StreamInfo info_;
  FakeTransportFacts facts_;
};

TEST_F(TlsOperatorsTest, Downstream) {
  const std::pair<std::string, std::string> cases[] = {
      {"TLS_VERSION", of(SessionFact::kVersion)},
      {"TLS_CIPHER", of(SessionFact::kCipher)},
      {"TLS_GROUP", of(SessionFact::kGroup)},
      {"TLS_SESSION_ID", of(SessionFact::kSessionId)},
      {"PEER_SUBJECT", of(CertificateFact::kSubject)},
      {"PEER_ISSUER", of(CertificateFact::kIssuer)},
      {"PEER_SERIAL", of(CertificateFact::kSerial)},
      {"PEER_FINGERPRINT_256", of(CertificateFact::kSha256)},
      {"PEER_FINGERPRINT_1", of(CertificateFact::kSha1)},
      {"PEER_CERT", of(CertificateFact::kPem)},
      {"PEER_ISSUER_FINGERPRINT_256", of(CertificateFact::kIssuerSha256)},
      {"PEER_ISSUER_SERIAL", of(CertificateFact::kIssuerSerial)},
      {"PEER_CHAIN_FINGERPRINTS_256", of(CertificateFact::kChainSha256)},
      {"PEER_CHAIN_FINGERPRINTS_1", of(CertificateFact::kChainSha1)},
      {"PEER_CHAIN_SERIALS", of(CertificateFact::kChainSerials)},
      {"PEER_DNS_SAN", of(NameKind::kDns)},
      {"PEER_URI_SAN", of(NameKind::kUri)},
      {"PEER_EMAIL_SAN", of(NameKind::kEmail)},
      {"PEER_IP_SAN", of(NameKind::kIp)},
      {"PEER_OTHERNAME_SAN", of(NameKind::kOther)},
      {"LOCAL_SUBJECT", of(CertificateFact::kSubject, 'l')},
      {"LOCAL_DNS_SAN", of(NameKind::kDns, 'l')},
      {"LOCAL_URI_SAN", of(NameKind::kUri, 'l')},
      {"LOCAL_EMAIL_SAN", of(NameKind::kEmail, 'l')},
      {"LOCAL_IP_SAN", of(NameKind::kIp, 'l')},
      {"LOCAL_OTHERNAME_SAN", of(NameKind::kOther, 'l')},
      {"PEER_CERT_V_START", "1970-01-02T00:00:00.000Z"},
      {"PEER_CERT_V_END", "1970-01-03T00:00:00.000Z"},
      {"PEER_CERT_V_END(%s)", "172800"},
  };
  for (const auto& [name, printed] : cases) {
    info_.tls = nullptr;
    EXPECT_EQ(print("%DOWNSTREAM_" + name + "%"), "-") << name;
    info_.tls = &facts_;
    EXPECT_EQ(print("%DOWNSTREAM_" + name + "%"), printed) << name;
  }
}

TEST_F(TlsOperatorsTest, Upstream) {
  const std::pair<std::string, std::string> cases[] = {
      {"TLS_VERSION", of(SessionFact::kVersion)},
      {"TLS_CIPHER", of(SessionFact::kCipher)},
      {"TLS_GROUP", of(SessionFact::kGroup)},
      {"TLS_SESSION_ID", of(SessionFact::kSessionId)},
      {"SERVER_NAME", of(SessionFact::kServerName)},
      {"PEER_SUBJECT", of(CertificateFact::kSubject)},
      {"PEER_ISSUER", of(CertificateFact::kIssuer)},
      {"PEER_CERT", of(CertificateFact::kPem)},
      {"PEER_DNS_SAN", of(NameKind::kDns)},
      {"PEER_URI_SAN", of(NameKind::kUri)},
      {"PEER_IP_SAN", of(NameKind::kIp)},
      {"LOCAL_DNS_SAN", of(NameKind::kDns, 'l')},
      {"LOCAL_URI_SAN", of(NameKind::kUri, 'l')},
      {"LOCAL_IP_SAN", of(NameKind::kIp, 'l')},
      {"PEER_CERT_V_START", "1970-01-02T00:00:00.000Z"},
      {"PEER_CERT_V_END(%s)", "172800"},
  };
  const UpstreamTls kept(facts_);
  for (const auto& [name, printed] : cases) {
    info_.upstream.tls = nullptr;
    EXPECT_EQ(print("%UPSTREAM_" + name + "%"), "-") << name;
    info_.upstream.tls = &kept;
    EXPECT_EQ(print("%UPSTREAM_" + name + "%"), printed) << name;
  }
}

TEST_F(TlsOperatorsTest, WhatIsKeptOfUpstreamsIsKeptIfSomebodyPrintsIt) {
  wanted_records_of_process = 0;
  print("%DOWNSTREAM_TLS_VERSION%");
  EXPECT_EQ(wanted_records() & kTlsRecords, 0);
  print("%UPSTREAM_PEER_SUBJECT%");
  EXPECT_EQ(wanted_records() & kTlsRecords, kTlsRecords);
  wanted_records_of_process = 0;
  print("%UPSTREAM_PEER_CERT_V_END%");
  EXPECT_EQ(wanted_records() & kTlsRecords, kTlsRecords);
}

TEST_F(TlsOperatorsTest, Fingerprints) {
  EXPECT_EQ(print("%TLS_JA3_FINGERPRINT% %TLS_JA4_FINGERPRINT%"), "- -");
  ArenaPool pool;
  ConnectionInfo connection(pool);
  connection.set_client_fingerprints("abc", "");
  info_.connection = &connection;
  EXPECT_EQ(print("%TLS_JA3_FINGERPRINT% %TLS_JA4_FINGERPRINT%"), "abc -");
}

TEST_F(TlsOperatorsTest, Arguments) {
  EXPECT_FALSE(Format::compile("%DOWNSTREAM_TLS_VERSION(x)%", {}).ok());
  EXPECT_FALSE(Format::compile("%UPSTREAM_PEER_CERT_V_END(%Q)%", {}).ok());
}

}  // namespace
}  // namespace weir::stream
