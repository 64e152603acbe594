// What a route table is made of, as plain data (and such matchers as core/config compiles): filled by core/config from
// its messages, by tests by hand, consumed by RouteTable::build(). Defaults are the published ones. Text is not checked
// here; build() checks it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/time.h"
#include "core/match/header_matcher.h"
#include "core/match/matcher_tree.h"
#include "core/match/path_template.h"
#include "core/match/query_parameter_matcher.h"
#include "core/match/regex.h"
#include "core/match/stream_matchers.h"
#include "core/match/string_matcher.h"
#include "core/match/value_matcher.h"
#include "core/route/internal_redirect.h"
#include "core/runtime/runtime.h"
#include "core/stream/formatter.h"
#include "core/stream/header_value.h"
#include "core/stream/metadata.h"

namespace weir::route {

// ---- Header mutations

using stream::AppendAction;
using stream::HeaderValueSpec;

struct HeaderMutationsSpec {
  std::vector<HeaderValueSpec> add;
  std::vector<std::string> remove;  // happens before adding
  bool empty() const { return add.empty() && remove.empty(); }
};

struct MutationsSpec {
  HeaderMutationsSpec request;
  HeaderMutationsSpec response;
};

// ---- Per-filter configuration

struct FilterConfigSpec {
  uint32_t filter_id = 0;  // interned name of the filter in the chain
  bool disabled = false;
  std::shared_ptr<const void> config;  // null: only `disabled` is said
  uint32_t kind = 0;                   // of the class behind it (filter::RouteKey)
};

// ---- Matching

enum class PathKind : uint8_t {
  kPrefix,
  kExact,
  kSegmentPrefix,  // path_separated_prefix: the prefix, then the end or "/"
  kRegex,          // of the whole path
  kConnect,        // any CONNECT request, also without a path
  kTemplate,       // path_match_policy: a path template of the whole path
};

struct RouteMatchSpec {
  PathKind path_kind = PathKind::kPrefix;
  std::string path;
  std::optional<match::PathTemplate> path_template;  // kTemplate
  bool case_sensitive = true;                        // means nothing to kRegex and kTemplate
  std::vector<match::HeaderMatcherSpec> headers;
  std::vector<match::QueryParameterMatcherSpec> query_parameters;
  std::vector<match::CookieMatcher> cookies;
  std::vector<match::MetadataMatcher> dynamic_metadata;
  std::vector<match::FilterStateMatcher> filter_state;
  std::optional<runtime::RuntimeFraction> runtime_fraction;
  bool grpc = false;
  std::optional<bool> tls_presented;  // a client certificate was presented
  std::optional<bool> tls_validated;
};

// ---- Actions

namespace retry_on {
constexpr uint32_t k5xx = 1u << 0;
constexpr uint32_t kGatewayError = 1u << 1;
constexpr uint32_t kReset = 1u << 2;
constexpr uint32_t kConnectFailure = 1u << 3;
constexpr uint32_t kEnvoyRatelimited = 1u << 4;
constexpr uint32_t kRetriable4xx = 1u << 5;
constexpr uint32_t kRefusedStream = 1u << 6;
constexpr uint32_t kRetriableStatusCodes = 1u << 7;
constexpr uint32_t kRetriableHeaders = 1u << 8;
constexpr uint32_t kResetBeforeRequest = 1u << 9;
constexpr uint32_t kHttp3PostConnectFailure = 1u << 10;
constexpr uint32_t kGrpcCancelled = 1u << 16;
constexpr uint32_t kGrpcDeadlineExceeded = 1u << 17;
constexpr uint32_t kGrpcResourceExhausted = 1u << 18;
constexpr uint32_t kGrpcUnavailable = 1u << 19;
constexpr uint32_t kGrpcInternal = 1u << 20;
constexpr uint32_t kGrpc =
    kGrpcCancelled | kGrpcDeadlineExceeded | kGrpcResourceExhausted | kGrpcUnavailable | kGrpcInternal;
}  // namespace retry_on

// A response header that says when to come again.
struct ResetHeaderSpec {
  std::string name;
  bool unix_time = false;  // seconds since 1970, instead of seconds from now
};

struct RetryPolicySpec {
  std::string retry_on;  // comma-separated published names
  uint32_t num_retries = 1;
  Duration per_try_timeout{};       // zero: the route timeout alone
  Duration per_try_idle_timeout{};  // zero: none
  std::vector<uint32_t> retriable_status_codes;
  std::vector<match::HeaderMatcherSpec> retriable_headers;          // of the response
  std::vector<match::HeaderMatcherSpec> retriable_request_headers;  // empty: every request
  bool avoid_previous_hosts = false;
  // Hosts with all that one of these says below envoy.lb are no place for a retry.
  std::vector<std::shared_ptr<const stream::StaticMetadata>> omitted_hosts;
  uint32_t host_selection_max_attempts = 1;
  uint32_t priority_update_frequency = 0;  // attempts after which those priorities are passed over; 0: none are
  Duration back_off_base = 25ms;
  std::optional<Duration> back_off_max;  // ten times the base
  std::vector<ResetHeaderSpec> reset_headers;
  Duration reset_max = 300s;  // a later time than this does not count
};

struct WeightedClusterSpec {
  std::string name;            // this
  std::string cluster_header;  // or the cluster that this request header names
  uint32_t weight = 0;
  MutationsSpec mutations;
  std::vector<FilterConfigSpec> filter_configs;
  std::string host_rewrite_literal;                              // empty: none
  std::shared_ptr<const stream::StaticMetadata> metadata_match;  // its members over those of the route's
};

// One of the three.
struct MirrorMutationSpec {
  std::string remove;
  std::optional<match::StringMatcherSpec> remove_matching;  // of names
  std::optional<HeaderValueSpec> append;
};

struct MirrorSpec {
  // Exactly one of the two.
  std::string cluster;
  std::string cluster_header;
  runtime::RuntimeFraction fraction = {.default_value = {100, 100}};
  std::vector<MirrorMutationSpec> mutations;  // in this order
  std::string host;                           // instead of the request's; empty: that, by keeps_host
  bool keeps_host = false;
};

// What a request is hashed by, for balancers that go by a hash.
struct HashPolicySpec {
  enum class Kind : uint8_t { kHeader, kCookie, kSourceIp, kQueryParameter, kFilterState, kNothing };
  struct Attribute {
    std::string name;
    std::string value;  // empty: the name alone
  };
  Kind kind = Kind::kNothing;
  std::string name;                                // of the header, the cookie, ...
  std::optional<match::RegexRewriteSpec> rewrite;  // kHeader: of its value
  // kCookie: one is made for requests that have none, which lasts so long (zero: as long as the browser runs). Unset:
  // none is made.
  std::optional<Duration> ttl;
  std::string path;  // kCookie: of the one that is made, as the attributes
  std::vector<Attribute> attributes;
  bool terminal = false;  // with a hash so far, those that follow do not count
};

struct HostRewriteSpec {
  enum class Kind : uint8_t { kNone, kLiteral, kAuto, kHeader, kPathRegex, kFormat };
  Kind kind = Kind::kNone;
  std::string text;               // kLiteral: the host; kHeader: the name; kFormat: with %OPERATORS%
  match::RegexRewriteSpec regex;  // kPathRegex: applied to the path without query
};

// Whether requests for another protocol on their connection are passed on.
struct UpgradeSpec {
  std::string type;  // as in `upgrade`; case is ignored. "CONNECT" for that method
  bool enabled = true;
  bool operator==(const UpgradeSpec&) const = default;
};

// Names a cluster by conditions on the request. [immutable]
struct ClusterSpecifier {
  std::unique_ptr<const match::Tree> tree;  // its actions are numbers of `clusters`; null: no request has a cluster
  std::vector<std::string> clusters;
};

struct ForwardSpec {
  // Exactly one of the four.
  std::string cluster;
  std::string cluster_header;
  std::vector<WeightedClusterSpec> weighted_clusters;
  std::shared_ptr<const ClusterSpecifier> specifier;

  // weighted_clusters: this request header, if it is a number, decides instead of chance.
  std::string weight_header;
  // weighted_clusters: the runtime value "prefix.name" of a cluster counts instead of its weight. Empty: none.
  std::string weight_runtime_prefix;
  bool weight_by_hash = false;  // weighted_clusters: the hash of the request, if it has one, decides instead of chance
  uint16_t cluster_not_found_status = 503;
  std::vector<HashPolicySpec> hash_policies;
  std::shared_ptr<const stream::StaticMetadata> metadata_match;  // what is below envoy.lb; null: nothing

  Duration timeout = 15s;                       // zero: none
  std::optional<Duration> idle_timeout;         // unset: the listener's stream idle timeout; zero: none
  std::optional<Duration> max_stream_duration;  // unset: the listener's; zero: none
  std::optional<Duration> flush_timeout;        // likewise
  std::optional<Duration> grpc_timeout_header_max;
  bool grpc_timeout_is_of_stream = false;  // it limits the whole stream, not the wait for the answer
  std::optional<Duration> grpc_timeout_header_offset;

  std::optional<RetryPolicySpec> retry;                       // unset: the virtual host's
  std::unique_ptr<InternalRedirectPolicy> internal_redirect;  // null: redirects are the client's
  std::optional<bool> hedge;                                  // on the timeout of a try; unset: the virtual host's
  std::vector<MirrorSpec> mirrors;                            // none: the virtual host's
  std::string prefix_rewrite;                                 // at most one of these four
  std::string path_rewrite;                                   // a format with %OPERATORS%, of the whole path
  std::optional<match::RegexRewriteSpec> regex_rewrite;
  std::optional<std::string> path_template_rewrite;  // of a route whose path is matched by a template
  HostRewriteSpec host_rewrite;
  bool append_x_forwarded_host = false;
  bool high_priority = false;
  std::vector<UpgradeSpec> upgrades;  // beside those of the connection manager, or against them
  bool ends_connect = false;          // CONNECT is answered here; the cluster gets the bytes of the tunnel alone
  bool ends_post = false;             // with ends_connect: so are POST requests
};

struct RedirectSpec {
  bool https = false;
  std::string scheme{};  // at most one of these two
  std::string host{};
  uint16_t port = 0;
  std::string path{};          // at most one of these four
  std::string path_rewrite{};  // a format with %OPERATORS%
  std::string prefix_rewrite{};
  std::optional<match::RegexRewriteSpec> regex_rewrite{};
  uint16_t status = 301;
  bool strip_query = false;
};

struct DirectResponseSpec {
  uint16_t status = 200;
  std::string body;
  std::optional<stream::LineFormat> format;  // prints what is sent instead; the body is %LOCAL_REPLY_BODY%
  std::string content_type;                  // of what `format` prints
};

enum class ActionKind : uint8_t { kForward, kRedirect, kDirectResponse, kNonForwarding };

// Bytes of a request's body that are kept to send it again.
struct BodyLimits {
  static constexpr uint64_t kUnset = UINT64_MAX;
  uint64_t exact = kUnset;    // whatever others say
  uint64_t at_most = kUnset;  // of what the listener allows
  bool operator==(const BodyLimits&) const = default;
  BodyLimits over(const BodyLimits& general) const {
    return {exact != kUnset ? exact : general.exact, at_most != kUnset ? at_most : general.at_most};
  }
  uint32_t apply(uint32_t limit) const {
    const uint64_t wanted = exact != kUnset ? exact : at_most < limit ? at_most : limit;
    return wanted < UINT32_MAX ? static_cast<uint32_t>(wanted) : UINT32_MAX;
  }
};

struct RouteSpec {
  std::string name;
  std::string stat_prefix;  // empty: no statistics of its own
  BodyLimits body_limits;
  RouteMatchSpec match;
  ActionKind action = ActionKind::kForward;
  ForwardSpec forward;                                  // kForward
  std::unique_ptr<RedirectSpec> redirect;               // kRedirect
  std::unique_ptr<DirectResponseSpec> direct_response;  // kDirectResponse
  MutationsSpec mutations;
  std::vector<FilterConfigSpec> filter_configs;
  std::shared_ptr<const stream::StaticMetadata> metadata;
};

// One action of a virtual host's matcher tree: these routes, from top to bottom.
struct MatcherActionSpec {
  std::string path;      // of the action's message below that of the virtual host, for errors
  bool is_list = false;  // errors name routes[i] below it
  std::vector<RouteSpec> routes;
};

enum class TlsRequirement : uint8_t { kNone, kExternalOnly, kAll };

// Requests that are counted together.
struct VirtualClusterSpec {
  std::string name;
  std::vector<match::HeaderMatcherSpec> headers;
};

struct VirtualHostSpec {
  std::string name;
  std::vector<VirtualClusterSpec> virtual_clusters;
  std::vector<std::string> domains;  // "a.example", "*.example", "a.*", "*"; a port is part of the text
  std::vector<RouteSpec> routes;
  std::unique_ptr<const match::Tree> matcher;  // instead of routes; its actions are numbers of:
  std::vector<MatcherActionSpec> matcher_actions;
  TlsRequirement require_tls = TlsRequirement::kNone;
  BodyLimits body_limits;
  MutationsSpec mutations;
  std::vector<FilterConfigSpec> filter_configs;
  std::optional<RetryPolicySpec> retry;
  std::vector<MirrorSpec> mirrors;  // none: the table's
  bool hedge = false;
  bool include_request_attempt_count = false;
  bool include_attempt_count_in_response = false;
  bool include_is_timeout_retry_header = false;
  std::shared_ptr<const stream::StaticMetadata> metadata;
};

struct RouteTableSpec {
  std::string name;
  std::vector<VirtualHostSpec> virtual_hosts;
  MutationsSpec mutations;
  std::vector<FilterConfigSpec> filter_configs;
  std::vector<MirrorSpec> mirrors;
  bool most_specific_header_mutations_wins = false;
  bool ignore_port_in_host_matching = false;
  bool ignore_path_parameters_in_path_matching = false;  // what follows ";" is no part of the path
  std::vector<std::string> internal_only_headers;        // of requests from outside, to be removed
  std::string vhost_header;  // match virtual hosts by this header's value instead of the host
};

}  // namespace weir::route
