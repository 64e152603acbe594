#include "core/config/rate_limit_config.h"

#include <optional>
#include <string>
#include <utility>

#include "core/config/route_matchers.h"
#include "envoy/config/route/v3/route_components.pb.h"

// Deprecated actions are reported as such by the table of fields.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace weir::config {
namespace {

namespace route_v3 = envoy::config::route::v3;
using match::DescriptorAction;
using Action = route_v3::RateLimit::Action;

std::string or_default(const std::string& key, const char* usual) { return key.empty() ? usual : key; }

// Published proxies of late take a format here.
std::string plain_value(const std::string& value, const FieldReport& at) {
  if (value.find('%') != std::string::npos) {
    at.error_at("descriptor_value", "\"" + value + "\" has a %; formats are not supported by weir yet");
  }
  return value;
}

template <class Matcher, class Messages>
std::vector<Matcher> matchers(const Messages& messages, std::string_view field, const FieldReport& at) {
  std::vector<Matcher> all;
  for (int i = 0; i < messages.size(); ++i) {
    Result<Matcher> matcher = Matcher::build(to_spec(messages.Get(i)));
    if (matcher.ok()) {
      all.push_back(std::move(*matcher));
    } else {
      at.item(field, i).error(message_of(matcher.status()));
    }
  }
  return all;
}

template <class BoolValue>
bool or_true(bool has, const BoolValue& value) {
  return !has || value.value();
}

// No value: there is none that weir knows.
std::optional<DescriptorAction> action(const Action& message, const FieldReport& at) {
  switch (message.action_specifier_case()) {
    case Action::kDestinationCluster:
      return DescriptorAction{"destination_cluster", DescriptorAction::DestinationCluster{}};
    case Action::kRemoteAddress:
      return DescriptorAction{"remote_address", DescriptorAction::RemoteAddress{}};
    case Action::kMaskedRemoteAddress: {
      const auto& mask = message.masked_remote_address();
      DescriptorAction::MaskedRemoteAddress what;
      if (mask.has_v4_prefix_mask_len()) what.v4_bits = static_cast<int>(mask.v4_prefix_mask_len().value());
      if (mask.has_v6_prefix_mask_len()) what.v6_bits = static_cast<int>(mask.v6_prefix_mask_len().value());
      return DescriptorAction{"masked_remote_address", what};
    }
    case Action::kGenericKey:
      return DescriptorAction{
          or_default(message.generic_key().descriptor_key(), "generic_key"),
          DescriptorAction::GenericKey{plain_value(message.generic_key().descriptor_value(), at.below("generic_key"))}};
    case Action::kRequestHeaders: {
      const auto& header = message.request_headers();
      http::HeaderName name(header.header_name());
      if (name.id() == http::HeaderId::kHost) name = http::HeaderName(http::HeaderId::kAuthority);
      return DescriptorAction{header.descriptor_key(),
                              DescriptorAction::RequestHeader{std::move(name), header.skip_if_absent()}};
    }
    case Action::kQueryParameters: {
      const auto& parameter = message.query_parameters();
      if (parameter.query_parameter_name().empty()) {
        at.below("query_parameters").error_at("query_parameter_name", "must not be empty");
      }
      if (parameter.descriptor_key().empty())
        at.below("query_parameters").error_at("descriptor_key", "must not be empty");
      return DescriptorAction{
          parameter.descriptor_key(),
          DescriptorAction::QueryParameter{parameter.query_parameter_name(), parameter.skip_if_absent()}};
    }
    case Action::kHeaderValueMatch: {
      const auto& match = message.header_value_match();
      const FieldReport below = at.below("header_value_match");
      return DescriptorAction{
          or_default(match.descriptor_key(), "header_match"),
          DescriptorAction::HeadersMatch{plain_value(match.descriptor_value(), below),
                                         matchers<match::HeaderMatcher>(match.headers(), "headers", below),
                                         or_true(match.has_expect_match(), match.expect_match())}};
    }
    case Action::kQueryParameterValueMatch: {
      const auto& match = message.query_parameter_value_match();
      const FieldReport below = at.below("query_parameter_value_match");
      return DescriptorAction{or_default(match.descriptor_key(), "query_match"),
                              DescriptorAction::QueryMatches{plain_value(match.descriptor_value(), below),
                                                             matchers<match::QueryParameterMatcher>(
                                                                 match.query_parameters(), "query_parameters", below),
                                                             or_true(match.has_expect_match(), match.expect_match())}};
    }
    default:  // the rules or the table of fields have said so, if they were asked
      if (at.report.errors() == 0) at.error("must hold an action that weir knows");
      return std::nullopt;
  }
}

}  // namespace

std::vector<match::RateLimit> translate(const google::protobuf::RepeatedPtrField<route_v3::RateLimit>& messages,
                                        const FieldReport& list) {
  std::vector<match::RateLimit> limits;
  if (messages.size() > static_cast<int>(match::RateLimit::kMaxPerLevel)) {
    list.error(std::to_string(messages.size()) + " rate limits; at most " +
               std::to_string(match::RateLimit::kMaxPerLevel) + " are supported");
    return limits;
  }
  for (int i = 0; i < messages.size(); ++i) {
    const route_v3::RateLimit& message = messages.Get(i);
    FieldReport at = list;
    append_path_item(at.path, static_cast<size_t>(i));
    match::RateLimit& limit = limits.emplace_back();
    limit.stage = message.stage().value();
    if (!message.disable_key().empty()) {
      limit.enabled.key = runtime::Key("ratelimit." + message.disable_key() + ".http_filter_enabled");
    }
    if (message.actions_size() > static_cast<int>(match::RateLimit::kMaxActions)) {
      at.error_at("actions", std::to_string(message.actions_size()) + " actions; at most " +
                                 std::to_string(match::RateLimit::kMaxActions) + " are supported");
      continue;
    }
    for (int j = 0; j < message.actions_size(); ++j) {
      if (auto one = action(message.actions(j), at.item("actions", j))) limit.actions.push_back(std::move(*one));
    }
  }
  return limits;
}

}  // namespace weir::config
