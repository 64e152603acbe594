// Compiles the messages that many plugins hold: matchers, metadata, runtime settings. A plugin asks for it with
// scope.translator(); core/config implements it. [main]
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/message_path.h"
#include "core/http/h1/message.h"
#include "core/http/h2/options.h"
#include "core/match/header_matcher.h"
#include "core/match/log_filter.h"
#include "core/match/matcher_tree.h"
#include "core/match/path_template.h"
#include "core/match/rate_limits.h"
#include "core/match/stream_matchers.h"
#include "core/match/string_matcher.h"
#include "core/runtime/runtime.h"
#include "core/stream/added_tlv.h"
#include "core/stream/formatter.h"
#include "core/stream/header_value.h"
#include "core/stream/metadata.h"

namespace google::protobuf {
class Any;
class Message;
class Struct;
template <typename Element>
class RepeatedPtrField;
}  // namespace google::protobuf
namespace envoy::config::accesslog::v3 {
class AccessLog;
class AccessLogFilter;
}  // namespace envoy::config::accesslog::v3
namespace envoy::config::core::v3 {
class CidrRange;
class HeaderValueOption;
class Http1ProtocolOptions;
class Http2ProtocolOptions;
class RuntimeFeatureFlag;
class RuntimeFractionalPercent;
class SubstitutionFormatString;
class TlvEntry;
class TypedExtensionConfig;
}  // namespace envoy::config::core::v3
namespace envoy::config::route::v3 {
class HeaderMatcher;
class RateLimit;
}  // namespace envoy::config::route::v3
namespace envoy::extensions::filters::network::http_connection_manager::v3 {
class HttpFilter;
}
namespace envoy::type::matcher::v3 {
class FilterStateMatcher;
class MetadataMatcher;
class PathMatcher;
class StringMatcher;
}  // namespace envoy::type::matcher::v3
namespace envoy::type::v3 {
class FractionalPercent;
}

namespace weir::stream {
class AccessLogger;
}

namespace weir::filter {

class FactoryScope;
class HttpChainConfig;

// Where a chain of HTTP filters stands: in a connection manager, or between a router and an upstream.
enum class ChainSide : uint8_t { kDownstream, kUpstream };

// Whose actions a matcher tree has.
class MatcherActions {
 public:
  virtual ~MatcherActions() = default;
  // The number that evaluation will answer with. No value: a fault was reported at `path` or below it.
  virtual std::optional<uint32_t> add(const google::protobuf::Any& action, std::string_view name,
                                      const std::string& path) = 0;
};

struct MatcherOptions {
  bool keep_matching = false;    // keep_matching is understood (evaluation tells of kept actions)
  bool connection_only = false;  // inputs that are facts of HTTP are refused
};

// `path`: of the message, for faults. An empty result: there were some, all reported.
class ConfigTranslator {
 public:
  virtual ~ConfigTranslator() = default;

  virtual std::optional<match::StringMatcher> string_matcher(const envoy::type::matcher::v3::StringMatcher& message,
                                                             const std::string& path) = 0;
  virtual std::optional<match::HeaderMatcher> header_matcher(const envoy::config::route::v3::HeaderMatcher& message,
                                                             const std::string& path) = 0;
  virtual std::optional<match::MetadataMatcher> metadata_matcher(
      const envoy::type::matcher::v3::MetadataMatcher& message, const std::string& path) = 0;
  virtual std::optional<match::FilterStateMatcher> filter_state_matcher(
      const envoy::type::matcher::v3::FilterStateMatcher& message, const std::string& path) = 0;
  virtual std::optional<match::PathMatcher> path_matcher(const envoy::type::matcher::v3::PathMatcher& message,
                                                         const std::string& path) = 0;
  virtual std::optional<match::AddressRange> address_range(const envoy::config::core::v3::CidrRange& message,
                                                           const std::string& path) = 0;
  // An extension of the kind envoy.path.match: uri_template.
  virtual std::optional<match::PathTemplate> path_template(const envoy::config::core::v3::TypedExtensionConfig& message,
                                                           const std::string& path) = 0;
  // `message`: xds.type.matcher.v3.Matcher or envoy.config.common.matcher.v3.Matcher.
  virtual std::unique_ptr<const match::Tree> matcher_tree(const google::protobuf::Message& message,
                                                          MatcherActions& actions, const MatcherOptions& options,
                                                          const std::string& path) = 0;

  // `path`: of the list.
  virtual std::vector<match::RateLimit> rate_limits(
      const google::protobuf::RepeatedPtrField<envoy::config::route::v3::RateLimit>& messages,
      const std::string& path) = 0;
  virtual match::LogFilterPtr log_filter(const envoy::config::accesslog::v3::AccessLogFilter& message,
                                         const std::string& path) = 0;
  // `field`: the list, of the message that the scope is about. Those with faults are left out.
  virtual std::vector<std::shared_ptr<const stream::AccessLogger>> access_loggers(
      const google::protobuf::RepeatedPtrField<envoy::config::accesslog::v3::AccessLog>& messages, FactoryScope& scope,
      std::string_view field) = 0;
  // nullptr: an error was said.
  virtual std::shared_ptr<const HttpChainConfig> http_filters(
      const google::protobuf::RepeatedPtrField<
          envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter>& messages,
      ChainSide side, FactoryScope& scope, std::string_view field) = 0;
  // `options`: what is not in the message.
  virtual std::optional<stream::LineFormat> line_format(
      const envoy::config::core::v3::SubstitutionFormatString& message, const stream::Format::Options& options,
      const std::string& path) = 0;
  virtual std::optional<stream::LineFormat> json_format(const google::protobuf::Struct& message,
                                                        const stream::Format::Options& options,
                                                        const std::string& path) = 0;

  virtual std::optional<stream::HeaderValue> header_value(const envoy::config::core::v3::HeaderValueOption& message,
                                                          const std::string& path) = 0;

  virtual std::optional<stream::AddedTlv> tlv(const envoy::config::core::v3::TlvEntry& message,
                                              const std::string& path) = 0;

  // What both sides' options of HTTP/1 say alike: header_key_format, allow_chunked_length.
  virtual void http1_options(const envoy::config::core::v3::Http1ProtocolOptions& message, http::h1::Options& to,
                             const std::string& path) = 0;

  // Options of HTTP/2, of either side; what the message leaves out stays. `stream_errors`: what is meant where it says
  // nothing about that.
  virtual void http2_options(const envoy::config::core::v3::Http2ProtocolOptions& message, bool stream_errors,
                             http::h2::Options& to, const std::string& path) = 0;

  // The struct as a value, all of it in the arena.
  virtual stream::Value value(const google::protobuf::Struct& message, Arena& arena) = 0;

  virtual runtime::Fraction fraction(const envoy::type::v3::FractionalPercent& message) = 0;
  virtual runtime::RuntimeFraction runtime_fraction(
      const envoy::config::core::v3::RuntimeFractionalPercent& message) = 0;
  virtual runtime::RuntimeFlag runtime_flag(const envoy::config::core::v3::RuntimeFeatureFlag& message) = 0;
};

// Every message of a list by one of these functions; `path`: of the list. Those with faults are left out.
template <class T, class Messages, class Message>
std::vector<T> translate_all(ConfigTranslator& translator,
                             std::optional<T> (ConfigTranslator::*translate)(const Message&, const std::string&),
                             const Messages& messages, const std::string& path) {
  std::vector<T> all;
  for (int i = 0; i < messages.size(); ++i) {
    std::string item = path;
    append_path_item(item, static_cast<size_t>(i));
    if (auto one = (translator.*translate)(messages.Get(i), item)) all.push_back(std::move(*one));
  }
  return all;
}

}  // namespace weir::filter
