// Whether the certificate of a TLS peer is held against anything: the validation context of a TLS context, with what
// the secrets that it names have of it. Internal to this folder.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/config/lint/model.h"

namespace envoy::config::core::v3 {
class ConfigSource;
}
namespace envoy::extensions::transport_sockets::tls::v3 {
class CertificateValidationContext;
class CommonTlsContext;
class SdsSecretConfig;
class Secret;
}  // namespace envoy::extensions::transport_sockets::tls::v3

namespace weir::config::lint {

// The SDS file that secrets come from; empty: a control plane's.
std::string sds_file(const envoy::config::core::v3::ConfigSource& source);
// The secrets of an SDS file that can be read; what is wrong with it, who loads it tells.
std::vector<envoy::extensions::transport_sockets::tls::v3::Secret> secrets_in(const std::string& file);

struct Unchecked {
  std::string why;  // "without a validation_context every certificate is accepted"
  std::string now_what;
  bool untrusted = false;  // it is looked at, and whatever comes of it is accepted
};

class PeerChecks {
 public:
  explicit PeerChecks(const Model& model);
  ~PeerChecks();
  // nullopt: a peer's certificate is checked, or the file does not tell.
  std::optional<Unchecked> missing(const envoy::extensions::transport_sockets::tls::v3::CommonTlsContext& common);

 private:
  using Context = envoy::extensions::transport_sockets::tls::v3::CertificateValidationContext;
  // nullptr: it is not at hand.
  const Context* context_of(const envoy::extensions::transport_sockets::tls::v3::SdsSecretConfig& named);

  const Model& model_;
  std::map<std::string, std::vector<envoy::extensions::transport_sockets::tls::v3::Secret>> files_;
};

}  // namespace weir::config::lint
