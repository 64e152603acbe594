#include "core/config/dns_config.h"

#include <algorithm>

#include "core/config/address_config.h"
#include "core/config/field_report.h"
#include "core/config/report.h"
#include "core/config/shared_messages.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/extensions/clusters/aggregate/v3/cluster.pb.h"
#include "envoy/extensions/clusters/dns/v3/dns_cluster.pb.h"
#include "envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster.pb.h"
#include "envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache.pb.h"
#include "envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver.pb.h"
#include "weir/extensions/network/dns_resolver/v1/guarded.pb.h"

namespace weir::config {
namespace {

namespace cluster_v3 = envoy::config::cluster::v3;
namespace core = envoy::config::core::v3;
using dns::FamilyPolicy;
using envoy::extensions::clusters::dns::v3::DnsCluster;
using envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;

constexpr std::string_view kDnsCluster = "envoy.extensions.clusters.dns.v3.DnsCluster";
namespace aggregate = envoy::extensions::clusters::aggregate::v3;
namespace dfp = envoy::extensions::clusters::dynamic_forward_proxy::v3;
using envoy::extensions::common::dynamic_forward_proxy::v3::DnsCacheConfig;
using weir::extensions::network::dns_resolver::v1::GuardedDnsResolverConfig;

constexpr std::string_view kCares = "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig";
constexpr std::string_view kGetAddrInfo =
    "envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig";

// Of a failure rate without max_interval, as published.
constexpr int kMostOverBase = 10;

template <class Rate>
void read_failure_rate(const Rate& proto, const FieldReport& at, dns::RefreshPlan& plan) {
  plan.failure_base = to_duration(proto.base_interval());
  plan.failure_most = proto.has_max_interval() ? to_duration(proto.max_interval())
                                               : std::min<Duration>(plan.failure_base, 240h) * kMostOverBase;
  if (plan.failure_most < plan.failure_base) at.error_at("max_interval", "must not be less than base_interval");
}

// What Cluster and DnsCluster call by the same names.
template <class Message>
void read_refresh(const Message& proto, const FieldReport& at, dns::RefreshPlan& plan) {
  if (proto.has_dns_refresh_rate()) plan.rate = to_duration(proto.dns_refresh_rate());
  if (proto.has_dns_jitter()) plan.jitter = to_duration(proto.dns_jitter());
  plan.respect_ttl = proto.respect_dns_ttl();
  if (proto.has_dns_failure_refresh_rate())
    read_failure_rate(proto.dns_failure_refresh_rate(), at.below("dns_failure_refresh_rate"), plan);
}

FamilyPolicy family_of(cluster_v3::Cluster::DnsLookupFamily family) {
  switch (family) {
    case cluster_v3::Cluster::V4_ONLY:
      return FamilyPolicy::kV4Only;
    case cluster_v3::Cluster::V6_ONLY:
      return FamilyPolicy::kV6Only;
    case cluster_v3::Cluster::V4_PREFERRED:
      return FamilyPolicy::kV4Preferred;
    case cluster_v3::Cluster::ALL:
      return FamilyPolicy::kAll;
    default:
      return FamilyPolicy::kAuto;
  }
}

FamilyPolicy family_of(envoy::extensions::clusters::common::dns::v3::DnsLookupFamily family) {
  namespace common = envoy::extensions::clusters::common::dns::v3;
  switch (family) {
    case common::V4_ONLY:
      return FamilyPolicy::kV4Only;
    case common::V6_ONLY:
      return FamilyPolicy::kV6Only;
    case common::V4_PREFERRED:
      return FamilyPolicy::kV4Preferred;
    case common::ALL:
      return FamilyPolicy::kAll;
    default:
      return FamilyPolicy::kAuto;
  }
}

template <class Addresses>
void read_servers(const Addresses& addresses, const FieldReport& at, std::string_view field,
                  dns::ResolverOptions& options) {
  for (int i = 0; i < addresses.size(); ++i) {
    const FieldReport place = at.item(field, i);
    net::Address server = translate_address(addresses[i], place.path, at.report, Transport::kTcpOrUdp);
    if (server.family() == net::Family::kUnix) {
      place.error("a name server has an IP address: socket_address");
      continue;
    }
    if (server.is_ip()) options.servers.push_back(std::move(server));
  }
}

void read_options(const core::DnsResolverOptions& proto, dns::ResolverOptions& options) {
  options.tcp_only = proto.use_tcp_for_dns_lookups();
  options.no_search_domains = proto.no_default_search_domain();
}

void read_cares(const CaresDnsResolverConfig& proto, const FieldReport& at, dns::ResolverOptions& options) {
  read_servers(proto.resolvers(), at, "resolvers", options);
  read_options(proto.dns_resolver_options(), options);
  options.servers_as_fallback = proto.use_resolvers_as_fallback();
  options.filter_unroutable = proto.filter_unroutable_families();
  options.rotate = proto.rotate_nameservers();
  if (proto.has_edns0_max_payload_size()) options.edns0_payload = proto.edns0_max_payload_size().value();
  if (proto.has_query_timeout_seconds())
    options.query_timeout =
        duration_of(static_cast<int64_t>(std::min<uint64_t>(proto.query_timeout_seconds().value(), 3600)), 0);
  if (proto.has_query_timeout_seconds() && proto.query_timeout_seconds().value() > 3600)
    at.error_at("query_timeout_seconds", "must not be more than 3600: an hour");
  if (proto.has_query_tries()) options.tries = proto.query_tries().value();
  if (options.tries > 100) at.error_at("query_tries", "must not be more than 100");
}

void read_typed_resolver(const core::TypedExtensionConfig& proto, const FieldReport& at, dns::ResolverOptions& options,
                         bool guarded = false);

void read_ranges(const google::protobuf::RepeatedPtrField<core::CidrRange>& protos, const FieldReport& at,
                 std::string_view field, std::vector<dns::AddressGuard::Range>& out) {
  for (int i = 0; i < protos.size(); ++i) {
    if (auto range = translate(protos[i], at.item(field, i))) out.push_back({range->prefix, range->bits});
  }
}

void read_guarded(const GuardedDnsResolverConfig& proto, const FieldReport& at, dns::ResolverOptions& options) {
  if (proto.has_resolver()) read_typed_resolver(proto.resolver(), at.below("resolver"), options, true);
  options.guard.deny_private = proto.deny_private();
  read_ranges(proto.deny(), at, "deny", options.guard.deny);
  read_ranges(proto.allow(), at, "allow", options.guard.allow);
  if (options.guard.empty() && proto.deny().empty())
    at.warning("denies nothing: set deny_private, or addresses in deny");
}

void read_typed_resolver(const core::TypedExtensionConfig& proto, const FieldReport& at, dns::ResolverOptions& options,
                         bool guarded) {
  const FieldReport here = at.below("typed_config");
  auto message = at.report.unpack(proto.typed_config(), here.path);
  if (message == nullptr) return;
  if (message->GetTypeName() == kCares) {
    read_cares(static_cast<const CaresDnsResolverConfig&>(*message), here, options);
  } else if (const auto* guard = dynamic_cast<const GuardedDnsResolverConfig*>(message.get())) {
    if (guarded) {
      here.error("a guarded resolver guards one that is not guarded itself: write all of it in one");
    } else {
      read_guarded(*guard, here, options);
    }
  } else if (message->GetTypeName() == kGetAddrInfo) {
    here.warning(
        "weir asks the name servers of /etc/resolv.conf and reads /etc/hosts by itself; other sources of "
        "nsswitch.conf are not asked");
  } else {
    here.unsupported(message->GetTypeName() + " is not supported by weir; " + std::string(kCares) + " is");
  }
}

// What is set and does not count, because `what` does.
void without_effect(const FieldReport& at, std::string_view what,
                    std::initializer_list<std::pair<bool, std::string_view>> fields) {
  for (const auto& [set, field] : fields) {
    if (set) at.below(field).warning("has no effect: " + std::string(what) + " is set and counts");
  }
}

void read_older_resolver(const core::DnsResolutionConfig& proto, const FieldReport& at, dns::ResolverOptions& options) {
  read_servers(proto.resolvers(), at, "resolvers", options);
  read_options(proto.dns_resolver_options(), options);
}

// Where the resolver stands counts in this order, as published.
void read_resolver(const cluster_v3::Cluster& proto, const FieldReport& at, dns::ResolverOptions& options) {
  if (proto.has_typed_dns_resolver_config()) {
    read_typed_resolver(proto.typed_dns_resolver_config(), at.below("typed_dns_resolver_config"), options);
    without_effect(at, "typed_dns_resolver_config",
                   {{proto.has_dns_resolution_config(), "dns_resolution_config"},
                    {!proto.dns_resolvers().empty(), "dns_resolvers"},
                    {proto.use_tcp_for_dns_lookups(), "use_tcp_for_dns_lookups"}});
  } else if (proto.has_dns_resolution_config()) {
    read_older_resolver(proto.dns_resolution_config(), at.below("dns_resolution_config"), options);
    without_effect(at, "dns_resolution_config",
                   {{!proto.dns_resolvers().empty(), "dns_resolvers"},
                    {proto.use_tcp_for_dns_lookups(), "use_tcp_for_dns_lookups"}});
  } else {
    read_servers(proto.dns_resolvers(), at, "dns_resolvers", options);
    options.tcp_only = proto.use_tcp_for_dns_lookups();
  }
}

// Of a DnsCacheConfig, or of the bootstrap.
template <class Message>
void read_resolver(const Message& proto, const FieldReport& at, dns::ResolverOptions& options) {
  if (proto.has_typed_dns_resolver_config()) {
    read_typed_resolver(proto.typed_dns_resolver_config(), at.below("typed_dns_resolver_config"), options);
    without_effect(at, "typed_dns_resolver_config",
                   {{proto.has_dns_resolution_config(), "dns_resolution_config"},
                    {proto.use_tcp_for_dns_lookups(), "use_tcp_for_dns_lookups"}});
  } else if (proto.has_dns_resolution_config()) {
    read_older_resolver(proto.dns_resolution_config(), at.below("dns_resolution_config"), options);
    without_effect(at, "dns_resolution_config", {{proto.use_tcp_for_dns_lookups(), "use_tcp_for_dns_lookups"}});
  } else {
    options.tcp_only = proto.use_tcp_for_dns_lookups();
  }
}

// Fields about names in a cluster that does not look there.
void warn_of_unused(const cluster_v3::Cluster& proto, const FieldReport& at, const std::string& why) {
  for (const auto& [set, field] :
       {std::pair(proto.dns_lookup_family() != cluster_v3::Cluster::AUTO, "dns_lookup_family"),
        std::pair(proto.has_dns_refresh_rate(), "dns_refresh_rate"),
        std::pair(proto.has_dns_failure_refresh_rate(), "dns_failure_refresh_rate"),
        std::pair(proto.respect_dns_ttl(), "respect_dns_ttl"), std::pair(proto.has_dns_jitter(), "dns_jitter"),
        std::pair(!proto.dns_resolvers().empty(), "dns_resolvers"),
        std::pair(proto.use_tcp_for_dns_lookups(), "use_tcp_for_dns_lookups"),
        std::pair(proto.has_dns_resolution_config(), "dns_resolution_config"),
        std::pair(proto.has_typed_dns_resolver_config(), "typed_dns_resolver_config")}) {
    if (set) at.below(field).warning("has no effect: " + why);
  }
}

void read_dns_cluster(const cluster_v3::Cluster& proto, const DnsCluster& config, const FieldReport& at,
                      const FieldReport& here, std::optional<DnsSpec>& dns) {
  dns.emplace();
  dns->logical = config.all_addresses_in_single_endpoint();
  dns->family = family_of(config.dns_lookup_family());
  read_refresh(config, here, dns->refresh);
  dns->own_resolver = config.has_typed_dns_resolver_config();
  if (dns->own_resolver)
    read_typed_resolver(config.typed_dns_resolver_config(), here.below("typed_dns_resolver_config"), dns->resolver);
  warn_of_unused(proto, at, "the DnsCluster in cluster_type has its own");
}

// --- Clusters without endpoints of their own -----------------------------------------------------------------------

void refuse_endpoints(const cluster_v3::Cluster& proto, const FieldReport& at, std::string_view why) {
  if (proto.load_assignment().endpoints_size() > 0) at.error_at("load_assignment", std::string(why));
}

void read_names(const google::protobuf::RepeatedPtrField<core::SocketAddress>& protos, const FieldReport& at,
                std::string_view field, std::vector<DnsCacheSpec::Name>& out) {
  for (int i = 0; i < protos.size(); ++i) {
    const FieldReport here = at.item(field, i);
    if (std::string fault = host_name_fault(protos[i].address()); !fault.empty()) here.error_at("address", fault);
    if (protos[i].port_value() == 0 || protos[i].port_value() > 65535)
      here.error_at("port_value", "must be 1 to 65535: where the name listens");
    out.push_back({protos[i].address(), static_cast<uint16_t>(protos[i].port_value())});
  }
}

void check_room(const DnsCacheSpec& cache, const FieldReport& at, std::string_view names, std::string_view most) {
  if (cache.preresolve.size() > cache.max_hosts)
    at.error_at(names, "are " + std::to_string(cache.preresolve.size()) + " names; " + std::string(most) + " is " +
                           std::to_string(cache.max_hosts));
}

DnsCacheSpec read_cache(const DnsCacheConfig& proto, const FieldReport& at) {
  DnsCacheSpec out;
  out.name = proto.name();
  out.family = family_of(proto.dns_lookup_family());
  // As published: the lifetimes of answers count, and the rate where they have none.
  out.refresh.rate = proto.has_dns_refresh_rate() ? to_duration(proto.dns_refresh_rate()) : Duration(1min);
  out.refresh.least_ttl = proto.has_dns_min_refresh_rate() ? to_duration(proto.dns_min_refresh_rate()) : Duration(5s);
  out.refresh.respect_ttl = true;
  if (proto.has_dns_failure_refresh_rate())
    read_failure_rate(proto.dns_failure_refresh_rate(), at.below("dns_failure_refresh_rate"), out.refresh);
  if (proto.disable_dns_refresh_on_failure() && proto.has_dns_failure_refresh_rate())
    at.below("dns_failure_refresh_rate").warning("has no effect: disable_dns_refresh_on_failure is true");
  out.forget_failures = proto.disable_dns_refresh_on_failure();
  read_resolver(proto, at, out.resolver);
  if (proto.has_host_ttl()) out.host_ttl = to_duration(proto.host_ttl());
  if (proto.has_max_hosts()) out.max_hosts = proto.max_hosts().value();
  if (proto.dns_cache_circuit_breaker().has_max_pending_requests())
    out.max_pending = proto.dns_cache_circuit_breaker().max_pending_requests().value();
  if (proto.has_dns_query_timeout()) out.query_timeout = to_duration(proto.dns_query_timeout());
  read_names(proto.preresolve_hostnames(), at, "preresolve_hostnames", out.preresolve);
  check_room(out, at, "preresolve_hostnames", "max_hosts");
  out.fingerprint = fingerprint(proto);
  return out;
}

// Its names are resolved as those of a STRICT_DNS cluster are, as the Cluster says.
DnsCacheSpec read_sub_clusters(const cluster_v3::Cluster& proto, const dfp::SubClustersConfig& config,
                               const FieldReport& at, const FieldReport& here) {
  DnsCacheSpec out;
  out.name = "sub_clusters of " + proto.name();
  out.family = family_of(proto.dns_lookup_family());
  read_refresh(proto, at, out.refresh);
  read_resolver(proto, at, out.resolver);
  if (config.has_max_sub_clusters()) out.max_hosts = config.max_sub_clusters().value();
  if (config.has_sub_cluster_ttl()) out.host_ttl = to_duration(config.sub_cluster_ttl());
  read_names(config.preresolve_clusters(), here, "preresolve_clusters", out.preresolve);
  check_room(out, here, "preresolve_clusters", "max_sub_clusters");
  out.query_timeout = Duration::zero();  // that of the filter counts
  out.fingerprint = fingerprint(proto);
  return out;
}

void read_dynamic(const cluster_v3::Cluster& proto, const dfp::ClusterConfig& config, const FieldReport& at,
                  const FieldReport& here, DiscoverySpec& out) {
  refuse_endpoints(proto, at, "must be empty: the hosts of a dynamic_forward_proxy cluster are what requests ask for");
  out.dynamic.emplace();
  out.allow_insecure = config.allow_insecure_cluster_options();
  if (config.has_sub_clusters_config()) {
    out.dynamic->cache = read_sub_clusters(proto, config.sub_clusters_config(), at, here.below("sub_clusters_config"));
    out.dynamic->by_address = true;
    return;
  }
  if (!config.has_dns_cache_config()) {
    here.error("one of dns_cache_config, sub_clusters_config must be set");
    return;
  }
  out.dynamic->cache = read_cache(config.dns_cache_config(), here.below("dns_cache_config"));
  warn_of_unused(proto, at, "the dns_cache_config in cluster_type has its own");
}

Discovery read_typed(const cluster_v3::Cluster& proto, const FieldReport& at, DiscoverySpec& out) {
  const FieldReport here = at.below("cluster_type").below("typed_config");
  auto message = at.report.unpack(proto.cluster_type().typed_config(), here.path);
  if (message == nullptr) return Discovery::kOther;
  if (const auto* config = dynamic_cast<const DnsCluster*>(message.get())) {
    read_dns_cluster(proto, *config, at, here, out.dns);
    return Discovery::kDns;
  }
  if (const auto* config = dynamic_cast<const aggregate::ClusterConfig*>(message.get())) {
    refuse_endpoints(proto, at, "must be empty: an aggregate cluster has the endpoints of those that it names");
    warn_of_unused(proto, at, "an aggregate cluster resolves no names");
    out.aggregate.emplace().clusters.assign(config->clusters().begin(), config->clusters().end());
    return Discovery::kAggregate;
  }
  if (const auto* config = dynamic_cast<const dfp::ClusterConfig*>(message.get())) {
    read_dynamic(proto, *config, at, here, out);
    return Discovery::kDynamic;
  }
  here.unsupported(message->GetTypeName() + " is not supported by weir yet; " + std::string(kDnsCluster) + ", " +
                   aggregate::ClusterConfig::descriptor()->full_name() + " and " +
                   dfp::ClusterConfig::descriptor()->full_name() + " are");
  return Discovery::kOther;
}

}  // namespace

Discovery read_discovery(const cluster_v3::Cluster& proto, const std::string& path, Report& report,
                         DiscoverySpec& out) {
  const FieldReport at{report, path};
  if (proto.has_cluster_type()) {
    const Discovery found = read_typed(proto, at, out);
    if (found != Discovery::kDns) {
      if (found != Discovery::kOther && proto.has_wait_for_warm_on_init())
        at.below("wait_for_warm_on_init").warning("has no effect: such a cluster is ready at once");
      return found;
    }
  } else if (proto.type() == cluster_v3::Cluster::STATIC) {
    warn_of_unused(proto, at, "a cluster of type STATIC resolves no names");
    if (proto.has_wait_for_warm_on_init())
      at.below("wait_for_warm_on_init").warning("has no effect: a cluster of type STATIC is ready at once");
    return Discovery::kStatic;
  } else if (proto.type() == cluster_v3::Cluster::ORIGINAL_DST) {
    refuse_endpoints(proto, at, "must be empty: the hosts of a cluster of type ORIGINAL_DST are what clients ask for");
    warn_of_unused(proto, at, "a cluster of type ORIGINAL_DST resolves no names");
    if (proto.has_wait_for_warm_on_init())
      at.below("wait_for_warm_on_init").warning("has no effect: a cluster of type ORIGINAL_DST is ready at once");
    return Discovery::kOriginal;
  } else if (proto.type() == cluster_v3::Cluster::STRICT_DNS || proto.type() == cluster_v3::Cluster::LOGICAL_DNS) {
    out.dns.emplace();
    out.dns->logical = proto.type() == cluster_v3::Cluster::LOGICAL_DNS;
    out.dns->family = family_of(proto.dns_lookup_family());
    read_refresh(proto, at, out.dns->refresh);
    read_resolver(proto, at, out.dns->resolver);
    out.dns->own_resolver = proto.has_typed_dns_resolver_config() || proto.has_dns_resolution_config() ||
                            !proto.dns_resolvers().empty() || proto.use_tcp_for_dns_lookups();
  } else {
    return Discovery::kOther;
  }
  if (proto.has_wait_for_warm_on_init()) out.dns->warms = proto.wait_for_warm_on_init().value();
  return Discovery::kDns;
}

DefaultResolver read_default_resolver(const envoy::config::bootstrap::v3::Bootstrap& proto, Report& report) {
  DefaultResolver out;
  if (!proto.has_typed_dns_resolver_config() && !proto.has_dns_resolution_config() && !proto.use_tcp_for_dns_lookups())
    return out;
  out.options.emplace();
  read_resolver(proto, FieldReport{report, ""}, *out.options);
  envoy::config::bootstrap::v3::Bootstrap said;
  if (proto.has_typed_dns_resolver_config())
    *said.mutable_typed_dns_resolver_config() = proto.typed_dns_resolver_config();
  if (proto.has_dns_resolution_config()) *said.mutable_dns_resolution_config() = proto.dns_resolution_config();
  said.set_use_tcp_for_dns_lookups(proto.use_tcp_for_dns_lookups());
  out.fingerprint = fingerprint(said);
  return out;
}

std::string host_name_fault(std::string_view name) {
  if (net::Address::from_ip(name, 0).ok()) return {};
  const std::string quoted = "\"" + std::string(name) + "\"";
  if (name.empty()) return "must not be empty: a name or an IP address";
  const size_t colon = name.find(':');
  if (name.find("://") != std::string_view::npos) return quoted + " is a URL; write the name alone";
  if (colon != std::string_view::npos && name.find(':', colon + 1) == std::string_view::npos)
    return quoted + " is not a name; the port belongs in port_value";
  std::string_view rest = name;
  if (rest.ends_with('.')) rest.remove_suffix(1);
  const auto may_stand = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  bool good = !rest.empty() && rest.size() <= 253;
  while (good && !rest.empty()) {
    const std::string_view label = rest.substr(0, rest.find('.'));
    good = !label.empty() && label.size() <= 63 && std::all_of(label.begin(), label.end(), may_stand);
    if (label.size() == rest.size()) {
      // RFC 3696 section 2: no top-level domain is a number. Addresses with a slip in them are.
      good = good && label.find_first_not_of("0123456789") != std::string_view::npos;
      break;
    }
    rest.remove_prefix(label.size() + 1);
    good = good && !rest.empty();
  }
  if (good) return {};
  return quoted +
         " is no name of the DNS: labels of 1 to 63 letters, digits, - and _ with dots between them, the last no "
         "number, at most 253 "
         "characters";
}

}  // namespace weir::config
