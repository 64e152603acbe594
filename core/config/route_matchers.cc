#include "core/config/route_matchers.h"

#include <google/protobuf/duration.pb.h>

#include <algorithm>
#include <limits>

#include "core/config/path_report.h"
#include "core/config/shared_messages.h"
#include "core/config/suggest.h"
#include "core/route/retry_policy.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/retry/host/omit_canary_hosts/v3/omit_canary_hosts.pb.h"
#include "envoy/extensions/retry/host/omit_host_metadata/v3/omit_host_metadata_config.pb.h"
#include "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.pb.h"
#include "envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config.pb.h"
#include "envoy/type/matcher/v3/regex.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"

// Deprecated fields are read on purpose: existing files have them.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace weir::config {

namespace core_v3 = envoy::config::core::v3;
namespace route_v3 = envoy::config::route::v3;
namespace matcher_v3 = envoy::type::matcher::v3;
using StringKind = match::StringMatcherSpec::Kind;

match::StringMatcherSpec to_spec(const matcher_v3::StringMatcher& message) {
  match::StringMatcherSpec spec;
  spec.ignore_case = message.ignore_case();
  switch (message.match_pattern_case()) {
    case matcher_v3::StringMatcher::kExact:
      spec.text = message.exact();
      break;
    case matcher_v3::StringMatcher::kPrefix:
      spec.kind = StringKind::kPrefix;
      spec.text = message.prefix();
      break;
    case matcher_v3::StringMatcher::kSuffix:
      spec.kind = StringKind::kSuffix;
      spec.text = message.suffix();
      break;
    case matcher_v3::StringMatcher::kContains:
      spec.kind = StringKind::kContains;
      spec.text = message.contains();
      break;
    case matcher_v3::StringMatcher::kSafeRegex:
      spec.kind = StringKind::kRegex;
      spec.text = message.safe_regex().regex();
      break;
    default:  // custom is reported as not supported, none at all by the rules
      break;
  }
  return spec;
}

match::HeaderMatcherSpec to_spec(const route_v3::HeaderMatcher& message) {
  using Kind = match::HeaderMatcherSpec::Kind;
  match::HeaderMatcherSpec spec;
  spec.name = message.name();
  spec.invert_match = message.invert_match();
  spec.treat_missing_header_as_empty = message.treat_missing_header_as_empty();
  auto text = [&](StringKind kind, const std::string& value) {
    spec.kind = Kind::kString;
    spec.string = {kind, value, false};
  };
  switch (message.header_match_specifier_case()) {
    case route_v3::HeaderMatcher::kExactMatch:
      text(StringKind::kExact, message.exact_match());
      break;
    case route_v3::HeaderMatcher::kSafeRegexMatch:
      text(StringKind::kRegex, message.safe_regex_match().regex());
      break;
    case route_v3::HeaderMatcher::kPrefixMatch:
      text(StringKind::kPrefix, message.prefix_match());
      break;
    case route_v3::HeaderMatcher::kSuffixMatch:
      text(StringKind::kSuffix, message.suffix_match());
      break;
    case route_v3::HeaderMatcher::kContainsMatch:
      text(StringKind::kContains, message.contains_match());
      break;
    case route_v3::HeaderMatcher::kStringMatch:
      spec.kind = Kind::kString;
      spec.string = to_spec(message.string_match());
      break;
    case route_v3::HeaderMatcher::kRangeMatch:
      spec.kind = Kind::kRange;
      spec.range_start = message.range_match().start();
      spec.range_end = message.range_match().end();
      break;
    case route_v3::HeaderMatcher::kPresentMatch:
      spec.kind = message.present_match() ? Kind::kPresent : Kind::kAbsent;
      break;
    default:  // no condition on the value: the header must be there
      break;
  }
  return spec;
}

match::QueryParameterMatcherSpec to_spec(const route_v3::QueryParameterMatcher& message) {
  using Kind = match::QueryParameterMatcherSpec::Kind;
  match::QueryParameterMatcherSpec spec;
  spec.name = message.name();
  if (message.has_string_match()) {
    spec.kind = Kind::kString;
    spec.string = to_spec(message.string_match());
  } else if (message.query_parameter_match_specifier_case() == route_v3::QueryParameterMatcher::kPresentMatch &&
             !message.present_match()) {
    spec.kind = Kind::kAbsent;
  }
  return spec;
}

match::RegexRewriteSpec to_spec(const matcher_v3::RegexMatchAndSubstitute& message) {
  return {message.pattern().regex(), message.substitution()};
}

stream::HeaderValueSpec to_spec(const core_v3::HeaderValueOption& message, const FieldError& error) {
  using enum stream::AppendAction;
  stream::HeaderValueSpec spec;
  spec.name = message.header().key();
  spec.value = message.header().value();
  if (!message.header().raw_value().empty()) {
    if (!spec.value.empty()) error("header.raw_value", "value and raw_value exclude each other");
    spec.value = message.header().raw_value();
  }
  spec.keep_empty_value = message.keep_empty_value();
  switch (message.append_action()) {
    case core_v3::HeaderValueOption::ADD_IF_ABSENT:
      spec.action = kAddIfAbsent;
      break;
    case core_v3::HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD:
      spec.action = kOverwriteIfExistsOrAdd;
      break;
    case core_v3::HeaderValueOption::OVERWRITE_IF_EXISTS:
      spec.action = kOverwriteIfExists;
      break;
    default:
      break;
  }
  if (message.has_append()) {
    if (message.append_action() != core_v3::HeaderValueOption::APPEND_IF_EXISTS_OR_ADD) {
      error("append", "append and append_action exclude each other; append_action is the newer one");
    } else if (!message.append().value()) {
      spec.action = kOverwriteIfExistsOrAdd;
    }
  }
  return spec;
}

namespace {

// The host predicates that are built in. Known by the type of their configuration, or by name if they have none.
namespace retry_hosts = envoy::extensions::retry::host;
const std::string kLabelsKey(route::kHostLabels);  // keys of maps are strings
constexpr const char* kNoPredicate =
    "is no predicate of hosts that weir knows; envoy.retry_host_predicates.previous_hosts, omit_canary_hosts and "
    "omit_host_metadata are";

// Of which hosts a retry should keep clear.
void host_predicate(const route_v3::RetryPolicy::RetryHostPredicate& predicate, FieldPath& path,
                    route::RetryPolicySpec& spec) {
  const auto omit_canaries = [&spec] {
    envoy::config::core::v3::Metadata canary;
    (*(*canary.mutable_filter_metadata())[kLabelsKey].mutable_fields())["canary"].set_bool_value(true);
    spec.omitted_hosts.push_back(translate(canary));
  };
  if (!predicate.has_typed_config()) {
    if (predicate.name() == "envoy.retry_host_predicates.previous_hosts") {
      spec.avoid_previous_hosts = true;
    } else if (predicate.name() == "envoy.retry_host_predicates.omit_canary_hosts") {
      omit_canaries();
    } else {
      path.error(kNoPredicate);
    }
    return;
  }
  FieldPath::Step step(path, "typed_config");
  const auto message = PathReport(path).unpack(predicate.typed_config());
  if (message == nullptr) return;
  if (message->GetDescriptor() == retry_hosts::previous_hosts::v3::PreviousHostsPredicate::descriptor()) {
    spec.avoid_previous_hosts = true;
  } else if (message->GetDescriptor() == retry_hosts::omit_canary_hosts::v3::OmitCanaryHostsPredicate::descriptor()) {
    omit_canaries();
  } else if (const auto* omit =
                 dynamic_cast<const retry_hosts::omit_host_metadata::v3::OmitHostMetadataConfig*>(message.get())) {
    const auto& labels = omit->metadata_match().filter_metadata();
    if (auto at = labels.find(kLabelsKey); at != labels.end() && !at->second.fields().empty()) {
      spec.omitted_hosts.push_back(translate(omit->metadata_match()));
    } else {
      path.error_at("metadata_match", "must have fields in filter_metadata: envoy.lb, which hosts are told apart by");
    }
  } else {
    path.error(message->GetTypeName() + " " + kNoPredicate);
  }
}

// Existing files have words that are none; the published loader says nothing about them.
void doubt_retry_on(std::string_view list, FieldPath& path) {
  const uint32_t conditions = route::parse_retry_on(list);
  for (std::string_view word : route::unknown_retry_conditions(list)) {
    NearestName nearest(word);
    std::string names;
    for (std::string_view name : route::retry_on_names()) {
      nearest.offer(name);
      names.append(names.empty() ? "" : ", ").append(name);
    }
    std::string text = in_quotes(word) + " is none of " + names;
    text += conditions != 0 ? "; it is left out, the others count" : "; it is left out, and nothing is retried";
    if (!nearest.best().empty()) text.append("; did you mean ").append(nearest.best()).append("?");
    path.warning_at("retry_on", text);
  }
}

// The one way to choose priorities for retries that is built in.
void retry_priority(const route_v3::RetryPolicy::RetryPriority& message, FieldPath& path,
                    route::RetryPolicySpec& spec) {
  using envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig;
  const std::string& known = PreviousPrioritiesConfig::descriptor()->full_name();
  if (!message.has_typed_config()) {
    path.error_at("typed_config",
                  "is required: an " + known +
                      " whose update_frequency says after how many attempts others are chosen; 1: " + "after each");
    return;
  }
  FieldPath::Step step(path, "typed_config");
  const auto config = PathReport(path).unpack(message.typed_config());
  if (config == nullptr) return;
  if (const auto* previous = dynamic_cast<const PreviousPrioritiesConfig*>(config.get())) {
    spec.priority_update_frequency = static_cast<uint32_t>(std::max(0, previous->update_frequency()));
  } else {
    path.error(config->GetTypeName() + " does not choose priorities for retries; " + known + " does");
  }
}

}  // namespace

route::RetryPolicySpec to_spec(const route_v3::RetryPolicy& message, FieldPath& path) {
  route::RetryPolicySpec spec;
  spec.retry_on = message.retry_on();
  doubt_retry_on(spec.retry_on, path);
  if (message.has_num_retries()) spec.num_retries = message.num_retries().value();
  if (message.has_per_try_timeout()) spec.per_try_timeout = to_duration(message.per_try_timeout());
  if (message.has_per_try_idle_timeout()) spec.per_try_idle_timeout = to_duration(message.per_try_idle_timeout());
  spec.retriable_status_codes.assign(message.retriable_status_codes().begin(), message.retriable_status_codes().end());
  spec.retriable_headers = to_specs(message.retriable_headers());
  spec.retriable_request_headers = to_specs(message.retriable_request_headers());
  for (int i = 0; i < message.retry_host_predicate_size(); ++i) {
    FieldPath::Step step(path, "retry_host_predicate", static_cast<size_t>(i));
    host_predicate(message.retry_host_predicate(i), path, spec);
  }
  if (message.has_retry_priority()) {
    FieldPath::Step step(path, "retry_priority");
    retry_priority(message.retry_priority(), path, spec);
  }
  spec.host_selection_max_attempts = static_cast<uint32_t>(
      std::clamp<int64_t>(message.host_selection_retry_max_attempts(), 1, std::numeric_limits<uint32_t>::max()));
  if (message.has_retry_back_off()) {
    spec.back_off_base = to_duration(message.retry_back_off().base_interval());
    if (message.retry_back_off().has_max_interval()) {
      spec.back_off_max = to_duration(message.retry_back_off().max_interval());
    }
  }
  const auto& limited = message.rate_limited_retry_back_off();
  for (const auto& header : limited.reset_headers())
    spec.reset_headers.push_back({header.name(), header.format() == route_v3::RetryPolicy::UNIX_TIMESTAMP});
  if (limited.has_max_interval()) spec.reset_max = to_duration(limited.max_interval());
  return spec;
}

}  // namespace weir::config
