#include "filters/udp/udp_proxy/config.h"

#include <map>
#include <string>
#include <utility>

#include "core/base/xxhash.h"
#include "core/filter/config_translator.h"
#include "core/filter/duration.h"
#include "core/filter/registry.h"
#include "envoy/extensions/filters/udp/udp_proxy/v3/route.pb.h"
#include "envoy/extensions/filters/udp/udp_proxy/v3/udp_proxy.pb.h"

namespace weir::filters::udp_proxy {

namespace pb = envoy::extensions::filters::udp::udp_proxy::v3;

namespace {

// Clusters get the numbers that the tree's actions are.
class Targets final : public filter::MatcherActions {
 public:
  Targets(filter::FactoryScope& scope, Settings& settings) : scope_(scope), settings_(settings) {}

  uint32_t target(const std::string& cluster) {
    const auto [at, fresh] = numbers_.try_emplace(cluster, static_cast<uint32_t>(settings_.targets.size()));
    if (fresh) {
      filter::RouteProvider& routes = scope_.routes();
      settings_.targets.push_back({routes.cluster(cluster), std::make_shared<const ClusterStats>(
                                                                scope_.store(), routes.cluster_stat_name(cluster))});
    }
    return at->second;
  }

  std::optional<uint32_t> add(const google::protobuf::Any& action, std::string_view, const std::string& path) override {
    auto unpacked = scope_.report().unpack(action, path);
    if (unpacked == nullptr) return std::nullopt;
    const auto* route = dynamic_cast<const pb::Route*>(unpacked.get());
    if (route != nullptr) return target(route->cluster());
    scope_.report().error(path, unpacked->GetTypeName() + " is no action here; allowed is " +
                                    std::string(pb::Route::descriptor()->full_name()) + ", with the name of a cluster");
    return std::nullopt;
  }

 private:
  filter::FactoryScope& scope_;
  Settings& settings_;
  std::map<std::string, uint32_t> numbers_;
};

void read_hash_policy(const pb::UdpProxyConfig& proto, Settings& settings) {
  for (const auto& policy : proto.hash_policies()) {  // at most one
    if (policy.has_source_ip()) settings.hash_by = HashBy::kSourceIp;
    if (policy.has_key()) {
      settings.hash_by = HashBy::kKey;
      settings.hash = xxhash64(policy.key());
    }
  }
}

}  // namespace

std::shared_ptr<Settings> read_settings(const pb::UdpProxyConfig& proto, filter::FactoryScope& scope) {
  auto settings = std::make_shared<Settings>();
  Targets targets(scope, *settings);
  if (proto.has_matcher()) {
    filter::MatcherOptions options;
    options.connection_only = true;
    settings->matcher = scope.translator().matcher_tree(proto.matcher(), targets, options, scope.at("matcher"));
  } else {
    targets.target(proto.cluster());
  }
  if (proto.has_idle_timeout()) settings->idle_timeout = filter::to_duration(proto.idle_timeout());
  read_hash_policy(proto, *settings);
  const envoy::config::core::v3::UdpSocketConfig& socket = proto.upstream_socket_config();
  if (socket.has_max_rx_datagram_size())
    settings->upstream.max_size = static_cast<uint32_t>(socket.max_rx_datagram_size().value());
  if (socket.has_prefer_gro()) settings->upstream.gro = socket.prefer_gro().value();
  settings->per_packet = proto.use_per_packet_load_balancing();
  settings->original_source = proto.use_original_src_ip();
  settings->log_interval = filter::to_duration(proto.access_log_options().access_log_flush_interval());
  filter::FactoryScope inner = scope;
  inner.set_stat_prefix("udp." + proto.stat_prefix() + ".");
  settings->session_logs = scope.translator().access_loggers(proto.access_log(), inner, "access_log");
  settings->proxy_logs = scope.translator().access_loggers(proto.proxy_access_log(), inner, "proxy_access_log");
  settings->stats = std::make_unique<Stats>(scope.store(), proto.stat_prefix());
  return settings;
}

}  // namespace weir::filters::udp_proxy

namespace weir::plugins {

void udp_filter_udp_proxy(filter::RegistryBuilder& registry) {
  using namespace filters::udp_proxy;
  filter::UdpFilterDescriptor descriptor;
  descriptor.name = "envoy.filters.udp_listener.udp_proxy";
  descriptor.type = "envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig";
  descriptor.make = [](const filter::ConfigPtr& config,
                       filter::DatagramHost& host) -> std::unique_ptr<filter::UdpFilter> {
    return std::make_unique<UdpProxy>(std::static_pointer_cast<const Settings>(config), host);
  };
  descriptor.make_config = [](const google::protobuf::Message& message,
                              filter::FactoryScope& scope) -> Result<filter::ConfigPtr> {
    return filter::ConfigPtr(read_settings(static_cast<const pb::UdpProxyConfig&>(message), scope));
  };
  registry.add(std::move(descriptor));
}

}  // namespace weir::plugins
