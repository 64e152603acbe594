#include "core/config/rate_limit_config.h"

#include <algorithm>
#include <memory>
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

// Nothing: the format has a fault.
std::unique_ptr<const stream::Format> format(const std::string& text, const FieldReport& at) {
  auto format = stream::Format::compile(text, {.omit_empty = true, .verbatim = true});
  if (format.ok()) return std::make_unique<const stream::Format>(std::move(*format));
  at.error(message_of(format.status()));
  return nullptr;
}

// descriptor_value and what stands for it.
template <class Message>
DescriptorAction::Text text(const Message& message, const FieldReport& at) {
  DescriptorAction::Text value{.text = {}, .format = nullptr, .otherwise = message.default_value()};
  auto compiled = format(message.descriptor_value(), at.below("descriptor_value"));
  if (compiled == nullptr) return value;
  if (!compiled->constant()) {
    value.format = std::move(compiled);
    return value;
  }
  compiled->append({.info = stream::StreamInfo{}}, value.text);  // "%%" is "%"
  if (!message.default_value().empty()) {
    at.below("default_value").warning("is never used: descriptor_value has no %OPERATORS%, and is never empty");
  }
  return value;
}

// Of the messages that name a value of the metadata. A request without it has no descriptor, or that of `otherwise`.
template <class Message>
DescriptorAction::MetadataValue metadata_value(const Message& message) {
  DescriptorAction::MetadataValue value{.path = {message.metadata_key().key()}, .otherwise = message.default_value()};
  for (const auto& segment : message.metadata_key().path()) value.path.push_back(segment.key());
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
    case Action::kSourceCluster:
      return DescriptorAction{"source_cluster", DescriptorAction::SourceCluster{}};
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
      return DescriptorAction{or_default(message.generic_key().descriptor_key(), "generic_key"),
                              DescriptorAction::GenericKey{text(message.generic_key(), at.below("generic_key"))}};
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
    case Action::kDynamicMetadata:
      return DescriptorAction{message.dynamic_metadata().descriptor_key(), metadata_value(message.dynamic_metadata())};
    case Action::kMetadata: {
      DescriptorAction::MetadataValue value = metadata_value(message.metadata());
      value.of_route = message.metadata().source() == Action::MetaData::ROUTE_ENTRY;
      value.skip_if_absent = message.metadata().skip_if_absent();
      return DescriptorAction{message.metadata().descriptor_key(), std::move(value)};
    }
    case Action::kHeaderValueMatch: {
      const auto& match = message.header_value_match();
      const FieldReport below = at.below("header_value_match");
      return DescriptorAction{or_default(match.descriptor_key(), "header_match"),
                              DescriptorAction::HeadersMatch{
                                  text(match, below), matchers<match::HeaderMatcher>(match.headers(), "headers", below),
                                  or_true(match.has_expect_match(), match.expect_match())}};
    }
    case Action::kQueryParameterValueMatch: {
      const auto& match = message.query_parameter_value_match();
      const FieldReport below = at.below("query_parameter_value_match");
      return DescriptorAction{or_default(match.descriptor_key(), "query_match"),
                              DescriptorAction::QueryMatches{text(match, below),
                                                             matchers<match::QueryParameterMatcher>(
                                                                 match.query_parameters(), "query_parameters", below),
                                                             or_true(match.has_expect_match(), match.expect_match())}};
    }
    default:  // the rules or the table of fields have said so, if they were asked
      if (at.report.errors() == 0) at.error("must hold an action that weir knows");
      return std::nullopt;
  }
}

void read_hits(const route_v3::RateLimit::HitsAddend& message, match::RateLimit& limit, const FieldReport& at) {
  if (message.has_number() != message.format().empty()) {
    at.error("needs either number or format");
  } else if (message.has_number()) {
    limit.hits = static_cast<uint32_t>(std::min<uint64_t>(message.number().value(), match::RateLimit::kMaxHits));
  } else if (auto compiled = format(message.format(), at.below("format"))) {
    // Text beside the number of an operator would make another number.
    if (!compiled->lone_operator()) {
      at.error_at("format", "\"" + message.format() + "\" must be one operator, as in %REQ(x-cost)%, and nothing else");
    }
    limit.hits_format = std::move(compiled);
  }
}

match::RateLimit::Headers headers_option(route_v3::RateLimit::XRateLimitOption option) {
  using enum match::RateLimit::Headers;
  if (option == route_v3::RateLimit::DRAFT_VERSION_03) return kDraft03;
  return option == route_v3::RateLimit::OFF ? kOff : kAsTheFilterSays;
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
    if (message.has_hits_addend()) read_hits(message.hits_addend(), limit, at.below("hits_addend"));
    limit.when_done = message.apply_on_stream_done();
    limit.headers = headers_option(message.x_ratelimit_option());
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
