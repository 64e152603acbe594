// From when to when certificates are valid: a bounded walk through the DER of X.509, for these two dates and nothing
// else. It checks no signature, reads no name, and trusts nothing that it reads. Internal to this folder.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

namespace weir::config::lint {

struct CertificateDates {
  std::chrono::sys_seconds not_before;
  std::chrono::sys_seconds not_after;
};
// Of one certificate (RFC 5280 section 4.1). nullopt: these bytes are none.
std::optional<CertificateDates> dates_in_der(std::string_view der);
// Of every certificate of a PEM file (RFC 7468), in its order; those that cannot be read are left out. At most
// kMaxInPem.
constexpr size_t kMaxInPem = 1000;
std::vector<CertificateDates> dates_in_pem(std::string_view pem);

}  // namespace weir::config::lint
