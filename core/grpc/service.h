// A gRPC service as it is configured (envoy.config.core.v3.GrpcService with envoy_grpc): a cluster, and what every call
// to it has. read_service.h makes it of the message.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/time.h"
#include "core/event/slot.h"
#include "core/proxy/call_retries.h"
#include "core/stream/header_value.h"

namespace weir::grpc {

// [immutable] Outlives its calls.
struct Service {
  event::SlotId cluster;
  std::string authority;  // never empty
  Duration timeout{};     // from the begin of a call to its end; zero: none
  std::vector<stream::HeaderValue> metadata;
  uint32_t max_message = 4 * 1024 * 1024;  // bytes of a message that comes
  bool tells_internal = true;              // x-envoy-internal: the call is weir's own
  proxy::CallRetries retries;              // of calls with one message each way (call.h)
};

}  // namespace weir::grpc
