// What a cluster whose endpoints are names says of resolving them: the fields of Cluster, or those of its DnsCluster.
// [main]
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/dns/answer.h"
#include "core/dns/cares_resolver.h"
#include "core/dns/refresh.h"

namespace envoy::config::cluster::v3 {
class Cluster;
}
namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace weir::config {

class Report;

struct DnsSpec {
  // All addresses are one host, which is connected to at the first of them (LOGICAL_DNS).
  bool logical = false;
  dns::FamilyPolicy family = dns::FamilyPolicy::kAuto;
  dns::RefreshPlan refresh;
  dns::ResolverOptions resolver;
  bool own_resolver = false;  // else the bootstrap may say who is asked
  bool warms = true;          // whoever needs the cluster waits for its first answer (wait_for_warm_on_init)
};

// Names that requests bring, and what becomes of them (DnsCacheConfig). A cluster has one, and filters name it.
struct DnsCacheSpec {
  struct Name {
    std::string host;
    uint16_t port = 0;
    bool operator==(const Name&) const = default;
  };
  std::string name;
  dns::FamilyPolicy family = dns::FamilyPolicy::kAuto;
  dns::RefreshPlan refresh;
  dns::ResolverOptions resolver;
  Duration host_ttl = 5min;  // a name that nobody has asked for so long is forgotten
  uint32_t max_hosts = 1024;
  std::optional<uint32_t> max_pending;  // requests that wait for answers; nothing: the cluster's max_pending_requests
  Duration query_timeout = 5s;          // requests wait no longer; zero: as long as the resolver takes
  bool forget_failures = false;         // a name without an address is not kept, but asked for by the next request
  std::vector<Name> preresolve;
  uint64_t fingerprint = 0;  // of the message
};

// A cluster whose hosts are such names.
struct DynamicSpec {
  DnsCacheSpec cache;
  bool by_address = false;  // each address of a name is a host, and a policy chooses (sub_clusters_config)
};

// Clusters that stand for others, and what they say of themselves.
struct AggregateSpec {
  std::vector<std::string> clusters;
};

// How a cluster comes by its endpoints.
enum class Discovery : uint8_t { kStatic, kDns, kAggregate, kDynamic, kOriginal, kOther };
struct DiscoverySpec {
  std::optional<DnsSpec> dns;              // kDns
  std::optional<AggregateSpec> aggregate;  // kAggregate
  std::optional<DynamicSpec> dynamic;      // kDynamic
  bool allow_insecure = false;             // of kDynamic: names in certificates need not be checked
};
// kOther: a type that is not supported, which is reported by then.
Discovery read_discovery(const envoy::config::cluster::v3::Cluster& proto, const std::string& path, Report& report,
                         DiscoverySpec& out);

// Who is asked for the names of clusters that say nothing of it.
struct DefaultResolver {
  std::optional<dns::ResolverOptions> options;
  uint64_t fingerprint = 0;
};
DefaultResolver read_default_resolver(const envoy::config::bootstrap::v3::Bootstrap& proto, Report& report);

// RFC 1123 section 2.1, with underscores, which names in private zones have; a dot at the end is allowed. Also IP
// addresses. Empty if it is one, else what is wrong: "\"a b\" is not a name ...".
std::string host_name_fault(std::string_view name);

}  // namespace weir::config
