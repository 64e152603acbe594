#include "core/route/route_stats.h"

namespace weir::route {
namespace {

using stats::Type;
using stats::Unit;
using stream::ResponseFlag;

constexpr stats::Definition kDefinitions[] = {
    {"upstream_rq_total", Type::kCounter},
    {"upstream_rq_timeout", Type::kCounter},
    {"upstream_rq_retry", Type::kCounter},
    {"upstream_rq_retry_success", Type::kCounter},
    {"upstream_rq_retry_limit_exceeded", Type::kCounter},
    {"upstream_rq_retry_overflow", Type::kCounter},
    {"upstream_rq_time", Type::kHistogram, Unit::kMilliseconds},
};

const stats::GroupKind kKind{"vhost", "envoy_virtual_host", kDefinitions};

}  // namespace

RouteStats::RouteStats(stats::Store& store, const std::string& virtual_host, Kind kind, const std::string& name)
    : group_(store.group(kKind, virtual_host + (kind == Kind::kRoute ? ".route." : ".vcluster.") + name)),
      rq_total_(group_->counter(0)),
      rq_timeout_(group_->counter(1)),
      rq_retry_(group_->counter(2)),
      rq_retry_success_(group_->counter(3)),
      rq_retry_limit_exceeded_(group_->counter(4)),
      rq_retry_overflow_(group_->counter(5)),
      rq_time_(group_->histogram(6)),
      codes_(*group_, "upstream_rq") {}

void RouteStats::count(const stream::StreamInfo& info) const {
  rq_total_.add(info.upstream.attempts);  // as published: what was begun towards servers
  if (info.flags.has(ResponseFlag::kUpstreamRequestTimeout)) rq_timeout_.inc();
  if (info.upstream.attempts > 1) {
    rq_retry_.add(info.upstream.attempts - 1);
    if (info.response_code != 0 && info.response_code < 500) rq_retry_success_.inc();
  }
  if (info.flags.has(ResponseFlag::kUpstreamRetryLimitExceeded)) rq_retry_limit_exceeded_.inc();
  if (info.response_code == 0) return;
  codes_.inc(info.response_code);
  const MonoTime answered = info.upstream.last_rx;
  if (info.request_end != MonoTime() && answered >= info.request_end)
    rq_time_.record(static_cast<uint64_t>(to_ms(answered - info.request_end)));
}

}  // namespace weir::route
