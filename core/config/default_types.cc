#include "core/config/default_types.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor_database.h>

#include <algorithm>

#include "core/config/suggest.h"

namespace weir::config {
namespace {

struct DefaultType {
  std::string_view holder;
  std::string_view name;
  std::string_view old_name;  // of the v2 API, still found in files; empty: none
  std::string_view type;
};

constexpr std::string_view kHttp = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter";
constexpr std::string_view kNetwork = "envoy.config.listener.v3.Filter";
constexpr std::string_view kListener = "envoy.config.listener.v3.ListenerFilter";
constexpr std::string_view kSocket = "envoy.config.core.v3.TransportSocket";
constexpr std::string_view kLogger = "envoy.config.accesslog.v3.AccessLog";
constexpr std::string_view kChain = "envoy.config.listener.v3.FilterChain";
constexpr std::string_view kTls = "envoy.transport_sockets.tls";
constexpr std::string_view kRetryHost = "envoy.config.route.v3.RetryPolicy.RetryHostPredicate";

// Those whose empty message means something. What needs settings to limit or encrypt is not among them.
constexpr DefaultType kTypes[] = {
    {kHttp, "envoy.filters.http.router", "envoy.router", "envoy.extensions.filters.http.router.v3.Router"},
    {kHttp, "envoy.filters.http.cors", "envoy.cors", "envoy.extensions.filters.http.cors.v3.Cors"},
    {kHttp, "envoy.filters.http.grpc_web", "envoy.grpc_web", "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb"},
    {kHttp, "envoy.filters.http.grpc_http1_bridge", "envoy.grpc_http1_bridge",
     "envoy.extensions.filters.http.grpc_http1_bridge.v3.Config"},
    {kHttp, "envoy.filters.http.grpc_stats", "", "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig"},
    {kHttp, "envoy.filters.http.fault", "envoy.fault", "envoy.extensions.filters.http.fault.v3.HTTPFault"},
    {kHttp, "envoy.filters.http.header_mutation", "",
     "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"},
    {kHttp, "envoy.filters.http.header_to_metadata", "", "envoy.extensions.filters.http.header_to_metadata.v3.Config"},
    {kHttp, "envoy.filters.http.rbac", "", "envoy.extensions.filters.http.rbac.v3.RBAC"},
    {kHttp, "envoy.filters.http.set_filter_state", "", "envoy.extensions.filters.http.set_filter_state.v3.Config"},
    {kHttp, "envoy.filters.http.set_metadata", "", "envoy.extensions.filters.http.set_metadata.v3.Config"},
    {kHttp, "envoy.filters.http.stateful_session", "",
     "envoy.extensions.filters.http.stateful_session.v3.StatefulSession"},
    {kHttp, "envoy.filters.http.on_demand", "", "envoy.extensions.filters.http.on_demand.v3.OnDemand"},
    {kHttp, "envoy.filters.http.upstream_codec", "", "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"},
    {kNetwork, "envoy.filters.network.echo", "envoy.echo", "envoy.extensions.filters.network.echo.v3.Echo"},
    {kNetwork, "envoy.filters.network.sni_cluster", "", "envoy.extensions.filters.network.sni_cluster.v3.SniCluster"},
    {kListener, "envoy.filters.listener.tls_inspector", "envoy.listener.tls_inspector",
     "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"},
    {kListener, "envoy.filters.listener.http_inspector", "envoy.listener.http_inspector",
     "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"},
    {kListener, "envoy.filters.listener.original_dst", "envoy.listener.original_dst",
     "envoy.extensions.filters.listener.original_dst.v3.OriginalDst"},
    {kListener, "envoy.filters.listener.original_src", "envoy.listener.original_src",
     "envoy.extensions.filters.listener.original_src.v3.OriginalSrc"},
    {kListener, "envoy.filters.listener.proxy_protocol", "envoy.listener.proxy_protocol",
     "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"},
    {kSocket, "envoy.transport_sockets.raw_buffer", "raw_buffer",
     "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"},
    {kSocket, kTls, "", "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"},
    {kLogger, "envoy.access_loggers.stdout", "", "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"},
    {kLogger, "envoy.access_loggers.stderr", "", "envoy.extensions.access_loggers.stream.v3.StderrAccessLog"},
    {kRetryHost, "envoy.retry_host_predicates.previous_hosts", "",
     "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
    {kRetryHost, "envoy.retry_host_predicates.omit_canary_hosts", "",
     "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate"},
};

}  // namespace

const std::vector<std::string>& all_message_types() {
  static const std::vector<std::string> kTypes = [] {
    std::vector<std::string> names;
    google::protobuf::DescriptorPool::internal_generated_database()->FindAllMessageNames(&names);
    return names;
  }();
  return kTypes;
}

bool holds_extension(std::string_view message_type) {
  return std::any_of(std::begin(kTypes), std::end(kTypes),
                     [&](const DefaultType& one) { return one.holder == message_type; });
}

std::string_view default_type(std::string_view message_type, std::string_view name, std::string_view parent_type) {
  // TLS to clients needs a certificate.
  if (name.empty() || (message_type == kSocket && name == kTls && parent_type == kChain)) {
    return {};
  }
  for (const DefaultType& one : kTypes) {
    if (one.holder == message_type && (one.name == name || one.old_name == name)) {
      return one.type;
    }
  }
  return {};
}

std::string_view nearest_default_name(std::string_view message_type, std::string_view name) {
  constexpr size_t kTypingErrors = 3;  // the names have so much in common that more would find any of them
  std::string_view best;
  size_t best_distance = kTypingErrors + 1;
  for (const DefaultType& one : kTypes) {
    const size_t distance = one.holder == message_type ? edit_distance(one.name, name, kTypingErrors) : best_distance;
    if (distance < best_distance) {
      best = one.name;
      best_distance = distance;
    }
  }
  return best;
}

// By the way they are named: envoy.filters.network.tcp_proxy is, in the version v3 of a package that is
// called so, TcpProxy.
std::string type_of_extension(std::string_view name) {
  if (!name.starts_with("envoy.") || name.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") != std::string_view::npos) {
    return "";
  }
  const std::string package = "envoy.extensions." + std::string(name.substr(6)) + ".v3.";
  const auto simple_name = [](std::string_view text) { return text.substr(text.rfind('.') + 1); };
  std::string wanted(simple_name(name));
  std::erase(wanted, '_');
  std::string longer;  // FileAccessLog for file
  for (const std::string& type : all_message_types()) {
    if (!type.starts_with(package)) continue;
    const std::string_view name_of_type = simple_name(type);
    if (edit_distance(name_of_type, wanted, 0) == 0) return type;
    if (edit_distance(name_of_type.substr(0, wanted.size()), wanted, 0) == 0) longer = longer.empty() ? type : "-";
  }
  return longer == "-" ? "" : longer;
}

}  // namespace weir::config
