// Serves plugins with the translators of this folder. [main]
#pragma once

#include "core/filter/config_translator.h"
#include "core/filter/factory.h"

namespace weir::config {

class Translator final : public filter::ConfigTranslator {
 public:
  // Faults go to the report, which outlives this.
  explicit Translator(filter::ConfigReport& report) : report_(report) {}

  std::optional<match::StringMatcher> string_matcher(const envoy::type::matcher::v3::StringMatcher& message,
                                                     const std::string& path) override;
  std::optional<match::HeaderMatcher> header_matcher(const envoy::config::route::v3::HeaderMatcher& message,
                                                     const std::string& path) override;
  std::optional<match::MetadataMatcher> metadata_matcher(const envoy::type::matcher::v3::MetadataMatcher& message,
                                                         const std::string& path) override;
  std::optional<match::FilterStateMatcher> filter_state_matcher(
      const envoy::type::matcher::v3::FilterStateMatcher& message, const std::string& path) override;
  std::optional<match::PathMatcher> path_matcher(const envoy::type::matcher::v3::PathMatcher& message,
                                                 const std::string& path) override;
  std::optional<match::AddressRange> address_range(const envoy::config::core::v3::CidrRange& message,
                                                   const std::string& path) override;
  std::optional<match::PathTemplate> path_template(const envoy::config::core::v3::TypedExtensionConfig& message,
                                                   const std::string& path) override;
  std::unique_ptr<const match::Tree> matcher_tree(const google::protobuf::Message& message,
                                                  filter::MatcherActions& actions,
                                                  const filter::MatcherOptions& options,
                                                  const std::string& path) override;
  std::vector<match::RateLimit> rate_limits(
      const google::protobuf::RepeatedPtrField<envoy::config::route::v3::RateLimit>& messages,
      const std::string& path) override;
  match::LogFilterPtr log_filter(const envoy::config::accesslog::v3::AccessLogFilter& message,
                                 const std::string& path) override;
  std::vector<std::shared_ptr<const stream::AccessLogger>> access_loggers(
      const google::protobuf::RepeatedPtrField<envoy::config::accesslog::v3::AccessLog>& messages,
      filter::FactoryScope& scope, std::string_view field) override;
  std::shared_ptr<const filter::HttpChainConfig> http_filters(
      const google::protobuf::RepeatedPtrField<
          envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter>& messages,
      filter::ChainSide side, filter::FactoryScope& scope, std::string_view field) override;
  std::optional<stream::LineFormat> line_format(const envoy::config::core::v3::SubstitutionFormatString& message,
                                                const stream::Format::Options& options,
                                                const std::string& path) override;
  std::optional<stream::LineFormat> json_format(const google::protobuf::Struct& message,
                                                const stream::Format::Options& options,
                                                const std::string& path) override;
  std::optional<stream::HeaderValue> header_value(const envoy::config::core::v3::HeaderValueOption& message,
                                                  const std::string& path) override;
  std::optional<stream::AddedTlv> tlv(const envoy::config::core::v3::TlvEntry& message,
                                      const std::string& path) override;
  void http2_options(const envoy::config::core::v3::Http2ProtocolOptions& message, bool stream_errors,
                     http::h2::Options& to, const std::string& path) override;
  void http1_options(const envoy::config::core::v3::Http1ProtocolOptions& message, http::h1::Options& to,
                     const std::string& path) override;
  stream::Value value(const google::protobuf::Struct& message, Arena& arena) override;
  runtime::Fraction fraction(const envoy::type::v3::FractionalPercent& message) override;
  runtime::RuntimeFraction runtime_fraction(const envoy::config::core::v3::RuntimeFractionalPercent& message) override;
  runtime::RuntimeFlag runtime_flag(const envoy::config::core::v3::RuntimeFeatureFlag& message) override;

 private:
  filter::ConfigReport& report_;
};

}  // namespace weir::config
