// Operators that print what is known of TLS, on both sides.
#include "core/stream/operators.h"
#include "core/stream/time_format.h"
#include "core/stream/upstream_tls.h"

namespace weir::stream {

using net::CertificateFact;
using net::End;
using net::NameKind;
using net::SessionFact;
using net::TransportFacts;

UpstreamTls::UpstreamTls(TransportFacts& facts)
    : version(facts.session(SessionFact::kVersion)),
      cipher(facts.session(SessionFact::kCipher)),
      group(facts.session(SessionFact::kGroup)),
      session_id(facts.session(SessionFact::kSessionId)),
      server_name(facts.session(SessionFact::kServerName)),
      subject(facts.certificate(End::kPeer, CertificateFact::kSubject)),
      issuer(facts.certificate(End::kPeer, CertificateFact::kIssuer)),
      certificate(facts.certificate(End::kPeer, CertificateFact::kPem)),
      dns_sans(facts.names(End::kPeer, NameKind::kDns).joined),
      uri_sans(facts.names(End::kPeer, NameKind::kUri).joined),
      ip_sans(facts.names(End::kPeer, NameKind::kIp).joined),
      local_dns_sans(facts.names(End::kLocal, NameKind::kDns).joined),
      local_uri_sans(facts.names(End::kLocal, NameKind::kUri).joined),
      local_ip_sans(facts.names(End::kLocal, NameKind::kIp).joined),
      not_before(facts.not_before()),
      not_after(facts.not_after()) {}

namespace {

// --- Of the client's connection ------------------------------------------------------------------------------------

struct DownstreamFact {
  std::string_view name;  // behind "DOWNSTREAM_"
  std::string_view (*get)(TransportFacts& facts);
};

template <SessionFact kFact>
std::string_view session(TransportFacts& facts) {
  return facts.session(kFact);
}
template <End kEnd, CertificateFact kFact>
std::string_view certificate(TransportFacts& facts) {
  return facts.certificate(kEnd, kFact);
}
template <End kEnd, NameKind kKind>
std::string_view names(TransportFacts& facts) {
  return facts.names(kEnd, kKind).joined;
}

constexpr std::string_view kDownstream = "DOWNSTREAM_";
constexpr DownstreamFact kDownstreamFacts[] = {
    {"TLS_VERSION", session<SessionFact::kVersion>},
    {"TLS_CIPHER", session<SessionFact::kCipher>},
    {"TLS_GROUP", session<SessionFact::kGroup>},
    {"TLS_SESSION_ID", session<SessionFact::kSessionId>},
    {"PEER_SUBJECT", certificate<End::kPeer, CertificateFact::kSubject>},
    {"PEER_ISSUER", certificate<End::kPeer, CertificateFact::kIssuer>},
    {"PEER_SERIAL", certificate<End::kPeer, CertificateFact::kSerial>},
    {"PEER_FINGERPRINT_256", certificate<End::kPeer, CertificateFact::kSha256>},
    {"PEER_FINGERPRINT_1", certificate<End::kPeer, CertificateFact::kSha1>},
    {"PEER_CERT", certificate<End::kPeer, CertificateFact::kPem>},
    {"PEER_ISSUER_FINGERPRINT_256", certificate<End::kPeer, CertificateFact::kIssuerSha256>},
    {"PEER_ISSUER_SERIAL", certificate<End::kPeer, CertificateFact::kIssuerSerial>},
    {"PEER_CHAIN_FINGERPRINTS_256", certificate<End::kPeer, CertificateFact::kChainSha256>},
    {"PEER_CHAIN_FINGERPRINTS_1", certificate<End::kPeer, CertificateFact::kChainSha1>},
    {"PEER_CHAIN_SERIALS", certificate<End::kPeer, CertificateFact::kChainSerials>},
    {"PEER_DNS_SAN", names<End::kPeer, NameKind::kDns>},
    {"PEER_URI_SAN", names<End::kPeer, NameKind::kUri>},
    {"PEER_EMAIL_SAN", names<End::kPeer, NameKind::kEmail>},
    {"PEER_IP_SAN", names<End::kPeer, NameKind::kIp>},
    {"PEER_OTHERNAME_SAN", names<End::kPeer, NameKind::kOther>},
    {"LOCAL_SUBJECT", certificate<End::kLocal, CertificateFact::kSubject>},
    {"LOCAL_DNS_SAN", names<End::kLocal, NameKind::kDns>},
    {"LOCAL_URI_SAN", names<End::kLocal, NameKind::kUri>},
    {"LOCAL_EMAIL_SAN", names<End::kLocal, NameKind::kEmail>},
    {"LOCAL_IP_SAN", names<End::kLocal, NameKind::kIp>},
    {"LOCAL_OTHERNAME_SAN", names<End::kLocal, NameKind::kOther>},
};

class Downstream final : public Operator {
 public:
  explicit Downstream(const DownstreamFact& fact) : fact_(fact) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    return subject.info.tls != nullptr && append_text(out, fact_.get(*subject.info.tls));
  }

 private:
  const DownstreamFact& fact_;
};

// --- Of the upstream's ---------------------------------------------------------------------------------------------

struct UpstreamFact {
  std::string_view name;  // behind "UPSTREAM_"
  std::string UpstreamTls::*text;
};
constexpr std::string_view kUpstream = "UPSTREAM_";
constexpr UpstreamFact kUpstreamFacts[] = {
    {"TLS_VERSION", &UpstreamTls::version},
    {"TLS_CIPHER", &UpstreamTls::cipher},
    {"TLS_GROUP", &UpstreamTls::group},
    {"TLS_SESSION_ID", &UpstreamTls::session_id},
    {"SERVER_NAME", &UpstreamTls::server_name},
    {"PEER_SUBJECT", &UpstreamTls::subject},
    {"PEER_ISSUER", &UpstreamTls::issuer},
    {"PEER_CERT", &UpstreamTls::certificate},
    {"PEER_DNS_SAN", &UpstreamTls::dns_sans},
    {"PEER_URI_SAN", &UpstreamTls::uri_sans},
    {"PEER_IP_SAN", &UpstreamTls::ip_sans},
    {"LOCAL_DNS_SAN", &UpstreamTls::local_dns_sans},
    {"LOCAL_URI_SAN", &UpstreamTls::local_uri_sans},
    {"LOCAL_IP_SAN", &UpstreamTls::local_ip_sans},
};

class Upstream final : public Operator {
 public:
  explicit Upstream(const UpstreamFact& fact) : fact_(fact) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    const UpstreamTls* tls = subject.info.upstream.tls;
    return tls != nullptr && append_text(out, tls->*fact_.text);
  }

 private:
  const UpstreamFact& fact_;
};

// --- When certificates are valid -----------------------------------------------------------------------------------

class Validity final : public Operator {
 public:
  Validity(bool upstream, bool end, TimeFormat format) : upstream_(upstream), end_(end), format_(std::move(format)) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    WallTime time{};
    if (const UpstreamTls* tls = subject.info.upstream.tls; upstream_ && tls != nullptr)
      time = end_ ? tls->not_after : tls->not_before;
    if (TransportFacts* tls = subject.info.tls; !upstream_ && tls != nullptr)
      time = end_ ? tls->not_after() : tls->not_before();
    if (time == WallTime{}) return false;
    format_.append(time, out);
    return true;
  }

 private:
  const bool upstream_, end_;
  const TimeFormat format_;
};

constexpr std::string_view kValidity[] = {"DOWNSTREAM_PEER_CERT_V_START", "DOWNSTREAM_PEER_CERT_V_END",
                                          "UPSTREAM_PEER_CERT_V_START", "UPSTREAM_PEER_CERT_V_END"};

Result<std::unique_ptr<Operator>> make_validity(const OperatorCall& call) {
  auto format = TimeFormat::compile(call.argument, Zone::kUtc);
  if (!format.ok()) return operator_error(call, message_of(format.status()));
  const bool upstream = call.name.starts_with(kUpstream);
  if (upstream) want_records(kTlsRecords);
  return std::make_unique<Validity>(upstream, call.name.ends_with("_END"), std::move(*format));
}

// --- Fingerprints of the client's first message --------------------------------------------------------------------

struct Fingerprint {
  std::string_view name;
  std::string_view ConnectionInfo::*text;
};
constexpr Fingerprint kFingerprints[] = {{"TLS_JA3_FINGERPRINT", &ConnectionInfo::ja3},
                                         {"TLS_JA4_FINGERPRINT", &ConnectionInfo::ja4}};

class FingerprintOperator final : public Operator {
 public:
  explicit FingerprintOperator(const Fingerprint& fingerprint) : fingerprint_(fingerprint) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    const ConnectionInfo* connection = subject.info.connection;
    return connection != nullptr && append_text(out, connection->*fingerprint_.text);
  }

 private:
  const Fingerprint& fingerprint_;
};

}  // namespace

Result<std::unique_ptr<Operator>> make_tls_operator(const OperatorCall& call) {
  for (std::string_view name : kValidity) {
    if (name == call.name) return make_validity(call);
  }
  std::unique_ptr<Operator> made;
  for (const DownstreamFact& fact : kDownstreamFacts) {
    if (call.name.starts_with(kDownstream) && call.name.substr(kDownstream.size()) == fact.name)
      made = std::make_unique<Downstream>(fact);
  }
  for (const UpstreamFact& fact : kUpstreamFacts) {
    if (!call.name.starts_with(kUpstream) || call.name.substr(kUpstream.size()) != fact.name) continue;
    want_records(kTlsRecords);
    made = std::make_unique<Upstream>(fact);
  }
  for (const Fingerprint& fingerprint : kFingerprints) {
    if (fingerprint.name == call.name) made = std::make_unique<FingerprintOperator>(fingerprint);
  }
  if (made != nullptr && call.argument.data() != nullptr) return no_argument_error(call);
  return made;
}

void list_tls_operators(void (*visit)(std::string_view name, void* user), void* user) {
  for (std::string_view name : kValidity) visit(name, user);
  for (const DownstreamFact& fact : kDownstreamFacts) visit(std::string(kDownstream) + std::string(fact.name), user);
  for (const UpstreamFact& fact : kUpstreamFacts) visit(std::string(kUpstream) + std::string(fact.name), user);
  for (const Fingerprint& fingerprint : kFingerprints) visit(fingerprint.name, user);
}

}  // namespace weir::stream
