// Names of certificates (core/tls/names.h): those of any DER that is a certificate, and DNS names held against another
// reading of the rule. First byte 0: two names, separated by byte 29; else a certificate.
#include <string>

#include "core/crypto/certificate.h"
#include "core/crypto/library.h"
#include "core/net/address.h"
#include "core/tls/names.h"
#include "test/fuzz/input.h"

namespace weir::tls {
namespace {

using fuzz::require;

bool is_one_line(const std::string& text) {
  for (char c : text) {
    if ((c >= 0 && c < ' ') || c == 127) return false;
  }
  return true;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool same(const std::string& a, const std::string& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::vector<std::string> labels(std::string_view name) {
  std::vector<std::string> all(1);
  for (char c : name) {
    if (c == '.') {
      all.emplace_back();
    } else {
      all.back() += c;
    }
  }
  return all;
}

// Label by label: "*" as the first of several is any one label that is there, but for addresses.
bool matches_by_labels(std::string_view certificate_name, std::string_view name) {
  const auto pattern = labels(certificate_name);
  const auto parts = labels(name);
  if (name.empty() || pattern.size() != parts.size()) return false;
  const bool address = net::Address::from_ip(name, 0).ok();
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool wild = i == 0 && pattern.size() > 1 && pattern[0] == "*" && !parts[0].empty() && !address;
    if (!wild && !same(pattern[i], parts[i])) return false;
  }
  return true;
}

}  // namespace
}  // namespace weir::tls

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::tls;
  weir::crypto::require_library();
  weir::fuzz::Input input(data, size);
  if (input.byte() == 0) {
    const std::string_view one = input.until(29);
    const std::string_view other = input.rest();
    require(dns_name_matches(one, other) == matches_by_labels(one, other), "two readings of a DNS name", one, other);
    (void)ip_matches(one, other);
    return 0;
  }
  auto certificate = weir::crypto::Certificate::parse_der(input.rest());
  if (!certificate.ok()) return 0;
  for (const San& san : names_of(certificate->handle())) {
    require(is_one_line(san.text), "a name with a control character", san.text);
    require((san.kind == weir::net::NameKind::kOther) == !san.oid.empty() || san.kind == weir::net::NameKind::kOther,
            "an oid where none belongs", san.oid);
    if (san.kind == weir::net::NameKind::kIp)
      require(ip_matches(san.text, san.text), "an address that is none", san.text);
  }
  require(is_one_line(common_name_of(certificate->handle())), "a common name with a control character");
  return 0;
}
