// One route of a virtual host, compiled: its condition and its action. [immutable]
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/prefetch.h"
#include "core/event/slot.h"
#include "core/http/header_map.h"
#include "core/match/header_matcher.h"
#include "core/match/path_template.h"
#include "core/match/query_parameter_matcher.h"
#include "core/match/regex.h"
#include "core/match/stream_matchers.h"
#include "core/match/value_matcher.h"
#include "core/route/actions.h"
#include "core/route/route_stats.h"
#include "core/route/spec.h"
#include "core/runtime/runtime.h"
#include "core/stream/metadata.h"
#include "core/stream/stream_info.h"

namespace weir::route {

// What selection needs to know beside the headers.
struct SelectInput {
  uint64_t random = 0;  // drawn once per stream: runtime fractions and weights follow from it
  bool is_tls = false;  // x-forwarded-proto (or the listener) says https
  bool is_internal = false;
  bool client_certificate_presented = false;
  bool client_certificate_validated = false;
  const stream::StreamInfo* info = nullptr;  // null: no metadata, no filter state, no addresses
  const event::SlotTable* slots = nullptr;   // of the lane, for runtime values; null: defaults count
  Arena* arena = nullptr;                    // of the stream; null: weighted clusters never go by a hash
};

// The path of a request, taken apart once per selection.
struct RequestPath {
  std::string_view path;   // without query and fragment, and without parameters if the table ignores them
  std::string_view query;  // without "?"
  bool present = false;    // a CONNECT request may have none
};
RequestPath split_path(const http::HeaderMap& request, bool ignore_path_parameters) noexcept;

// Of cache lines of its own: of a large table those that are read come from far away, and how many there are decides
// how many find room in the processor's caches.
class alignas(64) Route {
 public:
  std::string_view name() const { return name_; }
  uint32_t index() const { return index_; }  // within the virtual host
  ActionKind action() const { return action_; }
  const ForwardAction& forward() const { return forward_; }                          // kForward only
  const RedirectAction& redirect() const { return *more_->redirect; }                // kRedirect only
  const DirectResponse& direct_response() const { return *more_->direct_response; }  // kDirectResponse only
  const RouteStats* stats() const { return stats_.get(); }                           // null: none of its own
  // A struct of namespaces; null: none.
  const stream::Value* metadata() const { return metadata_ != nullptr ? &metadata_->root() : nullptr; }

  // Null: none at this level.
  const Mutations* mutations() const { return mutations_.get(); }
  // Merged: route over virtual host over table.
  const FilterConfigs& filter_configs() const { return *filter_configs_; }
  // This level alone.
  const FilterConfigs& own_filter_configs() const {
    return more_ != nullptr && more_->own_filter_configs != nullptr ? *more_->own_filter_configs
                                                                    : FilterConfigs::none();
  }

  // kForward: the path to send, query included, in the arena.
  Rewritten rewrite_path(const stream::LogSubject& subject, Arena& arena) const noexcept;
  // kRedirect: the Location header. Empty: as of Rewritten.
  std::string_view redirect_location(const stream::LogSubject& subject, Arena& arena) const noexcept;

  // The whole condition.
  bool matches(const RequestPath& path, const http::HeaderMap& request, const SelectInput& input) const noexcept {
    return matches_path(path, request) && (conditions_ == nullptr || matches_conditions(path, request, input));
  }
  PathKind path_kind() const { return path_kind_; }
  bool case_sensitive() const { return case_sensitive_; }
  std::string_view path() const { return path_; }  // as configured; lower case if not case-sensitive
  const match::Regex* regex() const { return regex_.get(); }
  const match::PathTemplate* path_template() const { return more_ != nullptr ? more_->path_template.get() : nullptr; }
  // A forward to one cluster, of which nothing need be known before that: it has no name, no metadata and no counters,
  // does not limit the stream, and no level says anything to filters or changes headers.
  bool plain() const { return plain_; }
  // Fetches what a request will read of it.
  void prefetch(bool plain) const { weir::prefetch(this, plain ? 64 : sizeof(Route)); }
  // Nothing but the path decides.
  bool path_only() const { return conditions_ == nullptr; }

 private:
  friend class RouteBuilder;
  struct Conditions {
    std::vector<match::HeaderMatcher> headers;
    std::vector<match::QueryParameterMatcher> query_parameters;
    std::vector<match::CookieMatcher> cookies;
    std::vector<match::MetadataMatcher> dynamic_metadata;
    std::vector<match::FilterStateMatcher> filter_state;
    std::optional<runtime::RuntimeFraction> fraction;
    std::optional<bool> tls_presented;
    std::optional<bool> tls_validated;
    bool grpc = false;
  };
  bool matches_path(const RequestPath& path, const http::HeaderMap& request) const noexcept;
  bool matches_conditions(const RequestPath& path, const http::HeaderMap& request,
                          const SelectInput& input) const noexcept;

  // What few routes have.
  struct More {
    std::unique_ptr<const match::PathTemplate> path_template;
    std::unique_ptr<const RedirectAction> redirect;
    std::unique_ptr<const DirectResponse> direct_response;
    std::unique_ptr<const FilterConfigs> own_filter_configs;
  };

  // All that is read of a plain one whose path decides: a cache line.
  PathKind path_kind_ = PathKind::kPrefix;
  ActionKind action_ = ActionKind::kForward;
  bool case_sensitive_ : 1 = true;
  bool ignore_path_parameters_ : 1 = false;
  bool plain_ : 1 = false;
  uint32_t index_ = 0;
  ForwardAction forward_;
  // What conditions, mutations and filters need.
  std::string path_;
  std::unique_ptr<const Conditions> conditions_;
  std::unique_ptr<const match::Regex> regex_;
  std::unique_ptr<const Mutations> mutations_;
  const FilterConfigs* filter_configs_ = &FilterConfigs::none();  // the table owns it
  // And what they are known by.
  std::string name_;
  std::shared_ptr<const stream::StaticMetadata> metadata_;
  std::unique_ptr<const RouteStats> stats_;
  std::unique_ptr<More> more_;
};

}  // namespace weir::route
