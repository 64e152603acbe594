#include "core/config/translator.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/struct.pb.h>

#include "core/config/format_config.h"
#include "core/config/log_filter_config.h"
#include "core/config/matcher_config.h"
#include "core/config/rate_limit_config.h"
#include "core/config/route_matchers.h"
#include "core/config/shared_messages.h"
#include "core/filter/header_value.h"
#include "core/filter/registry.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/type/matcher/v3/path.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"
#include "envoy/type/v3/percent.pb.h"

namespace weir::config {

namespace accesslog_v3 = envoy::config::accesslog::v3;
namespace core_v3 = envoy::config::core::v3;
namespace matcher_v3 = envoy::type::matcher::v3;
namespace route_v3 = envoy::config::route::v3;

std::optional<match::StringMatcher> Translator::string_matcher(const matcher_v3::StringMatcher& message,
                                                               const std::string& path) {
  return translate(message, FieldReport{report_, path});
}

std::optional<match::HeaderMatcher> Translator::header_matcher(const route_v3::HeaderMatcher& message,
                                                               const std::string& path) {
  const FieldReport at{report_, path};
  if (message.has_string_match() && !translate(message.string_match(), at.below("string_match"))) return std::nullopt;
  Result<match::HeaderMatcher> matcher = match::HeaderMatcher::build(to_spec(message));
  if (matcher.ok()) return std::move(*matcher);
  at.error(message_of(matcher.status()));
  return std::nullopt;
}

std::optional<match::MetadataMatcher> Translator::metadata_matcher(const matcher_v3::MetadataMatcher& message,
                                                                   const std::string& path) {
  return translate(message, FieldReport{report_, path});
}

std::optional<match::FilterStateMatcher> Translator::filter_state_matcher(const matcher_v3::FilterStateMatcher& message,
                                                                          const std::string& path) {
  return translate(message, FieldReport{report_, path});
}

std::optional<match::PathMatcher> Translator::path_matcher(const matcher_v3::PathMatcher& message,
                                                           const std::string& path) {
  auto string = translate(message.path(), FieldReport{report_, path}.below("path"));
  return string ? std::optional<match::PathMatcher>(std::move(*string)) : std::nullopt;
}

std::optional<match::AddressRange> Translator::address_range(const core_v3::CidrRange& message,
                                                             const std::string& path) {
  return translate(message, FieldReport{report_, path});
}

std::optional<match::PathTemplate> Translator::path_template(const core_v3::TypedExtensionConfig& message,
                                                             const std::string& path) {
  return translate_path_template(message.typed_config(), FieldReport{report_, path}.below("typed_config"));
}

std::unique_ptr<const match::Tree> Translator::matcher_tree(const google::protobuf::Message& message,
                                                            filter::MatcherActions& actions,
                                                            const filter::MatcherOptions& options,
                                                            const std::string& path) {
  return translate_matcher(message, actions, options, FieldReport{report_, path});
}

std::vector<match::RateLimit> Translator::rate_limits(
    const google::protobuf::RepeatedPtrField<route_v3::RateLimit>& messages, const std::string& path) {
  return translate(messages, FieldReport{report_, path});
}

match::LogFilterPtr Translator::log_filter(const envoy::config::accesslog::v3::AccessLogFilter& message,
                                           const std::string& path) {
  return translate(message, FieldReport{report_, path});
}

std::vector<std::shared_ptr<const stream::AccessLogger>> Translator::access_loggers(
    const google::protobuf::RepeatedPtrField<accesslog_v3::AccessLog>& messages, filter::FactoryScope& scope,
    std::string_view field) {
  std::vector<std::shared_ptr<const stream::AccessLogger>> all;
  for (int i = 0; i < messages.size(); ++i) {
    const auto& one = messages[i];
    auto here = scope.below(field, i);
    if (!one.has_typed_config()) {
      here.error("typed_config", "must be set: the type of this message says which access logger it is");
      continue;
    }
    const filter::AccessLoggerDescriptor* descriptor =
        scope.registry().access_logger(filter::type_of_url(one.typed_config().type_url()));
    if (descriptor == nullptr) {
      report_.skip_unknown({.kind = "access logger", .name = one.name()}, one.typed_config(), here.at("typed_config"));
      continue;
    }
    auto message = report_.unpack(one.typed_config(), here.at("typed_config"));
    if (message == nullptr) continue;
    auto logger = here.below("typed_config").made_by(descriptor->make_logger, *message);
    if (!logger) continue;
    if (one.has_filter()) {
      auto filter = log_filter(one.filter(), here.at("filter"));
      if (filter == nullptr) continue;  // reported
      *logger = match::filtered(std::move(filter), std::move(*logger));
    }
    all.push_back(std::move(*logger));
  }
  return all;
}

std::optional<stream::LineFormat> Translator::line_format(const core_v3::SubstitutionFormatString& message,
                                                          const stream::Format::Options& options,
                                                          const std::string& path) {
  return translate(message, options, FieldReport{report_, path});
}

std::optional<stream::LineFormat> Translator::json_format(const google::protobuf::Struct& message,
                                                          const stream::Format::Options& options,
                                                          const std::string& path) {
  return translate_json_format(message, options, FieldReport{report_, path});
}

std::optional<stream::HeaderValue> Translator::header_value(const core_v3::HeaderValueOption& message,
                                                            const std::string& path) {
  const auto error = [&](std::string_view field, std::string_view text) {
    report_.error(path + "." + std::string(field), std::string(text));
  };
  return filter::make_header_value(to_spec(message, error), [&](std::string_view field, std::string_view text) {
    error("header." + std::string(field), text);
  });
}

std::optional<stream::AddedTlv> Translator::tlv(const core_v3::TlvEntry& message, const std::string& path) {
  return translate(message, FieldReport{report_, path});
}

void Translator::http1_options(const core_v3::Http1ProtocolOptions& message, http::h1::Options& to,
                               const std::string& path) {
  translate(message, to, FieldReport{report_, path});
}

void Translator::http2_options(const core_v3::Http2ProtocolOptions& message, bool stream_errors, http::h2::Options& to,
                               const std::string& path) {
  translate(message, stream_errors, to, FieldReport{report_, path});
}

stream::Value Translator::value(const google::protobuf::Struct& message, Arena& arena) {
  return to_value(message, arena);
}

runtime::Fraction Translator::fraction(const envoy::type::v3::FractionalPercent& message) {
  return to_fraction(message);
}

runtime::RuntimeFraction Translator::runtime_fraction(const core_v3::RuntimeFractionalPercent& message) {
  return to_setting(message);
}

runtime::RuntimeFlag Translator::runtime_flag(const core_v3::RuntimeFeatureFlag& message) {
  return {message.default_value().value(), runtime::Key(message.runtime_key())};
}

}  // namespace weir::config
