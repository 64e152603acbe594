// When a call of weir's own that has failed is made again.
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/random.h"
#include "core/base/time.h"
#include "core/http/header_map.h"
#include "core/proxy/headless_stream.h"

namespace weir::proxy {

// [immutable]
struct CallRetries {
  uint32_t on = 0;  // route::retry_on bits; 0: never
  uint32_t most = 1;
  Duration back_off_base = 1s;
  Duration back_off_max = 10s;

  // How long to wait before the call is made again. nullopt: it is not. `conditions`: those that its outcome meets;
  // `made`: how often it was made again so far; `left`: what remains of its time.
  std::optional<Duration> wait(uint32_t conditions, uint32_t made, Duration left, Random& random) const;
};

// The conditions that an outcome meets (but for those of gRPC, which has outcomes of its own).
uint32_t retry_conditions(const http::HeaderMap& response);
uint32_t retry_conditions(HeadlessFailure failure);

}  // namespace weir::proxy
