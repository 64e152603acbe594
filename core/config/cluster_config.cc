#include "core/config/cluster_config.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>
#include <utility>

#include "core/config/address_config.h"
#include "core/config/balance_config.h"
#include "core/config/hash_policy_config.h"
#include "core/config/policy_config.h"
#include "core/config/position_index.h"
#include "core/config/report.h"
#include "core/config/shared_messages.h"
#include "core/config/subset_config.h"
#include "core/http/url.h"
#include "core/lb/by_name.h"
#include "core/lb/destinations.h"
#include "core/stream/added_tlv.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/proxy_protocol.pb.h"
#include "envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster.pb.h"
#include "envoy/extensions/transport_sockets/internal_upstream/v3/internal_upstream.pb.h"
#include "envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace weir::config {
namespace {

namespace cluster_v3 = envoy::config::cluster::v3;
namespace dfp = envoy::extensions::clusters::dynamic_forward_proxy::v3;
using filter::ConfigReport;

constexpr std::string_view kTls = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
constexpr std::string_view kHttpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

void read_common_http(const envoy::config::core::v3::HttpProtocolOptions& proto, upstream::ClusterSpec& spec) {
  if (proto.has_idle_timeout()) spec.idle_timeout = to_duration(proto.idle_timeout());
  if (proto.has_max_requests_per_connection())
    spec.max_requests_per_connection = proto.max_requests_per_connection().value();
  if (proto.has_max_connection_duration()) spec.max_connection_duration = to_duration(proto.max_connection_duration());
  if (proto.has_max_stream_duration()) spec.max_stream_duration = to_duration(proto.max_stream_duration());
  if (proto.has_max_headers_count())
    spec.h1.limits.max_header_count = spec.h2.max_header_count = proto.max_headers_count().value();
  if (proto.has_max_response_headers_kb())
    spec.h1.limits.max_head_bytes = spec.h1.limits.max_trailer_bytes = spec.h2.max_head_bytes =
        proto.max_response_headers_kb().value() * 1024;
}

void read_http1(const envoy::config::core::v3::Http1ProtocolOptions& proto, const FieldReport& at,
                upstream::ClusterSpec& spec) {
  translate(proto, spec.h1.options, at);
  spec.h1.options.absolute_form = proto.send_fully_qualified_url();
}

void read_http2(const envoy::config::core::v3::Http2ProtocolOptions& proto, const FieldReport& at,
                upstream::ClusterSpec& spec) {
  translate(proto, false, spec.h2, at);
  spec.h2.keepalive.idle_interval = to_duration(proto.connection_keepalive().connection_idle_interval());
}

// Of one that knows both.
template <class Choice>
void read_both(const Choice& choice, upstream::HttpProtocol protocol, const FieldReport& at,
               upstream::ClusterSpec& spec) {
  spec.protocol = protocol;
  read_http1(choice.http_protocol_options(), at.below("http_protocol_options"), spec);
  read_http2(choice.http2_protocol_options(), at.below("http2_protocol_options"), spec);
}

void read_protocol(const envoy::extensions::upstreams::http::v3::HttpProtocolOptions& proto, const FieldReport& at,
                   upstream::ClusterSpec& spec) {
  using upstream::HttpProtocol;
  if (proto.has_auto_config())
    return read_both(proto.auto_config(), HttpProtocol::kAuto, at.below("auto_config"), spec);
  if (proto.has_use_downstream_protocol_config())
    return read_both(proto.use_downstream_protocol_config(), HttpProtocol::kDownstream,
                     at.below("use_downstream_protocol_config"), spec);
  const auto& one = proto.explicit_http_config();
  read_both(one, one.has_http2_protocol_options() ? HttpProtocol::kHttp2 : HttpProtocol::kHttp1,
            at.below("explicit_http_config"), spec);
}

void read_auto_names(const envoy::config::core::v3::UpstreamHttpProtocolOptions& proto, upstream::ClusterSpec& spec) {
  spec.auto_names = {proto.auto_sni(), proto.auto_san_validation(), {}};
  if (!proto.override_auto_sni_header().empty())
    spec.auto_names.header = http::HeaderName(proto.override_auto_sni_header());
}

// What is known of one without making it.
void look_at(const envoy::config::core::v3::TransportSocket& socket, upstream::ClusterTransports& to) {
  const std::string_view type = filter::type_of_url(socket.typed_config().type_url());
  if (type == kTls) to.encrypts = true;
  envoy::extensions::transport_sockets::internal_upstream::v3::InternalUpstreamTransport internal;
  if (type == internal.GetTypeName() && socket.typed_config().UnpackTo(&internal))
    look_at(internal.transport_socket(), to);
  envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport outer;
  if (type != outer.GetTypeName() || !socket.typed_config().UnpackTo(&outer)) return;
  to.tells_client = true;
  look_at(outer.transport_socket(), to);
}

// Which of them a host gets is said by its metadata, and decided when a connection to it is opened.
void read_transports(const cluster_v3::Cluster& proto, filter::FactoryScope& scope, upstream::ClusterSpec& spec) {
  cluster_v3::Cluster part;
  const auto make = [&](const envoy::config::core::v3::TransportSocket& socket, const std::string& name,
                        filter::FactoryScope at) {
    at.set_stat_owner(spec.stat_name);
    look_at(socket, spec.transports);
    return at.routes().transport_socket(socket, filter::TransportSide::kUpstream, spec.name, name, at);
  };
  if (proto.has_transport_socket()) {
    *part.mutable_transport_socket() = proto.transport_socket();
    spec.transports.otherwise = make(proto.transport_socket(), "", scope.below("transport_socket"));
  }
  for (int i = 0; i < proto.transport_socket_matches_size(); ++i) {
    const auto& one = proto.transport_socket_matches(i);
    *part.add_transport_socket_matches() = one;
    filter::FactoryScope here = scope.below("transport_socket_matches", i);
    for (int k = 0; k < i; ++k) {
      if (proto.transport_socket_matches(k).name() == one.name())
        here.error("name",
                   in_quotes(one.name()) + " is the name of transport_socket_matches[" + std::to_string(k) + "] too");
    }
    envoy::config::core::v3::Metadata members;
    (*members.mutable_filter_metadata())[std::string(upstream::ClusterTransports::kNamespace)] = one.match();
    spec.transports.matches.push_back(
        {one.name(), translate(members), make(one.transport_socket(), one.name(), here.below("transport_socket"))});
  }
  spec.transports.fingerprint = fingerprint(part);
}

// What was written before there were typed options.
void read_older_protocol_options(const cluster_v3::Cluster& proto, const FieldReport& at, ClusterTranslation& out) {
  upstream::ClusterSpec& spec = out.spec;
  read_common_http(proto.common_http_protocol_options(), spec);
  if (proto.has_upstream_http_protocol_options()) {
    read_auto_names(proto.upstream_http_protocol_options(), spec);
    out.says_auto_names = true;
  }
  if (proto.has_http_protocol_options())
    read_http1(proto.http_protocol_options(), at.below("http_protocol_options"), spec);
  if (proto.has_http2_protocol_options()) {
    read_http2(proto.http2_protocol_options(), at.below("http2_protocol_options"), spec);
    spec.protocol = upstream::HttpProtocol::kHttp2;
  }
  if (proto.protocol_selection() == cluster_v3::Cluster::USE_DOWNSTREAM_PROTOCOL)
    spec.protocol = upstream::HttpProtocol::kDownstream;
}

// As published, the typed ones alone count then.
void warn_of_older_protocol_options(const cluster_v3::Cluster& proto, const FieldReport& at) {
  for (const auto& [set, field] :
       {std::pair(proto.has_common_http_protocol_options(), "common_http_protocol_options"),
        std::pair(proto.has_upstream_http_protocol_options(), "upstream_http_protocol_options"),
        std::pair(proto.has_http_protocol_options(), "http_protocol_options"),
        std::pair(proto.has_http2_protocol_options(), "http2_protocol_options"),
        std::pair(proto.protocol_selection() != cluster_v3::Cluster::USE_CONFIGURED_PROTOCOL, "protocol_selection")}) {
    if (set)
      at.below(field).warning(
          "has no effect beside the HttpProtocolOptions of typed_extension_protocol_options; write it there");
  }
}

void read_protocol_options(const cluster_v3::Cluster& proto, const std::string& path, RouteConfigEnv& env,
                           Report& report, ClusterTranslation& out) {
  upstream::ClusterSpec& spec = out.spec;
  if (proto.typed_extension_protocol_options().contains(std::string(kHttpOptions))) {
    warn_of_older_protocol_options(proto, {report, path});
  } else {
    read_older_protocol_options(proto, {report, path}, out);
  }
  for (const auto& [name, any] : proto.typed_extension_protocol_options()) {
    std::string at = path;
    append_path_name(at, "typed_extension_protocol_options");
    append_path_name(at, name);
    auto message = report.unpack(any, at);
    if (message == nullptr) continue;
    if (message->GetTypeName() != kHttpOptions) {
      report.unsupported(at, message->GetTypeName() + " is not supported by weir yet");
      continue;
    }
    // By another key they would be a second entry perhaps, and the order of a map is nobody's.
    if (name != kHttpOptions) {
      report.error(at, "must have the key " + std::string(kHttpOptions) + ", as published");
      continue;
    }
    const auto& options = static_cast<const envoy::extensions::upstreams::http::v3::HttpProtocolOptions&>(*message);
    read_common_http(options.common_http_protocol_options(), spec);
    if (options.has_upstream_http_protocol_options()) {
      read_auto_names(options.upstream_http_protocol_options(), spec);
      out.says_auto_names = true;
    }
    read_protocol(options, FieldReport{report, at}, spec);
    spec.policies = build_cluster_policies(options, at, env, report.diagnostics());
    if (!options.http_filters().empty()) spec.http_filters = env.upstream_filters(options.http_filters(), at);
    if (!options.hash_policy().empty())
      spec.hash_policies = build_hash_policies(options.hash_policy(), at, env, report.diagnostics());
    if (!options.request_mirror_policies().empty()) out.names_clusters = true;
  }
}

// Of one priority: as published, the first thresholds for it count.
upstream::CircuitBreakers read_breakers(const cluster_v3::CircuitBreakers& proto,
                                        envoy::config::core::v3::RoutingPriority priority) {
  upstream::CircuitBreakers out;
  // Without a limit on retries of its own, a cluster has a budget (one of the few defaults that differ from the
  // published ones: three at a time are too few for a large cluster and too many for a small one).
  out.has_retry_budget = out.retry_budget_is_default = true;
  const auto found = std::find_if(proto.thresholds().begin(), proto.thresholds().end(),
                                  [&](const auto& one) { return one.priority() == priority; });
  if (found == proto.thresholds().end()) return out;
  const cluster_v3::CircuitBreakers::Thresholds& one = *found;
  if (one.has_max_connections()) out.max_connections = one.max_connections().value();
  if (one.has_max_pending_requests()) out.max_pending_requests = one.max_pending_requests().value();
  if (one.has_max_requests()) out.max_requests = one.max_requests().value();
  if (one.has_max_retries() || one.has_retry_budget()) out.retry_budget_is_default = false;
  if (one.has_max_retries()) {
    out.has_retry_budget = false;
    out.max_retries = one.max_retries().value();
  }
  if (one.has_retry_budget()) {
    out.has_retry_budget = true;
    if (one.retry_budget().has_budget_percent()) out.retry_budget_percent = one.retry_budget().budget_percent().value();
    if (one.retry_budget().has_min_retry_concurrency())
      out.retry_budget_min = one.retry_budget().min_retry_concurrency().value();
  }
  return out;
}

void read_breakers(const cluster_v3::CircuitBreakers& proto, upstream::ClusterSpec& spec) {
  spec.breakers = read_breakers(proto, envoy::config::core::v3::DEFAULT);
  spec.high_breakers = read_breakers(proto, envoy::config::core::v3::HIGH);
}

constexpr std::string_view kPortRule = "must be 1 to 65535: where the endpoint listens";

void read_name(const envoy::config::core::v3::Address& proto, const std::string& path, ConfigReport& report,
               EndpointSpec& out) {
  if (!proto.has_socket_address()) {
    report.error(path, "must be a socket_address with a name to resolve");
    return;
  }
  const auto& address = proto.socket_address();
  if (std::string fault = host_name_fault(address.address()); !fault.empty()) {
    report.error(path + ".socket_address.address", fault);
  }
  // Of named_port the table of fields has said that it is not supported.
  if (address.named_port().empty() && (address.port_value() == 0 || address.port_value() > 65535)) {
    report.error(path + ".socket_address.port_value", std::string(kPortRule));
  }
  out.name = address.address();
  out.port = static_cast<uint16_t>(address.port_value());
}

// Whoever sends there knows whether in streams or in datagrams.
net::Address read_address(const envoy::config::core::v3::Address& address, const std::string& path,
                          ConfigReport& report) {
  net::Address out = translate_address(address, path, report, Transport::kTcpOrUdp);
  if (out.is_ip() && out.port() == 0 && address.socket_address().named_port().empty())
    report.error(path + ".socket_address.port_value", std::string(kPortRule));
  return out;
}

// Further addresses of the host.
void read_more_addresses(const envoy::config::endpoint::v3::Endpoint& proto, const std::string& path,
                         const net::AddressOrder& order, bool named, ConfigReport& report, EndpointSpec& out) {
  if (proto.additional_addresses().empty()) return;
  const FieldReport at{report, path};
  if (named) {
    at.error_at("additional_addresses", "is for endpoints that are addresses: a name stands for all that it has");
    return;
  }
  if (!proto.address().has_socket_address()) {
    at.error_at("additional_addresses", "is for endpoints whose address is a socket_address");
    return;
  }
  std::vector<net::Address> all = {out.address};
  for (int i = 0; i < proto.additional_addresses_size(); ++i) {
    const FieldReport here = at.item("additional_addresses", i).below("address");
    const auto& address = proto.additional_addresses(i).address();
    if (!address.has_socket_address()) {
      here.error("must be a socket_address");
      continue;
    }
    net::Address one = read_address(address, here.path, report);
    if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(std::move(one));
  }
  out.addresses = net::in_turn(all, order, all.size());
}

void read_order(const cluster_v3::UpstreamConnectionOptions::HappyEyeballsConfig& proto, const FieldReport& at,
                net::AddressOrder& out) {
  using Options = cluster_v3::UpstreamConnectionOptions;
  if (proto.first_address_family_version() == Options::V4) out.first = net::Family::kIpv4;
  if (proto.first_address_family_version() == Options::V6) out.first = net::Family::kIpv6;
  if (!proto.has_first_address_family_count()) return;
  out.first_count = proto.first_address_family_count().value();
  if (out.first_count == 0) at.error_at("first_address_family_count", "is 0; at least 1 is tried at a time");
}

// The one key of a host's typed metadata that is read: entries of the PROXY headers to it. Null: there are none.
std::shared_ptr<const stream::HostTlvs> read_tlvs(const envoy::config::core::v3::Metadata& proto,
                                                  const std::string& path, ConfigReport& report) {
  using envoy::config::core::v3::PerHostConfig;
  std::shared_ptr<stream::HostTlvs> out;
  for (const auto& [name, any] : proto.typed_filter_metadata()) {
    std::string at = path;
    append_path_name(at, "typed_filter_metadata");
    append_path_name(at, name);
    if (name != "envoy.transport_sockets.proxy_protocol") {
      report.warning(at, "has no effect in weir: nothing that could read it is supported");
      continue;
    }
    const std::string& type = PerHostConfig::descriptor()->full_name();
    if (filter::type_of_url(any.type_url()) != type) {
      report.warning(at, "has no effect: under this key weir reads an " + type);
      continue;
    }
    const std::unique_ptr<google::protobuf::Message> message = report.unpack(any, at);
    if (message == nullptr) continue;
    const auto& config = static_cast<const PerHostConfig&>(*message);
    at += ".added_tlvs";
    out = std::make_shared<stream::HostTlvs>();
    out->fingerprint = fingerprint(config);
    for (stream::AddedTlv& one :
         filter::translate_all(report.translator(), &filter::ConfigTranslator::tlv, config.added_tlvs(), at)) {
      const auto same = [&one](const stream::AddedTlv& other) { return other.type == one.type; };
      if (std::ranges::any_of(out->entries, same)) {
        report.warning(at, "has the type " + std::to_string(one.type) + " twice; the first counts");
      } else {
        out->entries.push_back(std::move(one));
      }
    }
  }
  return out;
}

// Each priority's localities have one weight each.
class LocalityWeights {
 public:
  explicit LocalityWeights(ConfigReport& report) : report_(report) {}
  void add(const envoy::config::endpoint::v3::LocalityLbEndpoints& one, const std::string& path) {
    const auto& where = one.locality();
    const uint32_t weight = one.load_balancing_weight().value();
    const auto [known, fresh] =
        weights_.try_emplace({one.priority(), where.region(), where.zone(), where.sub_zone()}, weight);
    if (!fresh && known->second != weight) {
      report_.error(path + ".load_balancing_weight", "is " + std::to_string(weight) +
                                                         ", but the same locality has the weight " +
                                                         std::to_string(known->second) + " further up; write one");
    }
    if (!fresh) return;
    uint64_t& sum = sums_[one.priority()];
    sum += weight;
    if (sum > UINT32_MAX && sum - weight <= UINT32_MAX) {
      report_.error(path + ".load_balancing_weight", "the weights of the localities of a priority add up to " +
                                                         std::to_string(sum) + "; at most 4294967295 is allowed");
    }
  }

 private:
  ConfigReport& report_;
  std::map<std::tuple<uint32_t, std::string_view, std::string_view, std::string_view>, uint32_t> weights_;
  std::map<uint32_t, uint64_t> sums_;
};

void read_endpoints(const cluster_v3::Cluster& proto, const std::string& path, ConfigReport& report,
                    ClusterTranslation& out) {
  const auto& assignment = proto.load_assignment();
  std::string at = path + ".load_assignment";
  if (assignment.policy().has_overprovisioning_factor())
    out.host_options.overprovisioning_percent = assignment.policy().overprovisioning_factor().value();
  uint32_t highest = 0;
  LocalityWeights localities(report);
  for (int i = 0; i < assignment.endpoints_size(); ++i) {
    const auto& locality = assignment.endpoints(i);
    std::string here = at + ".endpoints[" + std::to_string(i) + "]";
    highest = std::max(highest, locality.priority());
    if (locality.priority() > 127) {
      report.error(here + ".priority", std::to_string(locality.priority()) + " is too high; allowed are 0 to 127");
    }
    const auto& where = locality.locality();
    const uint32_t weight = locality.load_balancing_weight().value();
    std::shared_ptr<const lb::Locality> place_of_all;
    if (locality.has_locality() || weight > 0) {
      place_of_all =
          std::make_shared<const lb::Locality>(lb::Locality{where.region(), where.zone(), where.sub_zone(), weight});
    }
    if (out.host_options.locality_weighted) localities.add(locality, here);
    uint64_t weights = 0;
    out.endpoints.reserve(out.endpoints.size() + static_cast<size_t>(locality.lb_endpoints_size()));
    for (int k = 0; k < locality.lb_endpoints_size(); ++k) {
      const auto& one = locality.lb_endpoints(k);
      std::string place = here + ".lb_endpoints[" + std::to_string(k) + "]";
      EndpointSpec endpoint;
      if (out.dns.has_value()) {
        read_name(one.endpoint().address(), place + ".endpoint.address", report, endpoint);
      } else {
        const auto& address = one.endpoint().address();
        if (address.has_envoy_internal_address()) out.names_clusters = true;  // a listener, which may go
        endpoint.address = address.has_envoy_internal_address()
                               ? internal_listener_address(address.envoy_internal_address().server_listener_name())
                               : read_address(address, place + ".endpoint.address", report);
      }
      read_more_addresses(one.endpoint(), place + ".endpoint", out.order, out.dns.has_value(), report, endpoint);
      endpoint.hostname = one.endpoint().hostname();
      if (!endpoint.hostname.empty() && !http::is_valid_authority(endpoint.hostname)) {
        report.error(place + ".endpoint.hostname",
                     "\"" + endpoint.hostname + "\" " + std::string(http::kAuthorityRule));
      }
      if (endpoint.hostname.empty()) endpoint.hostname = endpoint.name;
      if (one.has_metadata())
        endpoint.metadata = translate(one.metadata(), read_tlvs(one.metadata(), place + ".metadata", report));
      if (out.subsets != nullptr) check_subsets_of(endpoint, place, *out.subsets, report);
      if (one.has_load_balancing_weight()) endpoint.weight = one.load_balancing_weight().value();
      weights += endpoint.weight;
      endpoint.priority = locality.priority();
      endpoint.place = place_of_all;
      switch (one.health_status()) {
        case envoy::config::core::v3::UNHEALTHY:
        case envoy::config::core::v3::TIMEOUT:
          endpoint.health = lb::Health::kUnhealthy;
          break;
        case envoy::config::core::v3::DRAINING:
          endpoint.health = lb::Health::kDraining;
          break;
        case envoy::config::core::v3::DEGRADED:
          endpoint.health = lb::Health::kDegraded;
          break;
        default:
          break;
      }
      out.endpoints.push_back(std::move(endpoint));
    }
    if (weights > UINT32_MAX) {
      report.error(here + ".lb_endpoints", "the sum of load_balancing_weight is " + std::to_string(weights) +
                                               "; at most 4294967295 is allowed in a locality");
    }
  }
}

// --- Clusters without endpoints of their own -----------------------------------------------------------------------

void expect_own_balancing(const cluster_v3::Cluster& proto, const FieldReport& at) {
  constexpr std::string_view kProvided = "envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided";
  if (proto.has_load_balancing_policy()) {
    const auto& list = proto.load_balancing_policy().policies();
    const bool provided = list.size() == 1 &&
                          filter::type_of_url(list[0].typed_extension_config().typed_config().type_url()) == kProvided;
    if (!provided)
      at.error_at("load_balancing_policy", "a cluster of this type chooses hosts by itself: write " +
                                               std::string(kProvided) + " or lb_policy: CLUSTER_PROVIDED");
  } else if (proto.lb_policy() != cluster_v3::Cluster::CLUSTER_PROVIDED) {
    at.error_at(
        "lb_policy",
        cluster_v3::Cluster::LbPolicy_Name(proto.lb_policy()) +
            " has no meaning for a cluster of this type, which chooses hosts by itself; write CLUSTER_PROVIDED");
  }
  if (proto.has_lb_subset_config())
    at.below("lb_subset_config").warning("has no effect: a cluster of this type chooses hosts by itself");
  if (proto.common_lb_config().has_healthy_panic_threshold())
    at.below("common_lb_config")
        .below("healthy_panic_threshold")
        .warning("has no effect: a cluster of this type has no hosts that are checked");
}

void read_aggregate(const AggregateSpec& from, const FieldReport& at, RouteConfigEnv& env, ClusterTranslation& out) {
  const FieldReport here = at.below("cluster_type").below("typed_config");
  for (size_t i = 0; i < from.clusters.size(); ++i) {
    const std::string& name = from.clusters[i];
    for (size_t k = 0; k < i; ++k) {
      if (from.clusters[k] == name)
        here.item("clusters", static_cast<int>(i))
            .error(in_quotes(name) + " is clusters[" + std::to_string(k) + "] too");
    }
    out.spec.members.push_back(env.cluster_slot(name));
  }
  out.aggregates = from.clusters;
  out.policy = &lb::no_policy();
  out.names_clusters = true;
  if (out.spec.transports.otherwise || !out.spec.transports.matches.empty())
    at.below("transport_socket").warning("has no effect: connections are those of the clusters that this one names");
}

void read_dynamic(const cluster_v3::Cluster& proto, DiscoverySpec& found, const FieldReport& at,
                  const filter::Registry& registry, RouteConfigEnv& env, ClusterTranslation& out) {
  out.dynamic = std::move(found.dynamic);
  lb::ByName config;
  if (out.dynamic->by_address) {
    // Among the addresses of a name, as a cluster with that policy does it.
    cluster_v3::Cluster of_one;
    dfp::ClusterConfig typed;
    proto.cluster_type().typed_config().UnpackTo(&typed);
    of_one.set_lb_policy(typed.sub_clusters_config().lb_policy());
    ClusterTranslation one;
    const FieldReport here = at.below("cluster_type").below("typed_config").below("sub_clusters_config");
    read_balancing(of_one, here.path, registry, env, static_cast<Report&>(at.report), one);
    config = {one.policy, std::move(one.policy_config)};
  }
  out.policy = &lb::by_name();
  out.policy_config = std::make_shared<const lb::ByName>(std::move(config));
  if (!out.dynamic->cache.max_pending) out.dynamic->cache.max_pending = out.spec.breakers.max_pending_requests;
  out.spec.dns_cache = out.dynamic->cache.name;
  out.names_clusters = true;  // filters name its cache
  if (!out.spec.transports.encrypts) return;
  // As published: whom TLS connects to is what the request asked for, unless somebody takes that on himself.
  if (!out.says_auto_names) {
    out.spec.auto_names.server_name = out.spec.auto_names.validation = true;
  } else if (!found.allow_insecure && (!out.spec.auto_names.server_name || !out.spec.auto_names.validation)) {
    at.error(
        "connects by TLS to whatever requests ask for: upstream_http_protocol_options needs auto_sni: true and "
        "auto_san_validation: true, or the cluster_type allow_insecure_cluster_options: true");
  }
}

// Hosts are wherever clients want to go.
void read_original(const cluster_v3::Cluster& proto, filter::FactoryScope& scope, ClusterTranslation& out) {
  auto original = upstream::make_original_destination(scope.store(), out.spec.stat_name);
  const cluster_v3::Cluster::OriginalDstLbConfig& config = proto.original_dst_lb_config();
  if (config.use_http_header()) {
    original->header =
        http::HeaderName(config.http_header_name().empty() ? "x-envoy-original-dst-host" : config.http_header_name());
  } else if (!config.http_header_name().empty()) {
    scope.warning("original_dst_lb_config.http_header_name", "has no effect without use_http_header: true");
  }
  if (config.has_metadata_key()) {
    original->metadata.push_back(config.metadata_key().key());
    for (const auto& segment : config.metadata_key().path()) original->metadata.push_back(segment.key());
  }
  original->port = static_cast<uint16_t>(config.upstream_port_override().value());
  out.spec.original = std::move(original);
  out.policy = &lb::destination_policy();
  if (proto.has_cleanup_interval()) out.cleanup_interval = to_duration(proto.cleanup_interval());
}

void refuse_original(const cluster_v3::Cluster& proto, const FieldReport& at) {
  if (proto.has_original_dst_lb_config()) at.error_at("original_dst_lb_config", "is for clusters of type ORIGINAL_DST");
  if (proto.has_cleanup_interval())
    at.below("cleanup_interval").warning("has no effect: it is about clusters of type ORIGINAL_DST");
}

}  // namespace

bool finds_hosts(const cluster_v3::Cluster& proto) {
  return !proto.has_cluster_type() && proto.type() == cluster_v3::Cluster::ORIGINAL_DST;
}

bool has_http_filters(const cluster_v3::Cluster& proto) {
  envoy::extensions::upstreams::http::v3::HttpProtocolOptions options;
  return std::any_of(proto.typed_extension_protocol_options().begin(), proto.typed_extension_protocol_options().end(),
                     [&](const auto& one) { return one.second.UnpackTo(&options) && !options.http_filters().empty(); });
}

ClusterTranslation translate_cluster(const cluster_v3::Cluster& proto, filter::FactoryScope& scope, RouteConfigEnv& env,
                                     Report& report) {
  const std::string& path = scope.path();
  const filter::Registry& registry = scope.registry();
  ClusterTranslation out;
  out.spec.name = proto.name();
  if (proto.has_metadata()) out.spec.metadata = translate(proto.metadata());
  out.spec.stat_name = proto.alt_stat_name().empty() ? proto.name() : proto.alt_stat_name();
  if (proto.name().empty()) report.error(path + ".name", "must not be empty");
  DiscoverySpec found;
  const Discovery discovery = read_discovery(proto, path, report, found);
  out.dns = std::move(found.dns);
  if (discovery == Discovery::kOther) {
    // Reported already. All the rest that is not supported belongs in the same report; but its endpoints may be names.
    read_protocol_options(proto, path, env, report, out);
    read_transports(proto, scope, out.spec);
    read_breakers(proto.circuit_breakers(), out.spec);
    read_balancing(proto, path, registry, env, report, out);
    return out;
  }
  if (proto.has_connect_timeout()) {
    out.spec.connect_timeout = to_duration(proto.connect_timeout());
    if (out.spec.connect_timeout <= Duration::zero()) report.error(path + ".connect_timeout", "must be greater than 0");
  }
  if (proto.has_per_connection_buffer_limit_bytes())
    out.spec.buffer_limit = proto.per_connection_buffer_limit_bytes().value();
  if (proto.has_max_requests_per_connection())
    out.spec.max_requests_per_connection = proto.max_requests_per_connection().value();
  if (proto.has_upstream_bind_config())
    out.spec.bind = translate_bind_config(proto.upstream_bind_config(), {report, path + ".upstream_bind_config"});
  if (proto.upstream_connection_options().has_tcp_keepalive())
    out.spec.keepalive = to_keepalive(proto.upstream_connection_options().tcp_keepalive());
  if (proto.upstream_connection_options().has_happy_eyeballs_config())
    read_order(proto.upstream_connection_options().happy_eyeballs_config(),
               {report, path + ".upstream_connection_options.happy_eyeballs_config"}, out.order);
  if (proto.common_lb_config().has_healthy_panic_threshold()) {
    out.host_options.panic_threshold_percent =
        static_cast<uint32_t>(proto.common_lb_config().healthy_panic_threshold().value());
  }
  read_protocol_options(proto, path, env, report, out);
  read_transports(proto, scope, out.spec);
  out.spec.h2.high_watermark = out.spec.buffer_limit;
  if (out.spec.protocol == upstream::HttpProtocol::kAuto && !out.spec.transports.encrypts) {
    report.error(path + ".typed_extension_protocol_options",
                 "auto_config lets the server choose in the TLS handshake (ALPN), and the cluster has no TLS; add a "
                 "transport_socket with UpstreamTlsContext, or write explicit_http_config");
  }
  read_breakers(proto.circuit_breakers(), out.spec);
  if (discovery == Discovery::kAggregate) {
    read_aggregate(*found.aggregate, {report, path}, env, out);
  } else if (discovery == Discovery::kDynamic) {
    read_dynamic(proto, found, {report, path}, registry, env, out);
  } else if (discovery == Discovery::kOriginal) {
    read_original(proto, scope, out);
  } else {
    read_balancing(proto, path, registry, env, report, out);
  }
  if (discovery == Discovery::kAggregate || discovery == Discovery::kDynamic || discovery == Discovery::kOriginal)
    expect_own_balancing(proto, {report, path});
  if (discovery != Discovery::kOriginal) refuse_original(proto, {report, path});
  read_endpoints(proto, path, report, out);
  if (out.dns.has_value() && out.dns->logical && out.endpoints.size() != 1) {
    report.error(path + ".load_assignment",
                 "has " + std::to_string(out.endpoints.size()) +
                     " endpoints; a cluster that is one logical host has one, with the name of "
                     "all its addresses (STRICT_DNS takes several)");
  }

  cluster_v3::Cluster rest = proto;
  rest.clear_load_assignment();
  out.spec_fingerprint = fingerprint(rest);
  out.host_fingerprint = fingerprint(proto);
  return out;
}

}  // namespace weir::config
