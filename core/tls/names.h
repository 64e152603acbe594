// The names of certificates, and how they are matched.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/net/transport_facts.h"

struct x509_st;

namespace weir::tls {

struct San {
  net::NameKind kind;
  std::string text;
  std::string oid;  // of kOther: "1.3.6.1.4.1.311.20.2.3"
};

// Of the subject alternative name extension, in its order. What has a control character in it is left out: no name has,
// texts that end at a NUL would be taken for others, and line ends would begin lines of logs and headers.
std::vector<San> names_of(const x509_st* certificate);
// Empty: it has none.
std::string common_name_of(const x509_st* certificate);

// Whether a DNS name is one that the certificate's name means: the same, or "*." stands for exactly one label, which is
// none of an IP address. Letters of either case are equal.
bool dns_name_matches(std::string_view certificate_name, std::string_view name);
// Whether it says "10.0.0.1" in any of its spellings.
bool ip_matches(std::string_view certificate_ip, std::string_view ip);

std::string lower_case(std::string_view text);

}  // namespace weir::tls
