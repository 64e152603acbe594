// What requests are counted as: descriptors, each a list of keys and values, made by the actions that the API's
// RateLimit messages list, on routes, virtual hosts or filters. Built on main; [immutable] after that.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
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
#include "core/stream/formatter.h"
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
  const stream::LogSubject& subject;  // with the request
  std::string_view cluster;           // that the route leads to; empty: none
  std::string_view local_cluster;     // of this process (Bootstrap.node); empty: it has none
  const event::SlotTable& slots;
  Arena& arena;
};

// One action: an entry of the descriptor, if the request has what it takes.
struct DescriptorAction {
  // A text of the configuration, or what a format makes of it; `otherwise` if that is nothing.
  struct Text {
    std::string text;
    std::unique_ptr<const stream::Format> format;  // null: the text as it is
    std::string otherwise;                         // empty: then there is no entry
  };
  struct GenericKey {
    Text value;
  };
  // An empty value if the process has no cluster, as published.
  struct SourceCluster {};
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
  // A text of the metadata that is not empty; anything else there counts as absent, as published.
  struct MetadataValue {
    std::vector<std::string> path;  // the namespace first
    std::string otherwise;          // empty: none
    bool of_route = false;          // instead of the request's
    bool skip_if_absent = false;
  };
  struct HeadersMatch {
    Text value;
    std::vector<HeaderMatcher> headers;
    bool expect = true;
  };
  struct QueryMatches {
    Text value;
    std::vector<QueryParameterMatcher> parameters;
    bool expect = true;
  };
  std::string key;
  std::variant<GenericKey, SourceCluster, DestinationCluster, RemoteAddress, MaskedRemoteAddress, RequestHeader,
               QueryParameter, MetadataValue, HeadersMatch, QueryMatches>
      what;
};

struct RateLimit {
  static constexpr size_t kMaxActions = 16;
  static constexpr size_t kMaxPerLevel = 64;  // of a route, a virtual host or a filter

  static constexpr uint32_t kMaxHits = 1'000'000'000;  // as published
  // Whether responses tell what is left for this descriptor.
  enum class Headers : uint8_t { kAsTheFilterSays, kOff, kDraft03 };

  uint32_t stage = 0;
  runtime::RuntimeFraction enabled{{100, 100}};  // by disable_key
  std::vector<DescriptorAction> actions;         // at most kMaxActions
  bool when_done = false;                        // counts when the stream is over, which refuses nothing
  Headers headers = Headers::kAsTheFilterSays;
  uint32_t hits = 1;                                  // that a request counts as
  std::unique_ptr<const stream::Format> hits_format;  // null: always `hits`

  // The descriptor, in `room`; empty: this request has none. No lock, no heap.
  Descriptor describe(const DescriptorFacts& facts, std::span<DescriptorEntry, kMaxActions> room) const noexcept;
  // No value: the format has made no number from 0 to kMaxHits, and the request does not count. As above.
  std::optional<uint32_t> count(const DescriptorFacts& facts) const noexcept;
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
