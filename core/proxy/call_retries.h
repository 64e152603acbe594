// When a call of weir's own that has failed is made again.
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/time.h"
#include "core/event/lane.h"
#include "core/event/slot.h"
#include "core/http/header_map.h"
#include "core/proxy/headless_stream.h"

namespace weir::proxy {

// [immutable]
struct CallRetries {
  uint32_t on = 0;  // route::retry_on bits; 0: never
  uint32_t most = 1;
  Duration back_off_base = 1s;
  Duration back_off_max = 10s;
};

// The attempts of one call, which does no harm when it is made twice: how often it was made again, and its share of the
// retries that its cluster may have at a time, which ends with this. Counted in the cluster's statistics. [worker]
class CallAttempts {
 public:
  CallAttempts() = default;
  ~CallAttempts() { end(false); }
  CallAttempts(const CallAttempts&) = delete;
  CallAttempts& operator=(const CallAttempts&) = delete;

  // How long to wait before the call is made again; nullopt: it is not. `conditions`: those that its outcome meets;
  // `left`: what remains of its time. `unseen`: its server has not acted on it (HeadlessStream::unseen()): once it is
  // made again for that, at once and without any policy, as requests of clients are.
  std::optional<Duration> wait(const CallRetries& policy, event::Lane& lane, event::SlotId cluster, uint32_t conditions,
                               Duration left, bool unseen);
  // The call is over. `answered`: as it should be.
  void end(bool answered);

 private:
  bool take_share();

  upstream::ClusterLocal* cluster_ = nullptr;  // once it was made again
  uint32_t made_ = 0;
  bool repeated_ = false;  // for nothing
  bool share_ = false;
};

// The conditions that an outcome meets (but for those of gRPC, which has outcomes of its own).
uint32_t retry_conditions(const http::HeaderMap& response);
uint32_t retry_conditions(HeadlessFailure failure);

}  // namespace weir::proxy
