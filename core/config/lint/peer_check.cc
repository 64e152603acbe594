#include "core/config/lint/peer_check.h"

#include "core/config/data_source.h"
#include "core/config/diagnostics.h"
#include "core/config/position_index.h"
#include "core/config/proto_loader.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/core/v3/config_source.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace weir::config::lint {
namespace {

namespace tls_v3 = envoy::extensions::transport_sockets::tls::v3;
using tls_v3::CertificateValidationContext;
using tls_v3::CommonTlsContext;

bool untrusted(const CertificateValidationContext& context) {
  return context.trust_chain_verification() == CertificateValidationContext::ACCEPT_UNTRUSTED;
}

// Hashes alone are a check, names alone are none.
bool checks(const CertificateValidationContext& context) {
  return context.has_trusted_ca() || context.has_system_root_certs() ||
         context.has_ca_certificate_provider_instance() || context.has_custom_validator_config() ||
         context.verify_certificate_spki_size() > 0 || context.verify_certificate_hash_size() > 0;
}

// `secret`: the one that it is of, if it is.
std::optional<Unchecked> missing_in(const CertificateValidationContext& context, const std::string& secret = {}) {
  const std::string place = secret.empty() ? "" : " in secret " + shown(secret);
  if (untrusted(context))
    return Unchecked{"trust_chain_verification: ACCEPT_UNTRUSTED" + place + " accepts every certificate",
                     "leave it out", true};
  if (checks(context)) return std::nullopt;
  return Unchecked{"without a trusted_ca" + place + " every certificate is accepted",
                   secret.empty() ? "set common_tls_context.validation_context.trusted_ca" : "set its trusted_ca"};
}

}  // namespace

std::string sds_file(const envoy::config::core::v3::ConfigSource& source) {
  return source.has_path_config_source() ? source.path_config_source().path() : source.path();
}

std::vector<tls_v3::Secret> secrets_in(const std::string& file) {
  std::vector<tls_v3::Secret> secrets;
  std::string ignored;
  const auto content = file.empty() ? std::nullopt : read_bounded_file(file, {size_t{8} << 20}, ignored);
  if (!content.has_value()) return secrets;
  envoy::service::discovery::v3::DiscoveryResponse response;
  PositionIndex positions;
  Diagnostics told_elsewhere;
  load_content(*content, file, response, positions, told_elsewhere);
  for (const auto& resource : response.resources()) {
    envoy::service::discovery::v3::Resource wrapper;
    tls_v3::Secret secret;
    if ((resource.UnpackTo(&wrapper) ? wrapper.resource() : resource).UnpackTo(&secret))
      secrets.push_back(std::move(secret));
  }
  return secrets;
}

PeerChecks::PeerChecks(const Model& model) : model_(model) {}
PeerChecks::~PeerChecks() = default;

const CertificateValidationContext* PeerChecks::context_of(const tls_v3::SdsSecretConfig& named) {
  const auto look_in = [&](const auto& secrets) -> const CertificateValidationContext* {
    for (const tls_v3::Secret& secret : secrets) {
      if (secret.name() == named.name() && secret.has_validation_context()) return &secret.validation_context();
    }
    return nullptr;
  };
  if (!named.has_sds_config()) return look_in(model_.bootstrap().static_resources().secrets());
  const std::string file = sds_file(named.sds_config());
  auto [at, fresh] = files_.try_emplace(file);
  if (fresh) at->second = secrets_in(file);
  return look_in(at->second);
}

std::optional<Unchecked> PeerChecks::missing(const CommonTlsContext& common) {
  // A handshaker of one's own may check whatever it likes.
  if (common.has_custom_handshaker()) return std::nullopt;
  switch (common.validation_context_type_case()) {
    case CommonTlsContext::VALIDATION_CONTEXT_TYPE_NOT_SET:
      return Unchecked{"without a validation_context every certificate is accepted",
                       "set common_tls_context.validation_context.trusted_ca"};
    case CommonTlsContext::kValidationContext:
      return missing_in(common.validation_context());
    case CommonTlsContext::kValidationContextSdsSecretConfig: {
      const auto& named = common.validation_context_sds_secret_config();
      const auto* context = context_of(named);
      if (context == nullptr) return std::nullopt;
      return missing_in(*context, named.name());
    }
    case CommonTlsContext::kCombinedValidationContext: {
      const auto& combined = common.combined_validation_context();
      CertificateValidationContext both = combined.default_validation_context();
      if (untrusted(both)) return missing_in(both);
      const auto& named = combined.validation_context_sds_secret_config();
      const auto* context = context_of(named);
      if (context == nullptr) return std::nullopt;
      both.MergeFrom(*context);
      return missing_in(both, named.name());
    }
    default:
      return std::nullopt;
  }
}

}  // namespace weir::config::lint
