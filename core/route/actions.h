// What a matched route does, compiled: forward, redirect, answer. Texts that a request needs are built in its arena.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/arena.h"
#include "core/base/time.h"
#include "core/event/slot.h"
#include "core/http/header_map.h"
#include "core/match/path_template.h"
#include "core/match/regex.h"
#include "core/route/errors.h"
#include "core/route/filter_configs.h"
#include "core/route/hash_policy.h"
#include "core/route/header_mutations.h"
#include "core/route/internal_redirect.h"
#include "core/route/mirror.h"
#include "core/route/retry_policy.h"
#include "core/route/spec.h"
#include "core/runtime/runtime.h"
#include "core/stream/formatter.h"
#include "core/stream/metadata.h"
#include "core/stream/stream_info.h"

namespace weir::route {

// How much of a path a route matched, so that it can be replaced.
struct MatchedPath {
  PathKind kind;
  size_t size;                                         // kPrefix, kExact, kSegmentPrefix: of the configured text
  const match::PathTemplate* path_template = nullptr;  // kTemplate
};

// What a rewrite says of a request: data() == nullptr: nothing, it stays as it is; empty: its format has made of this
// request what cannot be sent.
using Rewritten = std::string_view;

// An error at `field` if a text of the configuration is to be sent as a host and is none. Empty: it says nothing.
void check_host(const std::string& text, std::string_view field, ErrorSink& errors);

// A text that a format makes of each request: path_rewrite, host_rewrite. [immutable]
class FormatRewrite {
 public:
  // Null after an error, which is at `field`.
  static std::unique_ptr<const FormatRewrite> build(const std::string& text, std::string_view field, ErrorSink& errors);
  // A text that is empty does not rewrite, as published.
  Rewritten host(const stream::LogSubject& subject, Arena& arena) const;
  Rewritten path(const stream::LogSubject& subject, Arena& arena) const;

 private:
  std::string_view text(const stream::LogSubject& subject, Arena& arena) const;
  stream::Format format_;
};

// Replaces a prefix, every match of a regex in the path, a path by its template's variables, or the whole of it by a
// format; the query stays, unless the format brings one. [immutable]
class PathRewrite {
 public:
  // What a message says; at most one of the three.
  struct Spec {
    std::string prefix;
    std::optional<match::RegexRewriteSpec> regex;
    std::string format;
  };
  static std::unique_ptr<const PathRewrite> build(Spec spec, ErrorSink& errors);
  // For a route whose path is matched by a template, its own.
  static std::unique_ptr<const PathRewrite> build(match::PathTemplateRewrite rewrite);
  // `path`: of the subject's request, with or without its query. The result begins with "/", whatever the rule made of
  // it.
  Rewritten rewrite(std::string_view path, const stream::LogSubject& subject, MatchedPath matched,
                    bool ignore_path_parameters, Arena& arena) const noexcept;
  // The request's query is not wanted after this path, which rewrite() has made: the format has one of its own.
  bool brings_query(std::string_view path) const {
    return format_ != nullptr && path.find('?') != std::string_view::npos;
  }

 private:
  std::string prefix_;
  std::optional<match::RegexRewrite> regex_;
  std::optional<match::PathTemplateRewrite> template_;
  std::unique_ptr<const FormatRewrite> format_;
};

// A cluster as the router wants it. `slot` is set when the name was known at build time; a name taken from a request
// header has none and must be looked up.
struct ClusterChoice {
  std::string_view name;  // empty: a cluster header that the request lacks
  event::SlotId slot;
  bool has_slot = false;
};

// One of several clusters of a route. [immutable]
struct WeightedCluster {
  std::string name;
  event::SlotId slot;
  uint32_t weight = 0;
  runtime::Key weight_key = {};                             // what may be instead of the weight
  std::unique_ptr<http::HeaderName> cluster_header;         // instead of the name
  std::unique_ptr<const Mutations> mutations;               // null: none
  std::unique_ptr<const FilterConfigs> own_filter_configs;  // null: none
  const FilterConfigs* filter_configs = nullptr;            // merged: this over route over virtual host over table
  std::string host_rewrite_literal;                         // empty: the route's host rewrite
  std::unique_ptr<const stream::StaticMetadata> match;      // null: the route's

  bool operator==(const WeightedCluster&) const = default;
  ClusterChoice cluster(const http::HeaderMap& request) const noexcept;
};

// [immutable]
class ForwardAction {
 public:
  Duration timeout() const { return timeout_; }                                         // zero: none
  std::optional<Duration> idle_timeout() const { return get(special_->idle_timeout); }  // unset: the listener's
  std::optional<Duration> max_stream_duration() const { return get(special_->max_stream_duration); }
  // It says how long a stream may idle, or take in all, or that requests may say so.
  bool limits_stream() const {
    return special_->idle_timeout != kUnset || special_->max_stream_duration != kUnset ||
           special_->grpc_timeout_is_of_stream;
  }
  std::optional<Duration> flush_timeout() const { return get(special_->flush_timeout); }
  std::optional<Duration> grpc_timeout_header_max() const { return get(special_->grpc_timeout_header_max); }
  bool grpc_timeout_is_of_stream() const { return special_->grpc_timeout_is_of_stream; }
  std::optional<Duration> grpc_timeout_header_offset() const { return get(special_->grpc_timeout_header_offset); }
  // The route's own, else the virtual host's; nullptr: no retries.
  const RetryPolicy* retry() const { return retry_; }
  bool hedges() const { return special_->hedges; }
  const BodyLimits& body_limits() const { return special_->body_limits; }
  // The limits and connections of the cluster for requests of high priority.
  bool high_priority() const { return special_->high_priority; }
  const InternalRedirectPolicy* internal_redirect() const {
    return special_->internal_redirect.get();
  }  // nullptr: none
  // The route's own, else those of the levels above; nullptr: none.
  const Mirrors* mirrors() const { return mirrors_; }
  int cluster_not_found_status() const { return special_->cluster_not_found_status; }
  bool append_x_forwarded_host() const { return special_->append_x_forwarded_host; }
  const std::vector<UpgradeSpec>& upgrades() const { return special_->upgrades; }
  bool ends_connect() const { return special_->ends_connect; }
  bool ends_post() const { return special_->ends_post; }

  bool has_path_rewrite() const { return special_->path_rewrite != nullptr; }
  // The upstream host's name becomes the request's host (once the host is chosen).
  bool auto_host_rewrite() const { return special_->host_rewrite_kind == HostRewriteSpec::Kind::kAuto; }
  // The host to send. The request's headers must be those before any path rewrite.
  Rewritten rewrite_host(const stream::LogSubject& subject, const WeightedCluster* weighted,
                         Arena& arena) const noexcept;

  bool weighted() const { return !special_->weighted_clusters.empty(); }
  const std::vector<WeightedCluster>& weighted_clusters() const { return special_->weighted_clusters; }
  // nullptr if the route has no weighted clusters. `random` decides, always in the same way, unless there is a `hash`.
  // `slots`: of the lane, for weights at run time; null: those of the configuration count.
  const WeightedCluster* pick_weighted(const http::HeaderMap& request, uint64_t random,
                                       const event::SlotTable* slots = nullptr,
                                       std::optional<uint64_t> hash = std::nullopt) const noexcept;
  bool weighs_by_hash() const { return special_->weighs_by_hash; }
  // Conditions on the request say which cluster.
  bool specified() const { return special_->specifier != nullptr; }
  // Of those, as if it were one of several by weight; one that leads nowhere, if no condition holds. Not nullptr.
  const WeightedCluster* specify(const http::HeaderMap& request, const stream::StreamInfo* info) const noexcept;
  // What hosts are to have, a struct; nullptr: nothing.
  const stream::Value* metadata_match(const WeightedCluster* weighted) const {
    const stream::StaticMetadata* match =
        weighted != nullptr && weighted->match != nullptr ? weighted->match.get() : special_->match.get();
    return match != nullptr ? &match->root() : nullptr;
  }
  // nullptr: requests have no hash, unless the cluster says how.
  const HashPolicies* hash_policies() const { return special_->hash_policies.get(); }
  // `weighted`: what pick_weighted() chose.
  ClusterChoice cluster(const http::HeaderMap& request, const WeightedCluster* weighted) const noexcept;
  // As configured, for dumps and explanations; empty if weighted or by header.
  std::string_view cluster_name() const { return cluster_; }

 private:
  friend class RouteBuilder;
  friend class Route;
  static constexpr Duration kUnset{-1};
  static std::optional<Duration> get(Duration d) { return d == kUnset ? std::nullopt : std::optional<Duration>(d); }

  // What few routes say. All that say nothing of it share none(), so that of a large table much less is read, and what
  // is read stays near.
  struct Special {
    static const Special& none();
    bool operator==(const Special&) const = default;

    std::unique_ptr<http::HeaderName> cluster_header;
    std::vector<WeightedCluster> weighted_clusters;
    bool runtime_weights = false;
    bool weighs_by_hash = false;
    uint64_t total_weight = 0;
    std::unique_ptr<http::HeaderName> weight_header;
    std::shared_ptr<const ClusterSpecifier> specifier;
    std::vector<WeightedCluster> specified;  // by its actions; the last is for all other requests
    std::unique_ptr<const stream::StaticMetadata> match;
    uint16_t cluster_not_found_status = 503;
    Duration idle_timeout = kUnset;
    Duration max_stream_duration = kUnset;
    Duration flush_timeout = kUnset;
    Duration grpc_timeout_header_max = kUnset;
    Duration grpc_timeout_header_offset = kUnset;
    bool grpc_timeout_is_of_stream = false;
    bool hedges = false;
    bool high_priority = false;
    bool ends_connect = false;
    bool ends_post = false;
    bool append_x_forwarded_host = false;
    HostRewriteSpec::Kind host_rewrite_kind = HostRewriteSpec::Kind::kNone;
    std::string host_rewrite_literal;
    std::unique_ptr<http::HeaderName> host_rewrite_header;
    std::unique_ptr<const match::RegexRewrite> host_rewrite_regex;
    std::unique_ptr<const FormatRewrite> host_rewrite_format;
    std::unique_ptr<const PathRewrite> path_rewrite;
    std::unique_ptr<const RetryPolicy> own_retry;
    std::unique_ptr<const Mirrors> own_mirrors;
    std::unique_ptr<const InternalRedirectPolicy> internal_redirect;
    std::unique_ptr<const HashPolicies> hash_policies;
    std::vector<UpgradeSpec> upgrades;
    BodyLimits body_limits;
  };
  struct DropSpecial {
    void operator()(const Special* special) const {
      if (special != &Special::none()) delete special;
    }
  };

  std::string_view cluster_;  // the table's
  event::SlotId slot_;
  Duration timeout_ = 15s;
  const RetryPolicy* retry_ = nullptr;
  const Mirrors* mirrors_ = nullptr;
  std::unique_ptr<const Special, DropSpecial> special_{&Special::none()};
};

// [immutable]
class RedirectAction {
 public:
  int status() const { return status_; }
  // The Location header for a request, in its arena. Empty: as of Rewritten.
  std::string_view location(const stream::LogSubject& subject, MatchedPath matched, bool ignore_path_parameters,
                            Arena& arena) const noexcept;
  // The answer of a virtual host that wants TLS: the same URL with https, 301.
  static const RedirectAction& to_https();
  static std::unique_ptr<const RedirectAction> build(RedirectSpec spec, ErrorSink& errors);

 private:
  std::string scheme_;  // empty: the request's
  std::string host_;
  std::string port_;  // decimal
  std::string path_;
  std::unique_ptr<const PathRewrite> path_rewrite_;
  uint16_t status_ = 301;
  bool strip_query_ = false;
};

// [immutable]
struct DirectResponse {
  int status = 200;
  std::string body;
  std::optional<stream::LineFormat> format;  // prints what is sent instead
  std::string content_type;                  // of what `format` prints
};

}  // namespace weir::route
