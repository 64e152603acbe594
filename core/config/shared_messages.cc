#include "core/config/shared_messages.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/struct.pb.h>

#include <utility>

#include "core/config/percent.h"
#include "core/stream/read_value.h"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/core/v3/protocol.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case.pb.h"
#include "envoy/extensions/path/match/uri_template/v3/uri_template_match.pb.h"
#include "envoy/type/matcher/v3/filter_state.pb.h"
#include "envoy/type/matcher/v3/metadata.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"
#include "envoy/type/matcher/v3/value.pb.h"
#include "envoy/type/v3/percent.pb.h"
#include "xds/core/v3/cidr.pb.h"
#include "xds/type/matcher/v3/string.pb.h"

namespace weir::config {
namespace {

namespace matcher_v3 = envoy::type::matcher::v3;
using google::protobuf::Struct;

// The two string matchers have the same fields.
template <class Message>
std::optional<match::StringMatcher> string_matcher(const Message& message, const FieldReport& at) {
  using Kind = match::StringMatcherSpec::Kind;
  match::StringMatcherSpec spec;
  spec.ignore_case = message.ignore_case();
  const char* field = "exact";
  switch (message.match_pattern_case()) {
    case Message::kExact:
      spec.text = message.exact();
      break;
    case Message::kPrefix:
      field = "prefix";
      spec.kind = Kind::kPrefix;
      spec.text = message.prefix();
      break;
    case Message::kSuffix:
      field = "suffix";
      spec.kind = Kind::kSuffix;
      spec.text = message.suffix();
      break;
    case Message::kContains:
      field = "contains";
      spec.kind = Kind::kContains;
      spec.text = message.contains();
      break;
    case Message::kSafeRegex:
      field = "safe_regex";
      spec.kind = Kind::kRegex;
      spec.text = message.safe_regex().regex();
      break;
    case Message::kCustom:  // reported as not supported
      return std::nullopt;
    default:
      at.error("needs one of exact, prefix, suffix, contains and safe_regex");
      return std::nullopt;
  }
  Result<match::StringMatcher> matcher = match::StringMatcher::build(std::move(spec));
  if (matcher.ok()) return std::move(*matcher);
  at.error_at(field, message_of(matcher.status()));
  return std::nullopt;
}

template <class Message>
std::optional<match::AddressRange> address_range(const Message& message, const FieldReport& at) {
  Result<match::AddressRange> range = match::make_range(message.address_prefix(), message.prefix_len().value());
  if (range.ok()) return *range;
  const FieldFault fault = field_fault(range.status());
  at.error_at(fault.field, fault.text);
  return std::nullopt;
}

}  // namespace

std::optional<match::StringMatcher> translate(const matcher_v3::StringMatcher& message, const FieldReport& at) {
  return string_matcher(message, at);
}

std::optional<match::StringMatcher> translate(const xds::type::matcher::v3::StringMatcher& message,
                                              const FieldReport& at) {
  return string_matcher(message, at);
}

std::optional<match::AddressRange> translate(const envoy::config::core::v3::CidrRange& message, const FieldReport& at) {
  return address_range(message, at);
}

std::optional<match::AddressRange> translate(const xds::core::v3::CidrRange& message, const FieldReport& at) {
  return address_range(message, at);
}

std::optional<match::ValueMatcher> translate(const matcher_v3::ValueMatcher& message, const FieldReport& at) {
  using match::ValueMatcher;
  switch (message.match_pattern_case()) {
    case matcher_v3::ValueMatcher::kNullMatch:
      return ValueMatcher::null();
    case matcher_v3::ValueMatcher::kDoubleMatch: {
      const auto& number = message.double_match();
      if (number.match_pattern_case() == matcher_v3::DoubleMatcher::kExact) {
        return ValueMatcher::number_is(number.exact());
      }
      if (number.has_range()) return ValueMatcher::number_in(number.range().start(), number.range().end());
      at.error_at("double_match", "needs either range or exact");
      return std::nullopt;
    }
    case matcher_v3::ValueMatcher::kStringMatch: {
      auto string = translate(message.string_match(), at.below("string_match"));
      return string ? std::optional(ValueMatcher::string(std::move(*string))) : std::nullopt;
    }
    case matcher_v3::ValueMatcher::kBoolMatch:
      return ValueMatcher::boolean(message.bool_match());
    case matcher_v3::ValueMatcher::kPresentMatch:
      return ValueMatcher::present(message.present_match());
    case matcher_v3::ValueMatcher::kListMatch: {
      auto item = translate(message.list_match().one_of(), at.below("list_match").below("one_of"));
      return item ? std::optional(ValueMatcher::list_with(std::move(*item))) : std::nullopt;
    }
    case matcher_v3::ValueMatcher::kOrMatch: {
      const FieldReport below = at.below("or_match");
      std::vector<ValueMatcher> alternatives;
      bool good = true;
      for (int i = 0; i < message.or_match().value_matchers_size(); ++i) {
        auto one = translate(message.or_match().value_matchers(i), below.item("value_matchers", i));
        good &= one.has_value();
        if (one) alternatives.push_back(std::move(*one));
      }
      if (!good) return std::nullopt;
      if (alternatives.size() < 2) {
        below.error_at("value_matchers", "must have two items at least");
        return std::nullopt;
      }
      return ValueMatcher::any_of(std::move(alternatives));
    }
    default:
      at.error(
          "needs one of null_match, double_match, string_match, bool_match, present_match, list_match and or_match");
      return std::nullopt;
  }
}

std::optional<match::MetadataMatcher> translate(const matcher_v3::MetadataMatcher& message, const FieldReport& at) {
  std::vector<std::string> path = {message.filter()};
  bool good = true;
  if (message.filter().empty()) {
    at.error_at("filter", "must not be empty: the namespace of the metadata");
    good = false;
  }
  if (message.path().empty()) {
    at.error_at("path", "must have one item at least: the keys that lead to the value");
    good = false;
  }
  for (int i = 0; i < message.path_size(); ++i) {
    if (message.path(i).key().empty()) {
      at.item("path", i).error_at("key", "must not be empty");
      good = false;
    }
    path.push_back(message.path(i).key());
  }
  auto value = translate(message.value(), at.below("value"));
  if (!good || !value) return std::nullopt;
  return match::MetadataMatcher(std::move(path), std::move(*value), message.invert());
}

std::optional<match::FilterStateMatcher> translate(const matcher_v3::FilterStateMatcher& message,
                                                   const FieldReport& at) {
  if (message.key().empty()) at.error_at("key", "must not be empty: the name of the object");
  switch (message.matcher_case()) {
    case matcher_v3::FilterStateMatcher::kStringMatch: {
      auto string = translate(message.string_match(), at.below("string_match"));
      if (!string || message.key().empty()) return std::nullopt;
      return match::FilterStateMatcher(stream::FilterStateName(message.key()), std::move(*string));
    }
    case matcher_v3::FilterStateMatcher::kAddressMatch: {
      const FieldReport below = at.below("address_match");
      std::vector<match::AddressRange> ranges;
      for (int i = 0; i < message.address_match().ranges_size(); ++i) {
        auto range = translate(message.address_match().ranges(i), below.item("ranges", i));
        if (range) ranges.push_back(*range);
      }
      if (static_cast<int>(ranges.size()) < message.address_match().ranges_size() || message.key().empty()) {
        return std::nullopt;
      }
      return match::FilterStateMatcher(stream::FilterStateName(message.key()), match::AddressRanges(ranges));
    }
    default:
      at.error("needs either string_match or address_match");
      return std::nullopt;
  }
}

std::optional<match::CookieMatcher> translate(const envoy::config::route::v3::CookieMatcher& message,
                                              const FieldReport& at) {
  if (message.name().empty()) at.error_at("name", "must not be empty");
  auto value = translate(message.string_match(), at.below("string_match"));
  if (!value || message.name().empty()) return std::nullopt;
  return match::CookieMatcher(message.name(), std::move(*value), message.invert_match());
}

std::optional<match::PathTemplate> translate_path_template(const google::protobuf::Any& config, const FieldReport& at) {
  using envoy::extensions::path::match::uri_template::v3::UriTemplateMatchConfig;
  auto message = at.report.unpack(config, at.path);
  if (message == nullptr) return std::nullopt;
  if (message->GetTypeName() != UriTemplateMatchConfig::descriptor()->full_name()) {
    at.unsupported(message->GetTypeName() + " is not supported by weir yet; " +
                   UriTemplateMatchConfig::descriptor()->full_name() + " is");
    return std::nullopt;
  }
  Result<match::PathTemplate> made =
      match::PathTemplate::parse(static_cast<const UriTemplateMatchConfig&>(*message).path_template());
  if (made.ok()) return std::move(*made);
  at.error_at("path_template", message_of(made.status()));
  return std::nullopt;
}

void translate(const envoy::config::core::v3::Http1ProtocolOptions& message, http::h1::Options& to,
               const FieldReport& at) {
  using envoy::extensions::http::header_formatters::preserve_case::v3::PreserveCaseFormatterConfig;
  to.allow_chunked_length = message.allow_chunked_length();
  const auto& format = message.header_key_format();
  to.proper_case = format.has_proper_case_words();
  to.preserve_case = to.forward_reason_phrase = to.proper_case_of_added = false;
  if (!format.has_stateful_formatter()) return;
  const FieldReport here = at.below("header_key_format").below("stateful_formatter").below("typed_config");
  auto unpacked = here.report.unpack(format.stateful_formatter().typed_config(), here.path);
  if (unpacked == nullptr) return;
  const auto* config = dynamic_cast<const PreserveCaseFormatterConfig*>(unpacked.get());
  if (config == nullptr) {
    here.error(unpacked->GetTypeName() + " does not say how names of headers are written; " +
               PreserveCaseFormatterConfig::descriptor()->full_name() + " does");
    return;
  }
  to.preserve_case = true;
  to.forward_reason_phrase = config->forward_reason_phrase();
  to.proper_case_of_added = config->formatter_type_on_envoy_headers() == PreserveCaseFormatterConfig::PROPER_CASE;
}

void translate(const envoy::config::core::v3::Http2ProtocolOptions& message, bool stream_errors, http::h2::Options& to,
               const FieldReport& at) {
  if (message.has_hpack_table_size()) to.hpack_table_size = message.hpack_table_size().value();
  if (message.has_max_concurrent_streams()) to.max_concurrent_streams = message.max_concurrent_streams().value();
  if (message.has_initial_stream_window_size()) to.stream_window = message.initial_stream_window_size().value();
  if (message.has_initial_connection_window_size())
    to.connection_window = message.initial_connection_window_size().value();
  to.allow_connect = message.allow_connect();
  if (message.has_max_outbound_frames()) to.max_outbound_frames = message.max_outbound_frames().value();
  if (message.has_max_outbound_control_frames())
    to.max_outbound_control_frames = message.max_outbound_control_frames().value();
  if (message.has_max_consecutive_inbound_frames_with_empty_payload())
    to.max_empty_frames = message.max_consecutive_inbound_frames_with_empty_payload().value();
  if (message.has_max_inbound_priority_frames_per_stream())
    to.max_priority_frames_per_stream = message.max_inbound_priority_frames_per_stream().value();
  if (message.has_max_inbound_window_update_frames_per_data_frame_sent())
    to.max_window_updates_per_data_frame = message.max_inbound_window_update_frames_per_data_frame_sent().value();
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  to.stream_errors = message.has_override_stream_error_on_invalid_http_message()
                         ? message.override_stream_error_on_invalid_http_message().value()
                         : stream_errors || message.stream_error_on_invalid_http_messaging();
#pragma GCC diagnostic pop
  if (!message.has_connection_keepalive()) return;
  const auto& from = message.connection_keepalive();
  const FieldReport here = at.below("connection_keepalive");
  to.keepalive.interval = to_duration(from.interval());
  to.keepalive.timeout = to_duration(from.timeout());
  if (from.has_interval_jitter()) to.keepalive.jitter_percent = static_cast<uint32_t>(from.interval_jitter().value());
  if (to.keepalive.timeout <= Duration::zero())
    here.error_at("timeout", "is required: how long to wait for the answer to a PING, above 0");
}

stream::Value to_value(const Struct& message, Arena& arena) { return stream::read_struct(message, arena); }

std::shared_ptr<const stream::StaticMetadata> translate(const envoy::config::core::v3::Metadata& message,
                                                        std::shared_ptr<const stream::HostTlvs> tlvs) {
  if (message.filter_metadata().empty() && tlvs == nullptr) return nullptr;
  ArenaPool pool;
  Arena arena(pool);
  std::vector<stream::Field> fields;
  for (const auto& [name, value] : message.filter_metadata()) fields.push_back({name, to_value(value, arena)});
  return std::make_shared<stream::StaticMetadata>(stream::make_struct(std::move(fields), arena), std::move(tlvs));
}

Duration to_duration(const google::protobuf::Duration& message) {
  return duration_of(message.seconds(), message.nanos());
}

runtime::Fraction to_fraction(const envoy::type::v3::FractionalPercent& message) {
  return {message.numerator(), whole_of(message)};
}

runtime::RuntimeFraction to_setting(const envoy::config::core::v3::RuntimeFractionalPercent& message) {
  return {to_fraction(message.default_value()), runtime::Key(message.runtime_key())};
}

}  // namespace weir::config
