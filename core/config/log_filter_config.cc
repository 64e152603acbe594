#include "core/config/log_filter_config.h"

#include "core/config/route_matchers.h"
#include "core/config/shared_messages.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/type/matcher/v3/metadata.pb.h"
#include "envoy/type/v3/percent.pb.h"

namespace weir::config {
namespace {

namespace log_v3 = envoy::config::accesslog::v3;
using log_v3::AccessLogFilter;
using stream::AccessLogType;

match::Comparison to_comparison(log_v3::ComparisonFilter::Op op) {
  switch (op) {
    case log_v3::ComparisonFilter::GE:
      return match::Comparison::kAtLeast;
    case log_v3::ComparisonFilter::LE:
      return match::Comparison::kAtMost;
    case log_v3::ComparisonFilter::NE:
      return match::Comparison::kNotEqual;
    default:
      return match::Comparison::kEqual;
  }
}

runtime::RuntimeUnsigned to_setting(const envoy::config::core::v3::RuntimeUInt32& message) {
  return {message.default_value(), runtime::Key(message.runtime_key())};
}

// By the published numbers, which are not in the order of anything.
AccessLogType to_type(int number) {
  using enum stream::AccessLogType;
  constexpr AccessLogType kTypes[] = {
      kNotSet,
      kTcpUpstreamConnected,
      kTcpPeriodic,
      kTcpConnectionEnd,
      kDownstreamStart,
      kDownstreamPeriodic,
      kDownstreamEnd,
      kUpstreamPoolReady,
      kUpstreamPeriodic,
      kUpstreamEnd,
      kDownstreamTunnelSuccessfullyEstablished,
      kUdpTunnelUpstreamConnected,
      kUdpPeriodic,
      kUdpSessionEnd,
      kTcpConnectionStart,
  };
  static_assert(std::size(kTypes) == static_cast<size_t>(kCount));
  return number >= 0 && static_cast<size_t>(number) < std::size(kTypes) ? kTypes[number] : kNotSet;
}

// No value: one of them is at fault.
template <class Messages>
std::optional<std::vector<match::LogFilterPtr>> translate_list(const Messages& messages, const FieldReport& at) {
  std::vector<match::LogFilterPtr> filters;
  for (int i = 0; i < messages.size(); ++i) {
    if (auto filter = translate(messages.Get(i), at.item("filters", i))) filters.push_back(std::move(filter));
  }
  if (static_cast<int>(filters.size()) < messages.size()) return std::nullopt;
  return filters;
}

match::LogFilterPtr header_filter(const log_v3::HeaderFilter& message, const FieldReport& at) {
  const FieldReport below = at.below("header");
  if (message.header().has_string_match() && !translate(message.header().string_match(), below.below("string_match")))
    return nullptr;
  auto matcher = match::HeaderMatcher::build(to_spec(message.header()));
  if (matcher.ok()) return match::header_filter(std::move(*matcher));
  below.error(message_of(matcher.status()));
  return nullptr;
}

match::LogFilterPtr response_flag_filter(const log_v3::ResponseFlagFilter& message, const FieldReport& at) {
  stream::ResponseFlags flags;
  bool good = true;
  for (int i = 0; i < message.flags_size(); ++i) {
    const stream::ResponseFlag flag = stream::find_response_flag(message.flags(i));
    if (flag != stream::ResponseFlag::kCount) {
      flags.set(flag);
      continue;
    }
    good = false;
    at.item("flags", i).error("\"" + message.flags(i) + "\" is no response flag; they are the short names, such as UF");
  }
  return good ? match::response_flag_filter(flags) : nullptr;
}

match::LogFilterPtr grpc_status_filter(const log_v3::GrpcStatusFilter& message) {
  std::bitset<17> statuses;
  for (int status : message.statuses()) {
    if (status >= 0 && static_cast<size_t>(status) < statuses.size()) statuses.set(static_cast<size_t>(status));
  }
  return match::grpc_status_filter(statuses, message.exclude());
}

match::LogFilterPtr metadata_filter(const log_v3::MetadataFilter& message, const FieldReport& at) {
  if (!message.has_matcher()) {
    at.error_at("matcher", "must be set: what to look for in the metadata");
    return nullptr;
  }
  auto matcher = translate(message.matcher(), at.below("matcher"));
  if (!matcher) return nullptr;
  const bool if_missing = !message.has_match_if_key_not_found() || message.match_if_key_not_found().value();
  return match::metadata_filter(std::move(*matcher), if_missing);
}

match::LogFilterPtr log_type_filter(const log_v3::LogTypeFilter& message) {
  std::bitset<static_cast<size_t>(AccessLogType::kCount)> types;
  for (int type : message.types()) types.set(static_cast<size_t>(to_type(type)));
  return match::log_type_filter(types, message.exclude());
}

}  // namespace

match::LogFilterPtr translate(const AccessLogFilter& message, const FieldReport& at) {
  switch (message.filter_specifier_case()) {
    case AccessLogFilter::kStatusCodeFilter: {
      const auto& comparison = message.status_code_filter().comparison();
      return match::status_code_filter(to_comparison(comparison.op()), to_setting(comparison.value()));
    }
    case AccessLogFilter::kDurationFilter: {
      const auto& comparison = message.duration_filter().comparison();
      return match::duration_filter(to_comparison(comparison.op()), to_setting(comparison.value()));
    }
    case AccessLogFilter::kNotHealthCheckFilter:
      return match::not_health_check_filter();
    case AccessLogFilter::kRuntimeFilter: {
      const auto& sample = message.runtime_filter();
      return match::runtime_filter({to_fraction(sample.percent_sampled()), runtime::Key(sample.runtime_key())},
                                   sample.use_independent_randomness());
    }
    case AccessLogFilter::kAndFilter: {
      auto filters = translate_list(message.and_filter().filters(), at.below("and_filter"));
      return filters ? match::all_of_filter(std::move(*filters)) : nullptr;
    }
    case AccessLogFilter::kOrFilter: {
      auto filters = translate_list(message.or_filter().filters(), at.below("or_filter"));
      return filters ? match::any_of_filter(std::move(*filters)) : nullptr;
    }
    case AccessLogFilter::kHeaderFilter:
      return header_filter(message.header_filter(), at.below("header_filter"));
    case AccessLogFilter::kResponseFlagFilter:
      return response_flag_filter(message.response_flag_filter(), at.below("response_flag_filter"));
    case AccessLogFilter::kGrpcStatusFilter:
      return grpc_status_filter(message.grpc_status_filter());
    case AccessLogFilter::kMetadataFilter:
      return metadata_filter(message.metadata_filter(), at.below("metadata_filter"));
    case AccessLogFilter::kLogTypeFilter:
      return log_type_filter(message.log_type_filter());
    default:  // none: the rules say so; the others are reported as not supported
      return nullptr;
  }
}

}  // namespace weir::config
