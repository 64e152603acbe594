#include "core/config/secret_content.h"

#include <algorithm>

#include "core/base/fault_list.h"
#include "core/config/data_source.h"
#include "core/tls/identity.h"
#include "core/tls/ticket_keys.h"
#include "core/tls/verifier.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/common.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.pb.h"

namespace weir::config {
namespace {

using envoy::config::core::v3::DataSource;
using envoy::extensions::transport_sockets::tls::v3::Secret;

constexpr const char* kUnused = "; nothing uses this secret, and nothing could";
constexpr size_t kMaxBundle = size_t{8} << 20;

// What was read, and where it is from.
tls::Source source(const DataSource& proto, const DataSource& content) {
  if (content.specifier_case() == DataSource::SPECIFIER_NOT_SET) return {};
  return {content.inline_bytes(), proto.has_filename() ? proto.filename() : "inline"};
}

// "field: what is wrong", several of them.
void doubt(const Status& status, const std::string& path, Report& report) {
  const std::string text = message_of(status);
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view one = rest.substr(0, rest.find(kNextFault));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    const FieldFault fault = field_fault(invalid(one));
    report.warning(path + "." + fault.field, fault.text + kUnused);
  }
}

// It is packed: nobody has read its files yet.
void read_validator(const envoy::config::core::v3::TypedExtensionConfig& proto, const std::string& path,
                    tls::VerifierSpec& spec, Report& report) {
  const std::string below = "custom_validator_config.typed_config";
  const std::string at = path + "." + below;
  envoy::extensions::transport_sockets::tls::v3::SPIFFECertValidatorConfig config;
  if (!proto.typed_config().UnpackTo(&config)) {
    report.warning(at, "is no " + config.GetTypeName() + ", the one validator of this build" + kUnused);
    return;
  }
  for (int i = 0; i < config.trust_domains_size(); ++i) {
    const auto& domain = config.trust_domains(i);
    const std::string field = ".trust_domains[" + std::to_string(i) + "].trust_bundle";
    SourceFault fault;
    auto bytes = read_data_source(domain.trust_bundle(), {kMaxBundle}, fault);
    if (!bytes.has_value()) {
      report.warning(at + field + (fault.field.empty() ? "" : "." + fault.field), fault.message + kUnused);
      continue;
    }
    const auto& source = domain.trust_bundle();
    spec.trust_domains.push_back(
        {domain.name(), {std::move(*bytes), source.has_filename() ? source.filename() : "inline"}, below + field});
  }
}

}  // namespace

void doubt_unused_secret(const Secret& proto, const Secret& content, const std::string& path, Report& report) {
  if (content.has_tls_certificate()) {
    const auto& from = proto.tls_certificate();
    const auto& read = content.tls_certificate();
    tls::IdentitySpec spec;
    spec.certificate_chain = source(from.certificate_chain(), read.certificate_chain());
    spec.private_key = source(from.private_key(), read.private_key());
    spec.pkcs12 = source(from.pkcs12(), read.pkcs12());
    spec.password = source(from.password(), read.password());
    spec.ocsp_staple = source(from.ocsp_staple(), read.ocsp_staple());
    if (const auto loaded = tls::Identity::load(spec); !loaded.ok())
      doubt(loaded.status(), path + ".tls_certificate", report);
  }
  if (content.has_validation_context()) {
    const auto& from = proto.validation_context();
    const auto& read = content.validation_context();
    tls::VerifierSpec spec;
    spec.trusted_ca = source(from.trusted_ca(), read.trusted_ca());
    spec.crl = source(from.crl(), read.crl());
    for (const auto& text : read.verify_certificate_spki()) spec.spki_hashes.push_back(text);
    for (const auto& text : read.verify_certificate_hash()) spec.certificate_hashes.push_back(text);
    if (from.has_custom_validator_config())
      read_validator(from.custom_validator_config(), path + ".validation_context", spec, report);
    if (const auto built = tls::Verifier::build(std::move(spec)); !built.ok())
      doubt(built.status(), path + ".validation_context", report);
  }
  for (int i = 0; i < content.session_ticket_keys().keys_size(); ++i) {
    const auto key = tls::TicketKey::from_bytes(content.session_ticket_keys().keys(i).inline_bytes());
    if (key.ok()) continue;
    report.warning(path + ".session_ticket_keys.keys[" + std::to_string(i) + "]", message_of(key.status()) + kUnused);
  }
}

bool is_usable(const Secret& proto, const Secret& content) {
  const PositionIndex nowhere;
  Diagnostics doubts;
  Report report(nowhere, doubts);
  doubt_unused_secret(proto, content, "", report);
  return doubts.items().empty();
}

}  // namespace weir::config
