// The small messages that others hold, compiled: matchers of values, metadata and filter state, address ranges,
// metadata, runtime settings. What the rules refuse (rules.h) is refused here too where compiling needs it. [main]
#pragma once

#include <memory>
#include <optional>

#include "core/config/field_report.h"
#include "core/http/h1/message.h"
#include "core/http/h2/options.h"
#include "core/match/path_template.h"
#include "core/match/stream_matchers.h"
#include "core/match/value_matcher.h"
#include "core/runtime/runtime.h"
#include "core/stream/metadata.h"

namespace google::protobuf {
class Any;
class Duration;
class Struct;
}  // namespace google::protobuf
namespace envoy::config::core::v3 {
class CidrRange;
class Http1ProtocolOptions;
class Http2ProtocolOptions;
class Metadata;
class RuntimeFractionalPercent;
}  // namespace envoy::config::core::v3
namespace envoy::config::route::v3 {
class CookieMatcher;
}
namespace envoy::type::matcher::v3 {
class FilterStateMatcher;
class MetadataMatcher;
class StringMatcher;
class ValueMatcher;
}  // namespace envoy::type::matcher::v3
namespace envoy::type::v3 {
class FractionalPercent;
}
namespace xds::core::v3 {
class CidrRange;
}
namespace xds::type::matcher::v3 {
class StringMatcher;
}

namespace weir::config {

// Empty results: faults were reported.
std::optional<match::StringMatcher> translate(const envoy::type::matcher::v3::StringMatcher& message,
                                              const FieldReport& at);
std::optional<match::StringMatcher> translate(const xds::type::matcher::v3::StringMatcher& message,
                                              const FieldReport& at);
std::optional<match::ValueMatcher> translate(const envoy::type::matcher::v3::ValueMatcher& message,
                                             const FieldReport& at);
std::optional<match::MetadataMatcher> translate(const envoy::type::matcher::v3::MetadataMatcher& message,
                                                const FieldReport& at);
std::optional<match::FilterStateMatcher> translate(const envoy::type::matcher::v3::FilterStateMatcher& message,
                                                   const FieldReport& at);
std::optional<match::CookieMatcher> translate(const envoy::config::route::v3::CookieMatcher& message,
                                              const FieldReport& at);
std::optional<match::AddressRange> translate(const envoy::config::core::v3::CidrRange& message, const FieldReport& at);
std::optional<match::AddressRange> translate(const xds::core::v3::CidrRange& message, const FieldReport& at);
// `config`: of an extension of the kind envoy.path.match.
std::optional<match::PathTemplate> translate_path_template(const google::protobuf::Any& config, const FieldReport& at);

// What means the same for clients and upstreams: header_key_format and allow_chunked_length of HTTP/1, all but
// connection_idle_interval of HTTP/2. `stream_errors`: what is said around the message about
// stream_error_on_invalid_http_message, which override_... in it overrules.
void translate(const envoy::config::core::v3::Http1ProtocolOptions& message, http::h1::Options& to,
               const FieldReport& at);
void translate(const envoy::config::core::v3::Http2ProtocolOptions& message, bool stream_errors, http::h2::Options& to,
               const FieldReport& at);

// Of typed metadata nothing is read but `tlvs`, by whoever knows that it is a host's. Null also if there is nothing in
// it.
std::shared_ptr<const stream::StaticMetadata> translate(const envoy::config::core::v3::Metadata& message,
                                                        std::shared_ptr<const stream::HostTlvs> tlvs = nullptr);
stream::Value to_value(const google::protobuf::Struct& message, Arena& arena);

Duration to_duration(const google::protobuf::Duration& message);  // saturates: three centuries are for ever
runtime::Fraction to_fraction(const envoy::type::v3::FractionalPercent& message);
runtime::RuntimeFraction to_setting(const envoy::config::core::v3::RuntimeFractionalPercent& message);

}  // namespace weir::config
