#include "extensions/transport_sockets/tls/read_context.h"

#include <absl/strings/str_split.h>

#include <algorithm>
#include <initializer_list>

#include "core/base/fault_list.h"
#include "core/crypto/library.h"
#include "core/filter/config_translator.h"
#include "core/filter/duration.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.pb.h"
#include "extensions/transport_sockets/tls/loaded.h"
#include "extensions/transport_sockets/tls/spiffe_bundles.h"

namespace weir::transport_sockets {
namespace {

namespace pb = envoy::extensions::transport_sockets::tls::v3;
using envoy::config::core::v3::DataSource;
using filter::FactoryScope;

constexpr size_t kMaxSourceBytes = size_t{1} << 20;
constexpr size_t kMaxBundleBytes = size_t{8} << 20;  // of trusted certificates, revocation lists
constexpr const char* kSystemRoots = "/etc/ssl/certs/ca-certificates.crt";

// The content of a source that is set. A file is watched, unless a directory is told to be.
bool read(const DataSource& proto, std::string_view field, bool directory_told, FactoryScope& scope, tls::Source& to,
          size_t max_bytes = kMaxSourceBytes) {
  switch (proto.specifier_case()) {
    case DataSource::kFilename:
      to.origin = proto.filename();
      if (!directory_told && !proto.has_watched_directory()) scope.report().watch_file(proto.filename());
      break;
    case DataSource::kEnvironmentVariable:
      to.origin = "environment " + proto.environment_variable();
      break;
    default:
      to.origin = "inline";
  }
  auto bytes = scope.read_source(proto, field, max_bytes);
  if (!bytes.has_value()) return false;
  to.bytes = std::move(*bytes);
  if (!to.bytes.empty()) return true;
  scope.error(field, to.origin + ": is empty");
  return false;
}

// `field: text` of core/tls.
void report_at(const Status& status, FactoryScope& scope) {
  std::string text = message_of(status);
  if (const size_t end = text.find(kNextFault); end != std::string::npos) {
    report_at(invalid(std::string_view(text).substr(end + 1)), scope);
    text.resize(end);
  }
  const size_t colon = text.find(": ");
  if (colon == std::string::npos || text.find(' ') < colon) {
    scope.error({}, text);
  } else {
    scope.error(text.substr(0, colon), text.substr(colon + 2));
  }
}

void warn(const std::vector<std::string>& warnings, FactoryScope& scope) {
  for (const std::string& text : warnings) {
    const size_t colon = text.find(": ");
    scope.warning(text.substr(0, colon), colon != std::string::npos ? text.substr(colon + 2) : text);
  }
}

// --- Certificates --------------------------------------------------------------------------------------------------

// `read`, or what was read of `named_by` before, where that may be: nullptr after errors that are none then. `mark`:
// before it was read.
template <class T>
std::shared_ptr<const T> or_last_good(std::shared_ptr<const T> read, const google::protobuf::Message& named_by,
                                      const filter::ConfigReport::Mark& mark, FactoryScope& scope) {
  const std::string key = key_of(named_by);
  if (key.empty()) return read;
  auto& report = scope.report();
  if (read != nullptr) {
    last_good<T>().put(key, read, report.sources_digest() - mark.sources);
    return read;
  }
  if (!report.may_keep() || report.errors() == mark.errors) return nullptr;
  auto before = last_good<T>().find(key);
  if (before != nullptr) report.made_up(mark, last_good<T>().sources(key));
  return before;
}

std::shared_ptr<const tls::Identity> read_certificate(const pb::TlsCertificate& proto, FactoryScope& scope) {
  const size_t errors = scope.report().errors();
  const bool told = proto.has_watched_directory();
  if (told) scope.report().watch_file(proto.watched_directory().path() + "/.");
  tls::IdentitySpec spec;
  if (proto.has_pkcs12()) {
    for (const auto& [set, field] : {std::pair(proto.has_certificate_chain(), "certificate_chain"),
                                     std::pair(proto.has_private_key(), "private_key")}) {
      if (set) scope.error(field, "is in pkcs12 already; only one of them may be set");
    }
    read(proto.pkcs12(), "pkcs12", told, scope, spec.pkcs12);
  } else {
    const auto required = [&](bool set, const DataSource& source, const char* field, tls::Source& to) {
      if (set) {
        read(source, field, told, scope, to);
      } else {
        scope.error(field, "must be set, or pkcs12");
      }
    };
    required(proto.has_certificate_chain(), proto.certificate_chain(), "certificate_chain", spec.certificate_chain);
    required(proto.has_private_key(), proto.private_key(), "private_key", spec.private_key);
  }
  if (proto.has_password()) read(proto.password(), "password", told, scope, spec.password);
  if (proto.has_ocsp_staple()) read(proto.ocsp_staple(), "ocsp_staple", told, scope, spec.ocsp_staple);
  if (scope.report().errors() != errors) return nullptr;
  spec.now = system_clock().wall_now();
  auto identity = load_identity(spec);
  for (tls::Source* secret : {&spec.private_key, &spec.pkcs12, &spec.password}) tls::wipe(secret->bytes);
  if (!identity.ok()) {
    report_at(identity.status(), scope);
    return nullptr;
  }
  warn(identity.value()->warnings(), scope);
  return *identity;
}

// A secret of the kind that is wanted, and the scope of what is wrong with it.
template <class Wanted>
const Wanted* find_secret(const pb::SdsSecretConfig& config, FactoryScope& scope, int kind,
                          bool (pb::Secret::*has)() const, const Wanted& (pb::Secret::*get)() const,
                          filter::ConfigReport::FoundSecret& found) {
  found = scope.report().find_secret(config, kind, scope.path());
  if (found.secret == nullptr) return nullptr;
  const auto& secret = static_cast<const pb::Secret&>(*found.secret);
  if ((secret.*has)()) return &(secret.*get)();
  scope.error("name", "the secret \"" + config.name() + "\" has no " +
                          std::string(pb::Secret::descriptor()->FindFieldByNumber(kind)->name()) +
                          ", which is what is needed here");
  return nullptr;
}

std::vector<std::shared_ptr<const tls::Identity>> read_certificates(const pb::CommonTlsContext& proto,
                                                                    FactoryScope& scope) {
  std::vector<std::shared_ptr<const tls::Identity>> all;
  for (int i = 0; i < proto.tls_certificates_size(); ++i) {
    FactoryScope at = scope.below("tls_certificates", i);
    const auto mark = at.report().mark();
    all.push_back(or_last_good(read_certificate(proto.tls_certificates(i), at), proto.tls_certificates(i), mark, at));
  }
  for (int i = 0; i < proto.tls_certificate_sds_secret_configs_size(); ++i) {
    FactoryScope at = scope.below("tls_certificate_sds_secret_configs", i);
    filter::ConfigReport::FoundSecret found;
    const auto* certificate =
        find_secret(proto.tls_certificate_sds_secret_configs(i), at, pb::Secret::kTlsCertificateFieldNumber,
                    &pb::Secret::has_tls_certificate, &pb::Secret::tls_certificate, found);
    if (certificate == nullptr) continue;
    FactoryScope there = scope.elsewhere(*found.report, found.path + ".tls_certificate");
    const auto mark = there.report().mark();
    all.push_back(
        or_last_good(read_certificate(*certificate, there), proto.tls_certificate_sds_secret_configs(i), mark, there));
  }
  std::erase(all, nullptr);
  return all;
}

// --- Whom to trust -------------------------------------------------------------------------------------------------

match::StringMatcherSpec matcher_spec(const envoy::type::matcher::v3::StringMatcher& proto) {
  using Proto = envoy::type::matcher::v3::StringMatcher;
  using Kind = match::StringMatcherSpec::Kind;
  match::StringMatcherSpec spec;
  spec.ignore_case = proto.ignore_case();
  switch (proto.match_pattern_case()) {
    case Proto::kPrefix:
      spec.kind = Kind::kPrefix;
      spec.text = proto.prefix();
      break;
    case Proto::kSuffix:
      spec.kind = Kind::kSuffix;
      spec.text = proto.suffix();
      break;
    case Proto::kContains:
      spec.kind = Kind::kContains;
      spec.text = proto.contains();
      break;
    case Proto::kSafeRegex:
      spec.kind = Kind::kRegex;
      spec.text = proto.safe_regex().regex();
      break;
    default:
      spec.text = proto.exact();
  }
  return spec;
}

net::NameKind name_kind(pb::SubjectAltNameMatcher::SanType type) {
  switch (type) {
    case pb::SubjectAltNameMatcher::EMAIL:
      return net::NameKind::kEmail;
    case pb::SubjectAltNameMatcher::URI:
      return net::NameKind::kUri;
    case pb::SubjectAltNameMatcher::IP_ADDRESS:
      return net::NameKind::kIp;
    case pb::SubjectAltNameMatcher::OTHER_NAME:
      return net::NameKind::kOther;
    default:
      return net::NameKind::kDns;
  }
}

void read_names(const pb::CertificateValidationContext& proto, FactoryScope& scope, tls::VerifierSpec& spec) {
  // What the translator makes of them is not kept: it says what is wrong with them.
  const auto check = [&](const envoy::type::matcher::v3::StringMatcher& matcher, FactoryScope& at) {
    return scope.translator().string_matcher(matcher, at.path()).has_value();
  };
  for (int i = 0; i < proto.match_typed_subject_alt_names_size(); ++i) {
    const auto& one = proto.match_typed_subject_alt_names(i);
    FactoryScope at = scope.below("match_typed_subject_alt_names", i);
    FactoryScope matcher = at.below("matcher");
    if (!check(one.matcher(), matcher)) continue;
    if ((one.san_type() == pb::SubjectAltNameMatcher::OTHER_NAME) != !one.oid().empty()) {
      at.error("oid", one.oid().empty() ? "must say which OTHER_NAME is meant: \"1.3.6.1.4.1.311.20.2.3\""
                                        : "means something only with san_type: OTHER_NAME");
      continue;
    }
    spec.san_matchers.push_back({name_kind(one.san_type()), one.oid(), matcher_spec(one.matcher())});
  }
  // As published: of any of these kinds.
  for (int i = 0; i < proto.match_subject_alt_names_size(); ++i) {
    FactoryScope at = scope.below("match_subject_alt_names", i);
    if (!check(proto.match_subject_alt_names(i), at)) continue;
    for (net::NameKind kind : {net::NameKind::kDns, net::NameKind::kUri, net::NameKind::kEmail, net::NameKind::kIp})
      spec.san_matchers.push_back({kind, "", matcher_spec(proto.match_subject_alt_names(i))});
  }
}

void read_spiffe(const envoy::config::core::v3::TypedExtensionConfig& proto, bool told, FactoryScope& scope,
                 tls::VerifierSpec& spec) {
  FactoryScope at = scope.below("custom_validator_config.typed_config");
  auto message = at.report().unpack(proto.typed_config(), at.path());
  if (message == nullptr) return;
  if (message->GetTypeName() != pb::SPIFFECertValidatorConfig::descriptor()->full_name()) {
    at.report().unsupported(at.path(), message->GetTypeName() + " is no validator of this build; there is " +
                                           pb::SPIFFECertValidatorConfig::descriptor()->full_name());
    return;
  }
  const auto& config = static_cast<const pb::SPIFFECertValidatorConfig&>(*message);
  const std::string where = "custom_validator_config.typed_config.";
  if (config.has_trust_bundles()) {
    tls::Source source;
    if (!read(config.trust_bundles(), "trust_bundles", told, at, source, kMaxBundleBytes)) return;
    auto bundles = read_trust_bundles(source);
    if (!bundles.ok()) return at.error("trust_bundles", message_of(bundles.status()));
    for (auto& one : *bundles) {
      one.field = where + "trust_bundles";
      spec.trust_domains.push_back(std::move(one));
    }
    // Something must stand there, as published.
    const auto& others = config.trust_domains();
    if (std::any_of(others.begin(), others.end(), [](const auto& one) { return one.has_trust_bundle(); }))
      at.warning("trust_domains", "has no effect beside trust_bundles");
    return;
  }
  for (int i = 0; i < config.trust_domains_size(); ++i) {
    const auto& domain = config.trust_domains(i);
    FactoryScope here = at.below("trust_domains", i);
    tls::VerifierSpec::TrustDomain one;
    one.name = domain.name();
    one.field = where + "trust_domains[" + std::to_string(i) + "].trust_bundle";
    if (read(domain.trust_bundle(), "trust_bundle", told, here, one.bundle, kMaxBundleBytes))
      spec.trust_domains.push_back(std::move(one));
  }
}

// Two of them, one over the other: what is wrong is said where it stands.
struct Validation {
  const pb::CertificateValidationContext* context;
  FactoryScope scope;
  std::shared_ptr<const google::protobuf::Message> owner;  // of `context`, if that is a secret's
};

std::shared_ptr<const tls::Verifier> read_validation(const std::vector<Validation>& layers, FactoryScope& whole) {
  const size_t errors = whole.report().errors();
  tls::VerifierSpec spec;
  bool system_roots = false;
  // The layer that has a field last says it; lists grow.
  const Validation* authority = &layers.front();
  const Validation* spiffe = nullptr;
  for (const Validation& layer : layers) {
    const pb::CertificateValidationContext& proto = *layer.context;
    FactoryScope scope = layer.scope;
    const bool told = proto.has_watched_directory();
    if (told) scope.report().watch_file(proto.watched_directory().path() + "/.");
    if (proto.has_trusted_ca()) {
      read(proto.trusted_ca(), "trusted_ca", told, scope, spec.trusted_ca, kMaxBundleBytes);
      authority = &layer;
    }
    system_roots = system_roots || proto.has_system_root_certs();
    if (proto.has_crl()) read(proto.crl(), "crl", told, scope, spec.crl, kMaxBundleBytes);
    for (const auto& text : proto.verify_certificate_spki()) spec.spki_hashes.push_back(text);
    for (const auto& text : proto.verify_certificate_hash()) spec.certificate_hashes.push_back(text);
    read_names(proto, scope, spec);
    spec.allow_expired_certificate = spec.allow_expired_certificate || proto.allow_expired_certificate();
    spec.only_verify_leaf_cert_crl = spec.only_verify_leaf_cert_crl || proto.only_verify_leaf_cert_crl();
    if (proto.trust_chain_verification() == pb::CertificateValidationContext::ACCEPT_UNTRUSTED)
      spec.accept_untrusted = true;
    if (proto.has_max_verify_depth()) spec.max_verify_depth = proto.max_verify_depth().value();
    if (!proto.has_custom_validator_config()) continue;
    read_spiffe(proto.custom_validator_config(), told, scope, spec);
    authority = spiffe = &layer;
  }
  FactoryScope ca = authority->scope;
  if (system_roots && spec.trusted_ca.empty()) {
    spec.trusted_ca.origin = kSystemRoots;
    DataSource source;
    source.set_filename(kSystemRoots);
    read(source, "system_root_certs", false, ca, spec.trusted_ca, kMaxBundleBytes);
  }
  // Perhaps in another layer.
  if (spiffe != nullptr && (!spec.trusted_ca.empty() || !spec.crl.empty())) {
    FactoryScope at = spiffe->scope;
    at.error("custom_validator_config",
             "cannot be together with trusted_ca or crl; each of its trust domains has its own bundle");
  }
  if (whole.report().errors() != errors) return nullptr;
  auto verifier = load_verifier(std::move(spec));
  if (!verifier.ok()) {
    report_at(verifier.status(), ca);
    return nullptr;
  }
  warn((*verifier)->warnings(system_clock().wall_now()), ca);
  return *verifier;
}

std::shared_ptr<const tls::Verifier> read_verifier_now(const pb::CommonTlsContext& proto, FactoryScope& scope) {
  std::vector<Validation> layers;
  bool complete = true;  // else the fault is told already, and what is there says nothing of what is missing
  const auto add_secret = [&](const pb::SdsSecretConfig& config, FactoryScope at) {
    filter::ConfigReport::FoundSecret found;
    const auto* context = find_secret(config, at, pb::Secret::kValidationContextFieldNumber,
                                      &pb::Secret::has_validation_context, &pb::Secret::validation_context, found);
    complete = context != nullptr;
    if (!complete) return;
    layers.push_back({context, scope.elsewhere(*found.report, found.path + ".validation_context"), found.secret});
  };
  const size_t errors = scope.report().errors();
  switch (proto.validation_context_type_case()) {
    case pb::CommonTlsContext::kValidationContext:
      layers.push_back({&proto.validation_context(), scope.below("validation_context"), nullptr});
      break;
    case pb::CommonTlsContext::kValidationContextSdsSecretConfig:
      add_secret(proto.validation_context_sds_secret_config(), scope.below("validation_context_sds_secret_config"));
      break;
    case pb::CommonTlsContext::kCombinedValidationContext: {
      FactoryScope at = scope.below("combined_validation_context");
      const auto& combined = proto.combined_validation_context();
      layers.push_back({&combined.default_validation_context(), at.below("default_validation_context"), nullptr});
      add_secret(combined.validation_context_sds_secret_config(), at.below("validation_context_sds_secret_config"));
      break;
    }
    default:
      return nullptr;
  }
  return complete && scope.report().errors() == errors ? read_validation(layers, scope) : nullptr;
}

// nullptr without errors: peers are not verified.
std::shared_ptr<const tls::Verifier> read_verifier(const pb::CommonTlsContext& proto, FactoryScope& scope) {
  const google::protobuf::Message* names = nullptr;
  switch (proto.validation_context_type_case()) {
    case pb::CommonTlsContext::kValidationContext:
      names = &proto.validation_context();
      break;
    case pb::CommonTlsContext::kValidationContextSdsSecretConfig:
      names = &proto.validation_context_sds_secret_config();
      break;
    case pb::CommonTlsContext::kCombinedValidationContext:
      names = &proto.combined_validation_context();
      break;
    default:
      return nullptr;
  }
  const auto mark = scope.report().mark();
  return or_last_good(read_verifier_now(proto, scope), *names, mark, scope);
}

// --- The rest ------------------------------------------------------------------------------------------------------

tls::Version version_of(pb::TlsParameters::TlsProtocol protocol) {
  switch (protocol) {
    case pb::TlsParameters::TLSv1_0:
      return tls::Version::kTls10;
    case pb::TlsParameters::TLSv1_1:
      return tls::Version::kTls11;
    case pb::TlsParameters::TLSv1_2:
      return tls::Version::kTls12;
    case pb::TlsParameters::TLSv1_3:
      return tls::Version::kTls13;
    default:
      return tls::Version::kAuto;
  }
}

tls::Parameters read_parameters(const pb::TlsParameters& proto, FactoryScope& scope) {
  tls::Parameters to;
  to.minimum = version_of(proto.tls_minimum_protocol_version());
  to.maximum = version_of(proto.tls_maximum_protocol_version());
  to.cipher_suites = {proto.cipher_suites().begin(), proto.cipher_suites().end()};
  to.ecdh_curves = {proto.ecdh_curves().begin(), proto.ecdh_curves().end()};
  to.signature_algorithms = {proto.signature_algorithms().begin(), proto.signature_algorithms().end()};
  FactoryScope at = scope.below("tls_params");
  if (Status checked = tls::check(to); !checked.ok()) report_at(checked, at);
  // The one policy that there is goes before whatever else is said.
  return proto.compliance_policies().empty() ? to : tls::fips_202205();
}

std::vector<std::string> read_protocols(const pb::CommonTlsContext& proto, bool server, FactoryScope& scope) {
  std::vector<std::string> names;
  size_t bytes = 0;
  for (int i = 0; i < proto.alpn_protocols_size(); ++i) {
    std::string field = "alpn_protocols";
    append_path_item(field, static_cast<size_t>(i));
    // As published, and much used: "h2,http/1.1" is two.
    const std::vector<std::string> parts = absl::StrSplit(proto.alpn_protocols(i), ',');
    for (const std::string& name : parts) {
      bytes += 1 + name.size();
      if (name.empty() || name.size() > 255) {
        scope.error(field, "has " + std::to_string(name.size()) + " bytes; 1 to 255 are allowed");
      } else if (server && name == "h3") {
        scope.warning(field, "\"h3\" is not offered: HTTP/3 has a transport of its own, QUIC");
      } else if (scope.serves_http1_alone() && name == "h2") {
        scope.warning(field, "\"h2\" is not offered: codec_type of the filter behind it is HTTP1");
      } else {
        names.push_back(name);
      }
    }
  }
  if (bytes > 65535) scope.error("alpn_protocols", "is too long for a handshake: at most 65535 bytes are allowed");
  return names;
}

std::shared_ptr<const tls::KeyLog> read_key_log(const pb::TlsKeyLog& proto, FactoryScope& scope) {
  tls::KeyLogSpec spec;
  spec.path = proto.path();
  FactoryScope at = scope.below("key_log");
  const size_t errors = scope.report().errors();
  spec.local_address_range = filter::translate_all(scope.translator(), &filter::ConfigTranslator::address_range,
                                                   proto.local_address_range(), at.path() + ".local_address_range");
  spec.remote_address_range = filter::translate_all(scope.translator(), &filter::ConfigTranslator::address_range,
                                                    proto.remote_address_range(), at.path() + ".remote_address_range");
  if (scope.report().errors() != errors) return nullptr;
  auto log = open_key_log(spec);
  if (log.ok()) return *log;
  at.error("path", message_of(log.status()));
  return nullptr;
}

// Stateful: of this process alone. Keys that are told: of all that have the same.
std::vector<tls::TicketKey> read_ticket_keys(const pb::TlsSessionTicketKeys& proto, FactoryScope scope) {
  std::vector<tls::TicketKey> keys;
  for (int i = 0; i < proto.keys_size(); ++i) {
    std::string field = "keys";
    append_path_item(field, static_cast<size_t>(i));
    tls::Source source;
    if (!read(proto.keys(i), field, false, scope, source)) continue;
    auto key = tls::TicketKey::from_bytes(source.bytes);
    tls::wipe(source.bytes);
    if (key.ok()) {
      keys.push_back(*key);
    } else {
      scope.error(field, source.origin + " " + message_of(key.status()));
    }
  }
  return keys;
}

// False after an error.
bool open_library(FactoryScope& scope) {
  Status opened = crypto::open_library();
  if (!opened.ok()) scope.error({}, message_of(opened));
  return opened.ok();
}

}  // namespace

void report_fault(const Status& status, FactoryScope& scope) {
  static constexpr std::string_view kCommon[] = {"tls_certificates", "alpn_protocols", "validation_context"};
  static constexpr std::string_view kParameters[] = {"tls_minimum_protocol_version", "tls_maximum_protocol_version",
                                                     "cipher_suites", "ecdh_curves", "signature_algorithms"};
  const FieldFault fault = field_fault(status);
  const auto is_one_of = [&](auto& names) {
    return std::any_of(std::begin(names), std::end(names),
                       [&](std::string_view name) { return fault.field.starts_with(name); });
  };
  FactoryScope at = is_one_of(kCommon)       ? scope.below("common_tls_context")
                    : is_one_of(kParameters) ? scope.below("common_tls_context.tls_params")
                                             : scope;
  report_at(status, at);
}

std::optional<tls::ServerSpec> read_server(const pb::DownstreamTlsContext& proto, FactoryScope& scope) {
  if (!open_library(scope)) return std::nullopt;
  const size_t errors = scope.report().errors();
  tls::ServerSpec spec;
  const auto& common = proto.common_tls_context();
  FactoryScope at = scope.below("common_tls_context");
  spec.parameters = read_parameters(common.tls_params(), at);
  spec.identities = read_certificates(common, at);
  spec.verifier = read_verifier(common, at);
  spec.require_client_certificate = proto.require_client_certificate().value();
  spec.require_sni = proto.require_sni().value();
  spec.full_scan_certs_on_sni_mismatch = proto.full_scan_certs_on_sni_mismatch().value();
  spec.prefer_client_ciphers = proto.prefer_client_ciphers();
  spec.ocsp_staple_policy =
      proto.ocsp_staple_policy() == pb::DownstreamTlsContext::STRICT_STAPLING ? tls::OcspStaplePolicy::kStrict
      : proto.ocsp_staple_policy() == pb::DownstreamTlsContext::MUST_STAPLE   ? tls::OcspStaplePolicy::kMustStaple
                                                                              : tls::OcspStaplePolicy::kLenient;
  spec.alpn_protocols = read_protocols(common, true, at);
  switch (proto.session_ticket_keys_type_case()) {
    case pb::DownstreamTlsContext::kSessionTicketKeys:
      spec.session_ticket_keys = read_ticket_keys(proto.session_ticket_keys(), scope.below("session_ticket_keys"));
      break;
    case pb::DownstreamTlsContext::kSessionTicketKeysSdsSecretConfig: {
      FactoryScope here = scope.below("session_ticket_keys_sds_secret_config");
      filter::ConfigReport::FoundSecret found;
      const auto* keys =
          find_secret(proto.session_ticket_keys_sds_secret_config(), here, pb::Secret::kSessionTicketKeysFieldNumber,
                      &pb::Secret::has_session_ticket_keys, &pb::Secret::session_ticket_keys, found);
      if (keys != nullptr) {
        spec.session_ticket_keys =
            read_ticket_keys(*keys, scope.elsewhere(*found.report, found.path + ".session_ticket_keys"));
      }
      break;
    }
    case pb::DownstreamTlsContext::kDisableStatelessSessionResumption:
      spec.disable_stateless_session_resumption = proto.disable_stateless_session_resumption();
      break;
    default:
      break;
  }
  spec.disable_stateful_session_resumption = proto.disable_stateful_session_resumption();
  if (proto.has_session_timeout()) spec.session_timeout = filter::to_duration(proto.session_timeout());
  if (common.has_key_log()) spec.key_log = read_key_log(common.key_log(), at);
  if (scope.report().errors() != errors) return std::nullopt;
  if (spec.identities.empty()) {
    const bool meant = common.tls_certificates_size() + common.tls_certificate_sds_secret_configs_size() > 0;
    if (!meant)  // else what is wrong with them was said
      at.error("tls_certificates",
               "must not be empty: a server shows a certificate to its clients (or name secrets in "
               "tls_certificate_sds_secret_configs)");
    return std::nullopt;
  }
  return spec;
}

std::optional<ClientReading> read_client(const pb::UpstreamTlsContext& proto, FactoryScope& scope) {
  if (!open_library(scope)) return std::nullopt;
  const size_t errors = scope.report().errors();
  ClientReading out;
  const auto& common = proto.common_tls_context();
  FactoryScope at = scope.below("common_tls_context");
  out.spec.parameters = read_parameters(common.tls_params(), at);
  if (common.tls_certificates_size() + common.tls_certificate_sds_secret_configs_size() > 1)
    at.error("tls_certificates", "has more than one certificate; a client shows one alone");
  auto identities = read_certificates(common, at);
  if (!identities.empty()) out.spec.identity = identities.front();
  out.spec.verifier = read_verifier(common, at);
  out.spec.sni = proto.sni();
  out.auto_host_sni = proto.auto_host_sni();
  out.spec.auto_sni_san_validation = proto.auto_sni_san_validation();
  out.spec.alpn_protocols = read_protocols(common, false, at);
  out.spec.allow_renegotiation = proto.allow_renegotiation();
  if (proto.has_max_session_keys()) out.spec.max_session_keys = proto.max_session_keys().value();
  out.spec.enforce_rsa_key_usage = proto.enforce_rsa_key_usage().value();
  if (common.has_key_log()) out.spec.key_log = read_key_log(common.key_log(), at);
  if (scope.report().errors() != errors) return std::nullopt;
  return out;
}

}  // namespace weir::transport_sockets
