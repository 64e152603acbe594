#include "core/config/dns_config.h"

#include <algorithm>

#include "core/config/address_config.h"
#include "core/config/field_report.h"
#include "core/config/report.h"
#include "core/config/shared_messages.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/extensions/clusters/dns/v3/dns_cluster.pb.h"
#include "envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver.pb.h"

namespace weir::config {
namespace {

namespace pb = envoy::config::cluster::v3;
namespace core = envoy::config::core::v3;
using dns::FamilyPolicy;
using envoy::extensions::clusters::dns::v3::DnsCluster;
using envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;

constexpr std::string_view kDnsCluster = "envoy.extensions.clusters.dns.v3.DnsCluster";
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

FamilyPolicy family_of(pb::Cluster::DnsLookupFamily family) {
  switch (family) {
    case pb::Cluster::V4_ONLY:
      return FamilyPolicy::kV4Only;
    case pb::Cluster::V6_ONLY:
      return FamilyPolicy::kV6Only;
    case pb::Cluster::V4_PREFERRED:
      return FamilyPolicy::kV4Preferred;
    case pb::Cluster::ALL:
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

void read_typed_resolver(const core::TypedExtensionConfig& proto, const FieldReport& at,
                         dns::ResolverOptions& options) {
  const FieldReport here = at.below("typed_config");
  auto message = at.report.unpack(proto.typed_config(), here.path);
  if (message == nullptr) return;
  if (message->GetTypeName() == kCares) {
    read_cares(static_cast<const CaresDnsResolverConfig&>(*message), here, options);
  } else if (message->GetTypeName() == kGetAddrInfo) {
    here.warning(
        "weir asks the name servers of /etc/resolv.conf and reads /etc/hosts by itself; other sources of "
        "nsswitch.conf are not asked");
  } else {
    here.unsupported(message->GetTypeName() + " is not supported by weir; " + std::string(kCares) + " is");
  }
}

// Where the resolver stands counts in this order, as published.
void read_resolver(const pb::Cluster& proto, const FieldReport& at, dns::ResolverOptions& options) {
  if (proto.has_typed_dns_resolver_config()) {
    read_typed_resolver(proto.typed_dns_resolver_config(), at.below("typed_dns_resolver_config"), options);
    for (const auto& [set, field] : {std::pair(proto.has_dns_resolution_config(), "dns_resolution_config"),
                                     std::pair(!proto.dns_resolvers().empty(), "dns_resolvers"),
                                     std::pair(proto.use_tcp_for_dns_lookups(), "use_tcp_for_dns_lookups")}) {
      if (set) at.below(field).warning("has no effect: typed_dns_resolver_config is set and counts");
    }
    return;
  }
  if (proto.has_dns_resolution_config()) {
    const FieldReport here = at.below("dns_resolution_config");
    read_servers(proto.dns_resolution_config().resolvers(), here, "resolvers", options);
    read_options(proto.dns_resolution_config().dns_resolver_options(), options);
    for (const auto& [set, field] : {std::pair(!proto.dns_resolvers().empty(), "dns_resolvers"),
                                     std::pair(proto.use_tcp_for_dns_lookups(), "use_tcp_for_dns_lookups")}) {
      if (set) at.below(field).warning("has no effect: dns_resolution_config is set and counts");
    }
    return;
  }
  read_servers(proto.dns_resolvers(), at, "dns_resolvers", options);
  options.tcp_only = proto.use_tcp_for_dns_lookups();
}

// Fields about names in a cluster that does not look there.
void warn_of_unused(const pb::Cluster& proto, const FieldReport& at, const std::string& why) {
  for (const auto& [set, field] :
       {std::pair(proto.dns_lookup_family() != pb::Cluster::AUTO, "dns_lookup_family"),
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

bool read_dns_cluster(const pb::Cluster& proto, const FieldReport& at, std::optional<DnsSpec>& dns) {
  const FieldReport here = at.below("cluster_type").below("typed_config");
  auto message = at.report.unpack(proto.cluster_type().typed_config(), here.path);
  if (message == nullptr) return false;
  if (message->GetTypeName() != kDnsCluster) {
    here.unsupported(message->GetTypeName() + " is not supported by weir yet; " + std::string(kDnsCluster) + " is");
    return false;
  }
  const auto& config = static_cast<const DnsCluster&>(*message);
  dns.emplace();
  dns->logical = config.all_addresses_in_single_endpoint();
  dns->family = family_of(config.dns_lookup_family());
  read_refresh(config, here, dns->refresh);
  if (config.has_typed_dns_resolver_config())
    read_typed_resolver(config.typed_dns_resolver_config(), here.below("typed_dns_resolver_config"), dns->resolver);
  warn_of_unused(proto, at, "the DnsCluster in cluster_type has its own");
  return true;
}

}  // namespace

Discovery read_discovery(const pb::Cluster& proto, const std::string& path, Report& report,
                         std::optional<DnsSpec>& dns) {
  const FieldReport at{report, path};
  if (proto.has_cluster_type()) {
    if (!read_dns_cluster(proto, at, dns)) return Discovery::kOther;
  } else if (proto.type() == pb::Cluster::STATIC) {
    warn_of_unused(proto, at, "a cluster of type STATIC resolves no names");
    if (proto.has_wait_for_warm_on_init())
      at.below("wait_for_warm_on_init").warning("has no effect: a cluster of type STATIC is ready at once");
    return Discovery::kStatic;
  } else if (proto.type() == pb::Cluster::ORIGINAL_DST) {
    warn_of_unused(proto, at, "a cluster of type ORIGINAL_DST resolves no names");
    if (proto.has_wait_for_warm_on_init())
      at.below("wait_for_warm_on_init").warning("has no effect: a cluster of type ORIGINAL_DST is ready at once");
    return Discovery::kOriginal;
  } else if (proto.type() == pb::Cluster::STRICT_DNS || proto.type() == pb::Cluster::LOGICAL_DNS) {
    dns.emplace();
    dns->logical = proto.type() == pb::Cluster::LOGICAL_DNS;
    dns->family = family_of(proto.dns_lookup_family());
    read_refresh(proto, at, dns->refresh);
    read_resolver(proto, at, dns->resolver);
  } else {
    return Discovery::kOther;
  }
  if (proto.has_wait_for_warm_on_init()) dns->warms = proto.wait_for_warm_on_init().value();
  return Discovery::kDns;
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
