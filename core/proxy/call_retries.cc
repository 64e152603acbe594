#include "core/proxy/call_retries.h"

#include <utility>

#include "core/route/retry_policy.h"
#include "core/route/spec.h"
#include "core/upstream/lane_clusters.h"

namespace weir::proxy {

std::optional<Duration> CallAttempts::wait(const CallRetries& policy, event::Lane& lane, event::SlotId cluster,
                                           uint32_t conditions, Duration left, bool unseen) {
  const bool for_nothing = unseen && !repeated_ && left > Duration::zero();
  if (!for_nothing && (conditions & policy.on) == 0) return std::nullopt;
  upstream::LaneClusters* clusters = upstream::LaneClusters::find_on(lane);
  upstream::ClusterLocal* found = clusters != nullptr ? clusters->find(cluster) : nullptr;
  if (found == nullptr) return std::nullopt;
  cluster_ = found;
  const upstream::ClusterStats& stats = cluster_->stats();
  if (for_nothing) {
    repeated_ = true;
    stats.rq_retry.inc();
    return Duration::zero();
  }
  if (made_ >= policy.most) {
    stats.rq_retry_limit_exceeded.inc();
    return std::nullopt;
  }
  const Duration back_off = route::back_off_before(made_ + 1, policy.back_off_base, policy.back_off_max, lane.random());
  if (left <= back_off) return std::nullopt;
  if (!take_share()) {
    stats.rq_retry_overflow.inc();
    return std::nullopt;
  }
  ++made_;
  stats.rq_retry.inc();
  stats.rq_retry_backoff_exponential.inc();
  return back_off;
}

bool CallAttempts::take_share() {
  if (share_) return true;
  const upstream::Cluster& version = *cluster_->current();
  const upstream::CircuitBreakers& breakers = version.spec.breakers_of(cluster_->priority());
  if (breakers.has_retry_budget) {
    if (!breakers.budget_allows(cluster_->load(version))) return false;
    share_ = cluster_->retries.acquire();
    return true;
  }
  share_ = cluster_->retries.acquire();
  if (!share_) cluster_->recall(upstream::LimitKind::kRetries).ask();
  return share_;
}

void CallAttempts::end(bool answered) {
  if (std::exchange(share_, false)) cluster_->retries.release();
  if (answered && (made_ > 0 || repeated_) && cluster_->current() != nullptr) cluster_->stats().rq_retry_success.inc();
  made_ = 0;
  repeated_ = false;
}

uint32_t retry_conditions(const http::HeaderMap& response) {
  namespace on = route::retry_on;
  // A server that has had enough is asked again only by who wants just that.
  if (response.contains(http::HeaderId::kXEnvoyRatelimited)) return on::kEnvoyRatelimited;
  const int status = response.status_code();
  uint32_t conditions = 0;
  if (status >= 500) conditions |= on::k5xx;
  if (status >= 502 && status <= 504) conditions |= on::kGatewayError;
  if (status == 409) conditions |= on::kRetriable4xx;
  return conditions;
}

uint32_t retry_conditions(HeadlessFailure failure) {
  namespace on = route::retry_on;
  constexpr uint32_t kNoResponse = on::kReset | on::k5xx | on::kGatewayError;
  switch (failure) {
    case HeadlessFailure::kNoConnection:
      return kNoResponse | on::kConnectFailure | on::kResetBeforeRequest;
    case HeadlessFailure::kRefused:
      return kNoResponse | on::kRefusedStream | on::kResetBeforeRequest;
    case HeadlessFailure::kBroken:
    case HeadlessFailure::kProtocolError:
      return kNoResponse;
    default:  // another time would be no better, or there is none
      return 0;
  }
}

}  // namespace weir::proxy
