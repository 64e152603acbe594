#include "core/dns/refresh.h"

#include <algorithm>

namespace weir::dns {
namespace {

// Uniform, in whole milliseconds, up to and with `most`.
Duration up_to(Duration most, Random& random) {
  const int64_t ms = std::min<int64_t>(to_ms(most), UINT32_MAX - 1);
  return ms > 0 ? std::chrono::milliseconds(random.below(static_cast<uint32_t>(ms) + 1)) : Duration{};
}

}  // namespace

Duration Refresh::after(const Answer& answer, Random& random) {
  if (!answer.complete() && plan_.failure_base > Duration{}) {
    const Duration most = std::max(plan_.failure_most, plan_.failure_base);
    back_off_ = back_off_ == Duration{} ? plan_.failure_base : back_off_ > most / 2 ? most : back_off_ * 2;
    return std::max<Duration>(back_off_ / 2 + up_to(back_off_ - back_off_ / 2, random), 1ms);
  }
  if (answer.complete()) back_off_ = {};
  Duration next = plan_.rate;
  if (plan_.respect_ttl && answer.ttl.has_value() && *answer.ttl > Duration{}) {
    next =
        std::clamp<Duration>(*answer.ttl, plan_.least_ttl, std::max<Duration>(RefreshPlan::kMostTtl, plan_.least_ttl));
  }
  return std::max<Duration>(next + up_to(plan_.jitter, random), 1ms);
}

}  // namespace weir::dns
