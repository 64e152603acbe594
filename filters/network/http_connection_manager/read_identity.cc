#include "core/filter/config_translator.h"
#include "core/proxy/client_detection.h"
#include "core/proxy/proxy_status.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation.pb.h"
#include "envoy/extensions/http/original_ip_detection/custom_header/v3/custom_header.pb.h"
#include "envoy/extensions/http/original_ip_detection/xff/v3/xff.pb.h"
#include "filters/network/http_connection_manager/read_parts.h"

namespace weir::filters::http_connection_manager {
namespace {

using filter::FactoryScope;
using proxy::ClientDetection;
using proxy::ConnectionManagerConfig;
using EarlyMutation = envoy::extensions::http::early_header_mutation::header_mutation::v3::HeaderMutation;
using CustomHeader = envoy::extensions::http::original_ip_detection::custom_header::v3::CustomHeaderConfig;
using ForwardedFor = envoy::extensions::http::original_ip_detection::xff::v3::XffConfig;
template <class T>
using Repeated = google::protobuf::RepeatedPtrField<T>;

match::AddressRanges read_ranges(const Repeated<envoy::config::core::v3::CidrRange>& protos, FactoryScope& scope,
                                 const std::string& field) {
  std::vector<match::AddressRange> ranges;
  for (int i = 0; i < protos.size(); ++i) {
    auto range = scope.translator().address_range(protos[i], scope.below(field, i).path());
    if (range) ranges.push_back(*range);
  }
  return match::AddressRanges(ranges);
}

ClientDetection read_detection(const ForwardedFor& proto, FactoryScope& scope) {
  ClientDetection way;
  way.trusted_hops = proto.xff_num_trusted_hops();
  way.append_peer = proto.has_skip_xff_append() && !proto.skip_xff_append().value();
  if (proto.has_xff_trusted_cidrs()) {
    if (proto.xff_num_trusted_hops() != 0)
      scope.error("xff_trusted_cidrs", "xff_num_trusted_hops and xff_trusted_cidrs exclude each other");
    way.kind = ClientDetection::Kind::kForwardedForRanges;
    way.trusted = read_ranges(proto.xff_trusted_cidrs().cidrs(), scope, "xff_trusted_cidrs.cidrs");
  }
  return way;
}

ClientDetection read_detection(const CustomHeader& proto, FactoryScope& scope) {
  ClientDetection way;
  way.kind = ClientDetection::Kind::kHeader;
  if (proto.header_name().empty()) {
    scope.error("header_name", "must not be empty: the header that has the client's address");
  } else {
    way.header = http::HeaderName(proto.header_name());
  }
  way.may_be_internal = proto.allow_extension_to_set_address_as_trusted();
  if (proto.has_reject_with_status()) {
    const int code = proto.reject_with_status().code();
    way.reject_status = static_cast<uint16_t>(code < 400 ? 403 : code);  // as published
  }
  return way;
}

// The message inside one of a list of extensions, and the scope of its fields; null: reported.
std::unique_ptr<google::protobuf::Message> unpack(const envoy::config::core::v3::TypedExtensionConfig& proto,
                                                  FactoryScope& here) {
  return here.report().unpack(proto.typed_config(), here.path());
}

void read_client_detection(const pb::HttpConnectionManager& proto, FactoryScope& scope,
                           ConnectionManagerConfig& config) {
  const auto& ways = proto.original_ip_detection_extensions();
  if (ways.empty()) return;
  if (proto.use_remote_address().value())
    scope.error("original_ip_detection_extensions",
                "and use_remote_address exclude each other: the client is who connects, or who they find");
  if (proto.xff_num_trusted_hops() != 0)
    scope.error("original_ip_detection_extensions",
                "and xff_num_trusted_hops exclude each other; the extension for x-forwarded-for has one of its own");
  for (int i = 0; i < ways.size(); ++i) {
    FactoryScope here = scope.below("original_ip_detection_extensions", i).below("typed_config");
    auto message = unpack(ways[i], here);
    if (message == nullptr) continue;
    if (const auto* forwarded = dynamic_cast<const ForwardedFor*>(message.get())) {
      config.client_detection.push_back(read_detection(*forwarded, here));
    } else if (const auto* header = dynamic_cast<const CustomHeader*>(message.get())) {
      config.client_detection.push_back(read_detection(*header, here));
    } else {
      here.error("", message->GetTypeName() + " finds no client's address; XffConfig and CustomHeaderConfig do");
    }
  }
}

void read_early_mutations(const pb::HttpConnectionManager& proto, FactoryScope& scope,
                          ConnectionManagerConfig& config) {
  const auto& extensions = proto.early_header_mutation_extensions();
  for (int i = 0; i < extensions.size(); ++i) {
    FactoryScope here = scope.below("early_header_mutation_extensions", i).below("typed_config");
    auto message = unpack(extensions[i], here);
    if (message == nullptr) continue;
    const auto* mutations = dynamic_cast<const EarlyMutation*>(message.get());
    if (mutations == nullptr) {
      here.error("", message->GetTypeName() + " changes no headers early; " + EarlyMutation::descriptor()->full_name() +
                         " does");
      continue;
    }
    // One at a time, for they are applied in this order.
    for (int j = 0; j < mutations->mutations_size(); ++j) {
      const auto& one = mutations->mutations(j);
      FactoryScope at = here.below("mutations", j);
      std::vector<stream::HeaderValue> add;
      std::vector<http::HeaderName> remove;
      std::unique_ptr<const match::StringMatcher> remove_matching;
      if (one.has_remove_on_match()) {
        auto matcher = scope.translator().string_matcher(one.remove_on_match().key_matcher(),
                                                         at.at("remove_on_match.key_matcher"));
        if (matcher) remove_matching = std::make_unique<const match::StringMatcher>(std::move(*matcher));
      } else if (one.has_append()) {
        if (auto value = scope.translator().header_value(one.append(), at.at("append")))
          add.push_back(std::move(*value));
      } else if (!one.remove().empty()) {
        const Status name = stream::check_header_name(one.remove());
        if (!name.ok()) at.error("remove", message_of(name));
        remove.emplace_back(one.remove());
      } else {
        at.error("", "one of append, remove, remove_on_match must be set");
      }
      config.early_mutations.push_back(
          {route::HeaderMutations(std::move(add), std::move(remove)), std::move(remove_matching)});
    }
  }
}

std::vector<uint16_t> read_ports(const google::protobuf::RepeatedField<uint32_t>& numbers, FactoryScope& scope,
                                 const std::string& field) {
  std::vector<uint16_t> ports;
  for (int i = 0; i < numbers.size(); ++i) {
    if (numbers[i] == 0 || numbers[i] > 65535)
      scope.below(field, i).error("", std::to_string(numbers[i]) + " is no port; they are 1 to 65535");
    ports.push_back(static_cast<uint16_t>(numbers[i]));
  }
  return ports;
}

void read_proxy_status(const pb::HttpConnectionManager& proto, FactoryScope& scope, ConnectionManagerConfig& config) {
  if (!proto.has_proxy_status_config()) return;
  const auto& from = proto.proxy_status_config();
  auto to = std::make_unique<proxy::ProxyStatusConfig>();
  std::string name = config.server_name;
  if (from.proxy_name_case() == pb::HttpConnectionManager::ProxyStatusConfig::kLiteralProxyName) {
    name = from.literal_proxy_name();
    if (name.empty()) scope.error("proxy_status_config.literal_proxy_name", "must not be empty");
  } else if (from.use_node_id()) {
    name = scope.node().id;
    if (name.empty())
      scope.error("proxy_status_config.use_node_id", "the node has no id; set node.id, or --service-node");
  }
  to->name = proxy::proxy_status_name(name);
  to->details = !from.remove_details();
  to->connection_details = !from.remove_connection_termination_details();
  to->response_flags = !from.remove_response_flags();
  to->recommended_code = from.set_recommended_response_code();
  config.proxy_status = std::move(to);
}

}  // namespace

void read_identity(const pb::HttpConnectionManager& proto, FactoryScope& scope, ConnectionManagerConfig& config) {
  read_client_detection(proto, scope, config);
  read_early_mutations(proto, scope, config);
  if (proto.has_internal_address_config()) {
    const auto& from = proto.internal_address_config();
    auto addresses = std::make_unique<proxy::InternalAddresses>();
    addresses->unix_sockets = from.unix_sockets();
    addresses->ranges = read_ranges(from.cidr_ranges(), scope, "internal_address_config.cidr_ranges");
    config.internal_addresses = std::move(addresses);
  }
  if (proto.has_forward_proto_config()) {
    FactoryScope here = scope.below("forward_proto_config");
    auto ports = std::make_unique<proxy::ForwardProto>();
    ports->https_ports =
        read_ports(proto.forward_proto_config().https_destination_ports(), here, "https_destination_ports");
    ports->http_ports =
        read_ports(proto.forward_proto_config().http_destination_ports(), here, "http_destination_ports");
    config.forward_proto = std::move(ports);
  }
  using Proto = pb::HttpConnectionManager;
  config.forward_client_cert = [&] {
    switch (proto.forward_client_cert_details()) {
      case Proto::FORWARD_ONLY:
        return proxy::ForwardClientCert::kForwardOnly;
      case Proto::APPEND_FORWARD:
        return proxy::ForwardClientCert::kAppendForward;
      case Proto::SANITIZE_SET:
        return proxy::ForwardClientCert::kSanitizeSet;
      case Proto::ALWAYS_FORWARD_ONLY:
        return proxy::ForwardClientCert::kAlwaysForwardOnly;
      default:
        return proxy::ForwardClientCert::kSanitize;
    }
  }();
  const auto& details = proto.set_current_client_cert_details();
  config.client_cert_details = {.certificate = details.cert(),
                                .chain = details.chain(),
                                .subject = details.subject().value(),
                                .uri = details.uri(),
                                .dns = details.dns()};
  config.append_forwarded_port = proto.append_x_forwarded_port();
  config.map_ipv4_peers = proto.represent_ipv4_remote_address_as_ipv4_mapped_ipv6();
  if (proto.add_user_agent().value()) {
    config.user_agent = scope.node().cluster;
    config.service_node = scope.node().id;
    if (config.user_agent.empty())
      scope.warning("add_user_agent",
                    "adds nothing: the node has no cluster to tell of; set node.cluster, or --service-cluster");
  }
  const std::string& scheme = proto.scheme_header_transformation().scheme_to_overwrite();
  if (!scheme.empty()) {
    config.scheme = proxy::SchemeHeader::kOverwrite;
    config.scheme_text = scheme == "https" ? "https" : "http";  // the rules allow nothing else
  } else if (proto.scheme_header_transformation().match_upstream()) {
    config.scheme = proxy::SchemeHeader::kMatchUpstream;
  }
  read_proxy_status(proto, scope, config);
}

}  // namespace weir::filters::http_connection_manager
