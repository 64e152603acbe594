// What requests are counted as: descriptors, each a list of keys and values, made by the actions that the API's
// RateLimit messages list, on routes, virtual hosts or filters. Built on main; [immutable] after that.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/arena.h"
#include "core/event/slot.h"
#include "core/http/header_map.h"
#include "core/match/header_matcher.h"
#include "core/match/query_parameter_matcher.h"
#include "core/runtime/runtime.h"
#include "core/stream/stream_info.h"

namespace weir::match {

struct DescriptorEntry {
  std::string_view key;
  std::string_view value;
  bool operator==(const DescriptorEntry&) const = default;
};
using Descriptor = std::span<const DescriptorEntry>;

// Where actions look. What is put together for a value goes to the arena.
struct DescriptorFacts {
  const stream::StreamInfo& info;
  const http::HeaderMap& headers;
  std::string_view cluster;  // that the route leads to; empty: none
  const event::SlotTable& slots;
  Arena& arena;
};

// One action: an entry of the descriptor, if the request has what it takes.
struct DescriptorAction {
  struct GenericKey {
    std::string value;
  };
  struct DestinationCluster {};
  struct RemoteAddress {};
  struct MaskedRemoteAddress {
    int v4_bits = 32;
    int v6_bits = 128;
  };
  struct RequestHeader {
    http::HeaderName name;
    bool skip_if_absent = false;  // goes on without this entry
  };
  struct QueryParameter {
    std::string name;
    bool skip_if_absent = false;
  };
  struct HeadersMatch {
    std::string value;
    std::vector<HeaderMatcher> headers;
    bool expect = true;
  };
  struct QueryMatches {
    std::string value;
    std::vector<QueryParameterMatcher> parameters;
    bool expect = true;
  };
  std::string key;
  std::variant<GenericKey, DestinationCluster, RemoteAddress, MaskedRemoteAddress, RequestHeader, QueryParameter,
               HeadersMatch, QueryMatches>
      what;
};

struct RateLimit {
  static constexpr size_t kMaxActions = 16;
  static constexpr size_t kMaxPerLevel = 64;  // of a route, a virtual host or a filter

  uint32_t stage = 0;
  runtime::RuntimeFraction enabled{{100, 100}};  // by disable_key
  std::vector<DescriptorAction> actions;         // at most kMaxActions

  // The descriptor, in `room`; empty: this request has none. No lock, no heap.
  Descriptor describe(const DescriptorFacts& facts, std::span<DescriptorEntry, kMaxActions> room) const noexcept;
};

// What one level of a route configuration says. Reaches filters as a configuration for nobody in particular
// (filter/route_rate_limits.h).
struct RouteRateLimits {
  bool of_virtual_host = false;
  // Of a route: those of its virtual host apply, whatever the filter says.
  bool include_virtual_host = false;
  std::vector<RateLimit> limits;
};

}  // namespace weir::match
