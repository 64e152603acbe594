// Where copies of requests go: RouteAction.request_mirror_policies and the same field of the levels above, compiled.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/event/slot.h"
#include "core/http/header_map.h"
#include "core/route/header_mutations.h"
#include "core/runtime/runtime.h"

namespace weir::route {

// [immutable]
struct Mirror {
  std::string cluster;
  event::SlotId slot;                              // of `cluster`
  std::unique_ptr<const http::HeaderName> header;  // names the cluster instead
  runtime::RuntimeFraction fraction;               // of the requests
  bool keeps_host = false;                         // else "-shadow" is appended to its name
  std::string host;                                // instead of it, as it is; empty: none
  std::vector<HeaderMutationStep> mutations;       // of the copy's headers, in this order
};
using Mirrors = std::vector<Mirror>;

}  // namespace weir::route
