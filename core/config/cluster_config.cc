#include "core/config/cluster_config.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <utility>

#include "core/config/address_config.h"
#include "core/config/report.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace weir::config {
namespace {

namespace pb = envoy::config::cluster::v3;
using filter::ConfigReport;
using google::protobuf::internal::WireFormatLite;

constexpr std::string_view kRoundRobin = "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin";
constexpr std::string_view kLeastRequest = "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest";
constexpr std::string_view kHttpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

Duration to_duration(const google::protobuf::Duration& proto) {
  return std::chrono::seconds(proto.seconds()) + Duration(proto.nanos());
}

void read_common_http(const envoy::config::core::v3::HttpProtocolOptions& proto, const std::string& path,
                      ConfigReport& report, upstream::ClusterSpec& spec) {
  report.check_fields(
      proto, path, {"idle_timeout", "max_requests_per_connection", "max_headers_count", "max_response_headers_kb"}, {});
  if (proto.has_idle_timeout()) spec.idle_timeout = to_duration(proto.idle_timeout());
  if (proto.has_max_requests_per_connection())
    spec.max_requests_per_connection = proto.max_requests_per_connection().value();
  if (proto.has_max_headers_count()) spec.h1.limits.max_header_count = proto.max_headers_count().value();
  if (proto.has_max_response_headers_kb())
    spec.h1.limits.max_head_bytes = proto.max_response_headers_kb().value() * 1024;
}

void read_http1(const envoy::config::core::v3::Http1ProtocolOptions& proto, const std::string& path,
                ConfigReport& report, upstream::ClusterSpec& spec) {
  report.check_fields(proto, path, {"header_key_format", "enable_trailers", "allow_absolute_url"},
                      {"use_balsa_parser"});
  if (proto.header_key_format().has_proper_case_words()) spec.h1.options.proper_case = true;
}

void read_protocol_options(const pb::Cluster& proto, const std::string& path, ConfigReport& report,
                           upstream::ClusterSpec& spec) {
  if (proto.has_common_http_protocol_options()) {
    read_common_http(proto.common_http_protocol_options(), path + ".common_http_protocol_options", report, spec);
  }
  if (proto.has_http_protocol_options())
    read_http1(proto.http_protocol_options(), path + ".http_protocol_options", report, spec);
  for (const auto& [name, any] : proto.typed_extension_protocol_options()) {
    std::string at = path + ".typed_extension_protocol_options[\"" + name + "\"]";
    auto message = report.unpack(any, at);
    if (message == nullptr) continue;
    if (message->GetTypeName() != kHttpOptions) {
      report.error(at, message->GetTypeName() + " is not supported by weir yet");
      continue;
    }
    const auto& options = static_cast<const envoy::extensions::upstreams::http::v3::HttpProtocolOptions&>(*message);
    report.check_fields(options, at, {"common_http_protocol_options", "explicit_http_config"}, {});
    if (options.has_common_http_protocol_options()) {
      read_common_http(options.common_http_protocol_options(), at + ".common_http_protocol_options", report, spec);
    }
    report.check_fields(options.explicit_http_config(), at + ".explicit_http_config", {"http_protocol_options"}, {});
    if (options.explicit_http_config().has_http_protocol_options()) {
      read_http1(options.explicit_http_config().http_protocol_options(),
                 at + ".explicit_http_config.http_protocol_options", report, spec);
    }
  }
}

void read_breakers(const pb::Cluster& proto, const std::string& path, ConfigReport& report,
                   upstream::ClusterSpec& spec) {
  report.check_fields(proto.circuit_breakers(), path + ".circuit_breakers", {"thresholds"}, {});
  bool seen = false;
  for (int i = 0; i < proto.circuit_breakers().thresholds_size(); ++i) {
    const auto& one = proto.circuit_breakers().thresholds(i);
    std::string at = path + ".circuit_breakers.thresholds[" + std::to_string(i) + "]";
    report.check_fields(
        one, at, {"priority", "max_connections", "max_pending_requests", "max_requests", "max_retries", "retry_budget"},
        {"track_remaining"});
    if (one.priority() != envoy::config::core::v3::DEFAULT) {
      report.error(at + ".priority", "HIGH is not supported by weir yet");
      continue;
    }
    if (std::exchange(seen, true)) continue;  // as published: the first of a priority counts
    if (one.has_max_connections()) spec.breakers.max_connections = one.max_connections().value();
    if (one.has_max_pending_requests()) spec.breakers.max_pending_requests = one.max_pending_requests().value();
    if (one.has_max_requests()) spec.breakers.max_requests = one.max_requests().value();
    if (one.has_max_retries()) spec.breakers.max_retries = one.max_retries().value();
    if (one.has_retry_budget()) {
      spec.has_retry_budget = true;
      spec.breakers.max_retries = UINT32_MAX;
      if (one.retry_budget().has_budget_percent())
        spec.retry_budget_percent = one.retry_budget().budget_percent().value();
      if (one.retry_budget().has_min_retry_concurrency())
        spec.retry_budget_min = one.retry_budget().min_retry_concurrency().value();
    }
  }
}

void read_endpoints(const pb::Cluster& proto, const std::string& path, ConfigReport& report, ClusterTranslation& out) {
  const auto& assignment = proto.load_assignment();
  std::string at = path + ".load_assignment";
  report.check_fields(assignment, at, {"cluster_name", "endpoints", "policy"}, {});
  if (assignment.has_policy()) {
    report.check_fields(assignment.policy(), at + ".policy", {"overprovisioning_factor"}, {});
    if (assignment.policy().has_overprovisioning_factor()) {
      out.host_options.overprovisioning_percent = assignment.policy().overprovisioning_factor().value();
    }
  }
  for (int i = 0; i < assignment.endpoints_size(); ++i) {
    const auto& locality = assignment.endpoints(i);
    std::string here = at + ".endpoints[" + std::to_string(i) + "]";
    // Without locality-weighted balancing the weight of a locality means nothing, as published.
    report.check_fields(locality, here, {"locality", "lb_endpoints", "priority"},
                        {"load_balancing_weight", "metadata", "proximity"});
    if (locality.priority() > 127) {
      report.error(at + ".endpoints[" + std::to_string(i) + "].priority",
                   std::to_string(locality.priority()) + " is too high; allowed are 0 to 127");
    }
    out.endpoints.reserve(out.endpoints.size() + static_cast<size_t>(locality.lb_endpoints_size()));
    for (int k = 0; k < locality.lb_endpoints_size(); ++k) {
      const auto& one = locality.lb_endpoints(k);
      std::string place = here + ".lb_endpoints[" + std::to_string(k) + "]";
      report.check_fields(one, place, {"endpoint", "health_status", "load_balancing_weight"}, {"metadata"});
      report.check_fields(one.endpoint(), place + ".endpoint", {"address", "hostname"}, {"health_check_config"});
      EndpointSpec endpoint;
      endpoint.address = translate_address(one.endpoint().address(), place + ".endpoint.address", report);
      if (endpoint.address.is_ip() && endpoint.address.port() == 0) {
        report.error(place + ".endpoint.address.socket_address.port_value",
                     "must be 1 to 65535: where the endpoint listens");
      }
      endpoint.hostname = one.endpoint().hostname();
      if (one.has_load_balancing_weight()) endpoint.weight = one.load_balancing_weight().value();
      endpoint.priority = locality.priority();
      endpoint.region = locality.locality().region();
      endpoint.zone = locality.locality().zone();
      endpoint.sub_zone = locality.locality().sub_zone();
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
  }
}

void read_policy(const pb::Cluster& proto, const std::string& path, const filter::Registry& registry,
                 ConfigReport& report, ClusterTranslation& out) {
  if (proto.has_load_balancing_policy()) {
    // The first policy of the list that this build has counts, as published.
    std::string names;
    for (int i = 0; i < proto.load_balancing_policy().policies_size(); ++i) {
      const auto& config = proto.load_balancing_policy().policies(i).typed_extension_config();
      std::string at =
          path + ".load_balancing_policy.policies[" + std::to_string(i) + "].typed_extension_config.typed_config";
      auto message = report.unpack(config.typed_config(), at);
      if (message == nullptr) return;
      const lb::PolicyDescriptor* policy = registry.lb_policy(message->GetTypeName());
      if (policy == nullptr) {
        names += (names.empty() ? "" : ", ") + message->GetTypeName();
        continue;
      }
      auto made = policy->make_config(*message);
      if (!made.ok()) {
        report.error(at, message_of(made.status()));
        return;
      }
      out.policy = policy;
      out.policy_config = std::move(*made);
      return;
    }
    report.error(path + ".load_balancing_policy", names.empty()
                                                      ? "policies must not be empty"
                                                      : "none of these policies is supported by weir yet: " + names);
    return;
  }
  switch (proto.lb_policy()) {
    case pb::Cluster::ROUND_ROBIN:
      out.policy = registry.lb_policy(kRoundRobin);
      if (proto.has_round_robin_lb_config()) {
        report.check_fields(proto.round_robin_lb_config(), path + ".round_robin_lb_config", {}, {});
      }
      break;
    case pb::Cluster::LEAST_REQUEST: {
      out.policy = registry.lb_policy(kLeastRequest);
      envoy::extensions::load_balancing_policies::least_request::v3::LeastRequest config;
      if (proto.has_least_request_lb_config()) {
        report.check_fields(proto.least_request_lb_config(), path + ".least_request_lb_config", {"choice_count"}, {});
        if (proto.least_request_lb_config().has_choice_count()) {
          config.mutable_choice_count()->set_value(proto.least_request_lb_config().choice_count().value());
        }
      }
      if (out.policy == nullptr) break;
      auto made = out.policy->make_config(config);
      if (!made.ok()) {
        report.error(path + ".least_request_lb_config", message_of(made.status()));
        return;
      }
      out.policy_config = std::move(*made);
      break;
    }
    default:
      report.error(path + ".lb_policy", pb::Cluster::LbPolicy_Name(proto.lb_policy()) +
                                            " is not supported by weir yet; ROUND_ROBIN and LEAST_REQUEST are");
      return;
  }
  if (out.policy == nullptr) report.error(path + ".lb_policy", "this build was made without that load balancer");
}

}  // namespace

// Hashes the fields as they are on the wire, which costs no copy of the endpoints.
ClusterTranslation identify_cluster(const pb::Cluster& proto) {
  ClusterTranslation out;
  out.spec.name = proto.name();
  out.spec.stat_name = proto.alt_stat_name().empty() ? proto.name() : proto.alt_stat_name();
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    proto.SerializePartialToCodedStream(&coded);
  }
  out.host_fingerprint = std::hash<std::string_view>{}(bytes);
  std::string rest;
  google::protobuf::io::CodedInputStream fields(reinterpret_cast<const uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  int begin = 0;
  while (const uint32_t tag = fields.ReadTagNoLastTag()) {
    if (!WireFormatLite::SkipField(&fields, tag)) break;
    const int end = fields.CurrentPosition();
    if (WireFormatLite::GetTagFieldNumber(tag) != pb::Cluster::kLoadAssignmentFieldNumber) {
      rest.append(bytes, static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    }
    begin = end;
  }
  out.spec_fingerprint = std::hash<std::string_view>{}(rest);
  return out;
}

ClusterTranslation translate_cluster(const pb::Cluster& proto, const std::string& path,
                                     const filter::Registry& registry, filter::ConfigReport& report) {
  ClusterTranslation out = identify_cluster(proto);
  report.check_fields(
      proto, path,
      {"name", "alt_stat_name", "type", "connect_timeout", "per_connection_buffer_limit_bytes", "lb_policy",
       "load_assignment", "max_requests_per_connection", "circuit_breakers", "common_http_protocol_options",
       "http_protocol_options", "typed_extension_protocol_options", "upstream_bind_config", "least_request_lb_config",
       "round_robin_lb_config", "common_lb_config", "load_balancing_policy"},
      // These mean something only for clusters that resolve names, or for metadata readers.
      {"dns_lookup_family", "dns_refresh_rate", "respect_dns_ttl", "metadata", "cleanup_interval",
       "ignore_health_on_host_removal", "wait_for_warm_on_init"});
  if (proto.name().empty()) report.error(path + ".name", "must not be empty");
  if (proto.type() != pb::Cluster::STATIC || proto.has_cluster_type()) {
    report.error(
        path + (proto.has_cluster_type() ? ".cluster_type" : ".type"),
        (proto.has_cluster_type() ? proto.cluster_type().name() : pb::Cluster::DiscoveryType_Name(proto.type())) +
            " is not supported by weir yet; STATIC is");
    // All the rest that is not supported belongs in the same report; but its endpoints may be names.
    read_protocol_options(proto, path, report, out.spec);
    read_breakers(proto, path, report, out.spec);
    read_policy(proto, path, registry, report, out);
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
  if (proto.has_upstream_bind_config()) {
    std::string at = path + ".upstream_bind_config";
    report.check_fields(proto.upstream_bind_config(), at, {"source_address"}, {});
    envoy::config::core::v3::Address source;
    *source.mutable_socket_address() = proto.upstream_bind_config().source_address();
    if (proto.upstream_bind_config().has_source_address()) out.spec.source = translate_address(source, at, report);
  }
  if (proto.has_common_lb_config()) {
    std::string at = path + ".common_lb_config";
    report.check_fields(proto.common_lb_config(), at, {"healthy_panic_threshold"},
                        {"update_merge_window", "ignore_new_hosts_until_first_hc"});
    if (proto.common_lb_config().has_healthy_panic_threshold()) {
      out.host_options.panic_threshold_percent =
          static_cast<uint32_t>(proto.common_lb_config().healthy_panic_threshold().value());
    }
  }
  read_protocol_options(proto, path, report, out.spec);
  read_breakers(proto, path, report, out.spec);
  read_policy(proto, path, registry, report, out);
  read_endpoints(proto, path, report, out);
  return out;
}

}  // namespace weir::config
