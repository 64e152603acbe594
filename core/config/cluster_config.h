// From envoy.config.cluster.v3.Cluster to the plain data of core/upstream and core/lb. [main]
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/config/dns_config.h"
#include "core/filter/factory.h"
#include "core/filter/registry.h"
#include "core/lb/host_set.h"
#include "core/net/address_order.h"
#include "core/upstream/cluster.h"

namespace envoy::config::cluster::v3 {
class Cluster;
}

namespace weir::config {

class Report;
class RouteConfigEnv;

struct EndpointSpec {
  net::Address address;                 // empty: `name` tells, when it is resolved
  std::string name;                     // of a cluster whose endpoints are names
  uint16_t port = 0;                    // beside the name
  std::vector<net::Address> addresses;  // of a host that has several, in the order in which they are tried
  std::string hostname;
  uint32_t weight = 1;
  uint32_t priority = 0;
  lb::Health health = lb::Health::kHealthy;
  std::shared_ptr<const lb::Locality> place;
  std::shared_ptr<const stream::StaticMetadata> metadata;
};

struct ClusterTranslation {
  int index = 0;  // in static_resources.clusters
  upstream::ClusterSpec spec;
  const lb::PolicyDescriptor* policy = nullptr;
  std::shared_ptr<const void> policy_config;
  std::vector<EndpointSpec> endpoints;
  net::AddressOrder order;              // of the addresses of a host
  std::optional<DnsSpec> dns;           // endpoints are names
  std::optional<DynamicSpec> dynamic;   // there are none: requests bring names
  std::vector<std::string> aggregates;  // clusters that it stands for, as it names them; it has no endpoints then
  Duration cleanup_interval = 5s;       // of hosts that requests bring (finds_hosts())
  lb::HostSet::Options host_options;
  std::shared_ptr<const lb::SubsetPolicy> subsets;  // null: hosts are not divided
  uint64_t spec_fingerprint = 0;                    // of everything but the endpoints
  uint64_t host_fingerprint = 0;                    // of endpoints and balancing
  // Of its text (PositionIndex::digests_of), if that says everything: 0 if files or variables were read.
  uint64_t text = 0;
  bool says_auto_names = false;  // upstream_http_protocol_options is set
  bool names_clusters = false;   // others than itself: whether they are there is no matter of its text
};

// A cluster without endpoints, whose requests ask for addresses (ORIGINAL_DST).
bool finds_hosts(const envoy::config::cluster::v3::Cluster& proto);

// Of its HttpProtocolOptions.
bool has_http_filters(const envoy::config::cluster::v3::Cluster& proto);

// Faults go to the report; the result is to be used only if there were none. The report is that of the scope, whose
// path is that of the message.
ClusterTranslation translate_cluster(const envoy::config::cluster::v3::Cluster& proto, filter::FactoryScope& scope,
                                     RouteConfigEnv& env, Report& report);

}  // namespace weir::config
