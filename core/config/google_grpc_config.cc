#include "core/config/google_grpc_config.h"

#include <string_view>
#include <vector>

#include "core/config/diagnostics.h"
#include "core/http/url.h"
#include "core/net/address.h"
#include "envoy/config/core/v3/grpc_service.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace weir::config {
namespace {

namespace grpc_tls = envoy::extensions::transport_sockets::tls::v3;
using GoogleGrpc = envoy::config::core::v3::GrpcService_GoogleGrpc;
using GrpcEndpoints = envoy::config::endpoint::v3::LocalityLbEndpoints;

constexpr std::string_view kTargetShape =
    "write HOST:PORT, dns:HOST:PORT, ipv4:ADDRESS:PORT, ipv6:[ADDRESS]:PORT or unix:PATH";
constexpr uint32_t kUsualPort = 443;  // of gRPC's library

// What the target names, without the scheme and without an empty authority of its URI.
struct TargetName {
  bool is_path = false;
  bool several = false;  // addresses, with commas between them
  std::string_view text;
};

std::optional<TargetName> split_target(std::string_view text) {
  struct Scheme {
    std::string_view begin;
    bool is_path, several;
  };
  constexpr Scheme kSchemes[] = {
      {"dns:", false, false}, {"ipv4:", false, true}, {"ipv6:", false, true}, {"unix:", true, false}};
  for (const Scheme& scheme : kSchemes) {
    if (!text.starts_with(scheme.begin)) continue;
    TargetName target{scheme.is_path, scheme.several, text.substr(scheme.begin.size())};
    if (!target.text.starts_with("//")) return target;
    if (!target.text.starts_with("///")) return std::nullopt;  // a server of names, or no URI
    target.text.remove_prefix(scheme.is_path ? 2 : 3);
    return target;
  }
  return TargetName{.text = text};
}

struct TargetHost {
  std::string host;  // without brackets
  uint32_t port = kUsualPort;
  bool is_address = false;
};

std::optional<TargetHost> read_target_host(std::string_view text) {
  http::HostPort parts;
  if (!http::is_valid_authority(text) || !http::split_host_port(text, parts)) return std::nullopt;
  TargetHost out;
  if (!parts.port.empty()) out.port = http::port_number(parts.port);
  if (out.port == 0) return std::nullopt;
  std::string_view host = parts.host;
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  out.host = host;
  out.is_address = net::Address::from_ip(host, 0).ok();
  return out;
}

void add_target_endpoint(const TargetHost& target, GrpcEndpoints& endpoints) {
  auto& address = *endpoints.add_lb_endpoints()->mutable_endpoint()->mutable_address()->mutable_socket_address();
  address.set_address(target.host);
  address.set_port_value(target.port);
}

// As gRPC's library does it: the certificate is to be that of the host.
void speak_tls(const GoogleGrpc::SslCredentials& proto, const std::vector<TargetHost>& hosts,
               envoy::config::cluster::v3::Cluster& cluster) {
  grpc_tls::UpstreamTlsContext context;
  auto& common = *context.mutable_common_tls_context();
  auto& validation = *common.mutable_validation_context();
  if (proto.has_root_certs()) {
    *validation.mutable_trusted_ca() = proto.root_certs();
  } else {
    validation.mutable_system_root_certs();
  }
  for (const TargetHost& host : hosts) {
    auto& name = *validation.add_match_typed_subject_alt_names();
    name.set_san_type(host.is_address ? grpc_tls::SubjectAltNameMatcher::IP_ADDRESS
                                      : grpc_tls::SubjectAltNameMatcher::DNS);
    name.mutable_matcher()->set_exact(host.host);
    if (!host.is_address) context.set_sni(host.host);
  }
  if (proto.has_cert_chain() || proto.has_private_key()) {
    auto& own = *common.add_tls_certificates();
    if (proto.has_cert_chain()) *own.mutable_certificate_chain() = proto.cert_chain();
    if (proto.has_private_key()) *own.mutable_private_key() = proto.private_key();
  }
  cluster.mutable_transport_socket()->set_name("envoy.transport_sockets.tls");
  cluster.mutable_transport_socket()->mutable_typed_config()->PackFrom(context);
}

}  // namespace

std::optional<GoogleGrpcTarget> read_google_grpc(const GoogleGrpc& proto, filter::FactoryScope& scope) {
  if (proto.target_uri().empty() || proto.stat_prefix().empty()) return std::nullopt;  // reported by the rules
  const auto refuse = [&](std::string_view why) {
    scope.error("target_uri", in_quotes(proto.target_uri()) + std::string(why) + "; " + std::string(kTargetShape));
    return std::nullopt;
  };
  const auto target = split_target(proto.target_uri());
  if (!target) return refuse(" asks a server of its own for the name, which is not supported by weir");
  GoogleGrpcTarget out;
  auto& cluster = out.cluster;
  cluster.set_name("google_grpc." + proto.stat_prefix());
  cluster.set_type(envoy::config::cluster::v3::Cluster::STATIC);
  cluster.mutable_load_assignment()->set_cluster_name(cluster.name());
  auto& endpoints = *cluster.mutable_load_assignment()->add_endpoints();
  std::vector<TargetHost> hosts;
  if (target->is_path) {
    if (target->text.empty()) return refuse(" has no path");
    endpoints.add_lb_endpoints()->mutable_endpoint()->mutable_address()->mutable_pipe()->set_path(
        std::string(target->text));
    out.authority = "localhost";
  } else {
    out.authority = target->text.substr(0, target->text.find(','));
    for (std::string_view rest = target->text; !rest.empty();) {
      const size_t size = target->several ? std::min(rest.find(','), rest.size()) : rest.size();
      auto host = read_target_host(rest.substr(0, size));
      if (!host || (target->several && !host->is_address)) return refuse(" is no name of a server that weir knows");
      if (!host->is_address) {
        cluster.set_type(envoy::config::cluster::v3::Cluster::STRICT_DNS);
        cluster.set_dns_lookup_family(envoy::config::cluster::v3::Cluster::V4_PREFERRED);
      }
      add_target_endpoint(*host, endpoints);
      hosts.push_back(std::move(*host));
      rest.remove_prefix(std::min(size + 1, rest.size()));
    }
    if (hosts.empty()) return refuse(" names no server");
  }
  if (proto.channel_credentials().has_ssl_credentials()) {
    if (hosts.empty()) {
      scope.error("channel_credentials.ssl_credentials", "a Unix socket has no name that its certificate could have");
      return std::nullopt;
    }
    speak_tls(proto.channel_credentials().ssl_credentials(), hosts, cluster);
  }
  envoy::extensions::upstreams::http::v3::HttpProtocolOptions options;
  options.mutable_explicit_http_config()->mutable_http2_protocol_options();
  (*cluster.mutable_typed_extension_protocol_options())["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
      .PackFrom(options);
  return out;
}

}  // namespace weir::config
