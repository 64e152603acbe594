// Where copies of requests go: RouteAction.request_mirror_policies and the same field of the levels above, compiled.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/event/slot.h"
#include "core/http/header_map.h"
#include "core/match/string_matcher.h"
#include "core/route/header_mutations.h"
#include "core/runtime/runtime.h"

namespace weir::route {

// [immutable] One of the two.
struct MirrorMutation {
  HeaderMutations mutations;
  std::unique_ptr<const match::StringMatcher> remove_matching;  // of names

  void apply(http::HeaderMap& headers, const stream::LogSubject& subject, Arena& arena) const {
    if (remove_matching == nullptr) {
      mutations.apply(headers, subject, arena);
    } else {
      headers.remove_if([this](const http::HeaderEntry& entry) {
        return entry.name_data[0] != ':' && remove_matching->matches(entry.name());
      });
    }
  }
};

// [immutable]
struct Mirror {
  std::string cluster;
  event::SlotId slot;                              // of `cluster`
  std::unique_ptr<const http::HeaderName> header;  // names the cluster instead
  runtime::RuntimeFraction fraction;               // of the requests
  bool keeps_host = false;                         // else "-shadow" is appended to its name
  std::string host;                                // instead of it, as it is; empty: none
  std::vector<MirrorMutation> mutations;           // of the copy's headers, in this order
};
using Mirrors = std::vector<Mirror>;

}  // namespace weir::route
