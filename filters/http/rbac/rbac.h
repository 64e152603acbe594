// envoy.filters.http.rbac: who may do what, by policies or by a matcher tree. Rules that only watch tell what they
// would have done.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/filter/http_filter.h"
#include "core/stats/handles.h"
#include "filters/common/rbac/engine.h"

namespace weir::filters::rbac {

// Names in the dynamic metadata, made once.
struct MetadataKeys {
  std::string policy;  // "enforced_effective_policy_id"
  std::string result;  // "enforced_engine_result"
};

// What a filter, or a route, enforces and watches. [immutable]
struct Policy {
  std::unique_ptr<const Engine> rules;         // nullptr: everything may pass
  std::unique_ptr<const Engine> shadow_rules;  // nullptr: none
};

// Of a route, instead of the filter's.
struct RoutePolicy : Policy {
  std::optional<MetadataKeys> keys, shadow_keys;  // without a prefix of its own, those of the filter
};

struct Stats {
  stats::Counter allowed, denied, logged, not_logged, shadow_allowed, shadow_denied;
};

// [immutable]
struct Settings : Policy {
  MetadataKeys keys, shadow_keys;
  Stats stats;
};

// One per stream. [worker]
class Filter : public filter::HttpFilter {
 public:
  explicit Filter(const Settings& settings) : settings_(settings) {}
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;

 private:
  const Settings& settings_;
};

}  // namespace weir::filters::rbac
