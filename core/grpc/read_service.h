// Makes a Service of an envoy.config.core.v3.GrpcService, for plugins and for core alike. A template, so that who
// includes this needs no generated header but its own. [main]
#pragma once

#include <string>
#include <utility>

#include "core/filter/factory.h"
#include "core/filter/header_value.h"
#include "core/grpc/service.h"
#include "core/http/chars.h"
#include "core/route/retry_policy.h"

namespace weir::grpc {

namespace detail {

template <class ProtoDuration>
Duration read_duration(const ProtoDuration& message) {
  return duration_of(message.seconds(), message.nanos());
}

// What a call says by itself.
inline bool is_reserved(std::string_view name) {
  for (const std::string_view own : {"content-type", "te", "connection", "upgrade"}) {
    if (http::equals_ignoring_case(name, own)) return true;
  }
  constexpr std::string_view kGrpc = "grpc-";
  return http::equals_ignoring_case(name.substr(0, kGrpc.size()), kGrpc);
}

}  // namespace detail

// Of an envoy.config.core.v3.RetryPolicy, also for services that are not asked over gRPC. `usual`: when nothing says on
// what.
template <class RetryPolicy>
proxy::CallRetries read_retries(const RetryPolicy& proto, std::string_view usual, filter::FactoryScope scope) {
  proxy::CallRetries retries;
  const std::string on = proto.retry_on().empty() ? std::string(usual) : proto.retry_on();
  retries.on = route::parse_retry_on(on);
  for (const std::string_view unknown : route::unknown_retry_conditions(on)) {
    scope.warning("retry_on", "\"" + std::string(unknown) + "\" is no condition, and does nothing");
  }
  if (proto.has_num_retries()) retries.most = proto.num_retries().value();
  if (!proto.has_retry_back_off()) return retries;
  const auto& back_off = proto.retry_back_off();
  if (back_off.has_base_interval()) retries.back_off_base = detail::read_duration(back_off.base_interval());
  retries.back_off_max =
      back_off.has_max_interval() ? detail::read_duration(back_off.max_interval()) : retries.back_off_base * 10;
  if (retries.back_off_max < retries.back_off_base)
    scope.error("retry_back_off.max_interval", "is less than base_interval");
  return retries;
}

// Faults are reported in `scope`, which is that of the message. `usual_timeout`: of a message without one; zero: calls
// take as long as they take.
template <class GrpcService>
Service read_service(const GrpcService& proto, filter::FactoryScope scope, Duration usual_timeout) {
  Service service;
  const auto& envoy_grpc = proto.envoy_grpc();
  const std::string& cluster = envoy_grpc.cluster_name();
  if (!cluster.empty()) service.cluster = scope.routes().cluster(cluster);
  service.authority = envoy_grpc.authority().empty() ? cluster : envoy_grpc.authority();
  if (proto.has_google_grpc()) {
    filter::FactoryScope there = scope.below("google_grpc");
    auto target = scope.routes().google_grpc(proto.google_grpc(), there);
    service.cluster = target.cluster;
    service.authority = std::move(target.authority);
  }
  service.timeout = proto.has_timeout() ? detail::read_duration(proto.timeout()) : usual_timeout;
  if (envoy_grpc.has_max_receive_message_length() && envoy_grpc.max_receive_message_length().value() != 0)
    service.max_message = envoy_grpc.max_receive_message_length().value();
  service.tells_internal = !envoy_grpc.skip_envoy_headers();
  for (int i = 0; i < proto.initial_metadata_size(); ++i) {
    const auto& from = proto.initial_metadata(i);
    filter::FactoryScope here = scope.below("initial_metadata", i);
    if (detail::is_reserved(from.key())) {
      here.error("key", "\"" + from.key() + "\" is what the call says by itself");
      continue;
    }
    auto value = filter::read_header_value(from, stream::AppendAction::kAppendIfExistsOrAdd, here);
    if (value) service.metadata.push_back(std::move(*value));
  }
  // What a call may always be made again after: its server has not looked at it, or says so.
  constexpr std::string_view kUsual = "connect-failure,refused-stream,unavailable";
  if (proto.has_retry_policy())
    service.retries = read_retries(proto.retry_policy(), kUsual, scope.below("retry_policy"));
  return service;
}

}  // namespace weir::grpc
