// What a cluster whose endpoints are names says of resolving them: the fields of Cluster, or those of its DnsCluster.
// [main]
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/dns/answer.h"
#include "core/dns/cares_resolver.h"
#include "core/dns/refresh.h"

namespace envoy::config::cluster::v3 {
class Cluster;
}

namespace weir::config {

class Report;

struct DnsSpec {
  // All addresses are one host, which is connected to at the first of them (LOGICAL_DNS).
  bool logical = false;
  dns::FamilyPolicy family = dns::FamilyPolicy::kAuto;
  dns::RefreshPlan refresh;
  dns::ResolverOptions resolver;
  bool warms = true;  // whoever needs the cluster waits for its first answer (wait_for_warm_on_init)
};

// How a cluster comes by its endpoints.
enum class Discovery : uint8_t { kStatic, kDns, kOriginal, kOther };
// kOther: a type that is not supported, which is reported by then.
Discovery read_discovery(const envoy::config::cluster::v3::Cluster& proto, const std::string& path, Report& report,
                         std::optional<DnsSpec>& dns);

// RFC 1123 section 2.1, with underscores, which names in private zones have; a dot at the end is allowed. Also IP
// addresses. Empty if it is one, else what is wrong: "\"a b\" is not a name ...".
std::string host_name_fault(std::string_view name);

}  // namespace weir::config
