// envoy.filters.http.health_check: answers the health checks of those that stand before this proxy, for itself, for its
// clusters, or with what the upstream said lately.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/time.h"
#include "core/event/slot.h"
#include "core/filter/http_filter.h"
#include "core/match/header_matcher.h"

namespace weir::filters::health_check {

// What the upstream said last, for all lanes. [any] One word: a status, whether it is degraded, until when it counts.
class Cache {
 public:
  struct Answer {
    int status;  // 0: none that still counts
    bool degraded;
  };
  void put(Answer answer, MonoTime until) noexcept {
    const uint64_t said = static_cast<uint64_t>(answer.status) | (answer.degraded ? kDegraded : 0);
    word_.store(static_cast<uint64_t>(ms(until)) << 16 | said, std::memory_order_relaxed);
  }
  Answer get(MonoTime now) const noexcept {
    const uint64_t word = word_.load(std::memory_order_relaxed);
    if (static_cast<int64_t>(word >> 16) <= ms(now)) return {0, false};
    return {static_cast<int>(word & (kDegraded - 1)), (word & kDegraded) != 0};
  }

 private:
  static constexpr uint64_t kDegraded = 1 << 15;
  static int64_t ms(MonoTime time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  }
  std::atomic<uint64_t> word_{0};
};

struct ClusterShare {
  event::SlotId hosts;
  double percent = 0;  // of hosts that must be healthy
};

// [immutable] but for the cache.
struct Settings {
  std::vector<match::HeaderMatcher> headers;  // all must match
  bool pass_through = false;
  Duration cache_time{};         // zero: every check goes to the upstream
  std::unique_ptr<Cache> cache;  // only with a cache_time
  std::vector<ClusterShare> clusters;
  std::string local_cluster;  // the name of this proxy's own; empty: it has none
};

// One per stream. [worker]
class Filter : public filter::HttpFilter {
 public:
  explicit Filter(const Settings& settings) : settings_(settings) {}
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;

 private:
  filter::Action answer(filter::Stream& stream, int status, std::string_view details);
  void mark(http::HeaderMap& headers) const;

  const Settings& settings_;
  bool is_check_ = false;
  bool degraded_ = false;  // said the upstream, in the answer that is kept
};

}  // namespace weir::filters::health_check
