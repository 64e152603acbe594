// What the process does against too much work, as the lanes see it: how much of each action is in force. Main writes,
// lanes read without a lock (core/server/overload_manager.h says when). Without an overload manager all of it is zero.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>

#include "core/base/random.h"
#include "core/base/time.h"
#include "core/stats/handles.h"

namespace weir::proxy {

enum class OverloadAction : uint8_t {
  kStopAcceptingRequests,
  kDisableKeepalive,
  kStopAcceptingConnections,
  kRejectIncomingConnections,
  kShrinkHeap,
  kReduceTimeouts,
  kResetHighMemoryStream,
  kCount
};

enum class ShedPoint : uint8_t {
  kListenerAccept,       // a connection that was accepted: it is closed
  kDecodeHeaders,        // a request: it is answered with 503
  kBeforeCodec,          // the first bytes of an HTTP connection: it is closed
  kHttp1AbortDispatch,   // any bytes of an HTTP/1 connection: it is closed
  kHttp2GoAway,          // any bytes of an HTTP/2 connection: it is to end, and what was asked for is answered
  kHttp2GoAwayAndClose,  // the same: it ends at once
  kCount
};

// Timeouts that kReduceTimeouts makes shorter.
enum class ScaledTimeout : uint8_t { kConnectionIdle, kStreamIdle, kConnectionMax, kTransportConnect, kCount };

class Overload {
 public:
  // How far down a timeout goes: to `least`, or to this share of what is configured.
  struct Reduction {
    bool on = false;
    Duration least{};
    double share = 1;  // if `least` is zero
  };
  std::array<Reduction, static_cast<size_t>(ScaledTimeout::kCount)> reductions{};  // before the lanes run
  bool reduces = false;                                                            // any of them
  std::array<stats::Counter, static_cast<size_t>(ShedPoint::kCount)> shed_counts{};
  // kResetHighMemoryStream looks at streams that hold two to the power of this, and more; 0: at none. Before the lanes
  // run.
  uint32_t smallest_account = 0;
  stats::Counter streams_reset;

  // --- [any] ---
  // Whether any action or shed point is in force: what a request asks first.
  bool acts() const { return in_force_.load(std::memory_order_relaxed) != 0; }
  bool any(OverloadAction action) const { return value(action) != 0; }
  bool saturated(OverloadAction action) const { return value(action) >= kFull; }
  // Whether it hits this one: by chance, as often as the action is in force.
  bool hits(OverloadAction action, Random& random) const { return drawn(value(action), random); }
  bool sheds(ShedPoint point, Random& random) const {
    const auto at = static_cast<size_t>(point);
    if (!drawn(points_[at].load(std::memory_order_relaxed), random)) return false;
    shed_counts[at].inc();
    return true;
  }
  // A timeout as it is now.
  Duration reduced(ScaledTimeout kind, Duration full) const {
    const Reduction& reduction = reductions[static_cast<size_t>(kind)];
    const uint32_t now = value(OverloadAction::kReduceTimeouts);
    if (!reduction.on || now == 0 || full <= Duration::zero()) return full;
    const double whole = static_cast<double>(full.count());
    const double least =
        reduction.least > Duration::zero() ? static_cast<double>(reduction.least.count()) : whole * reduction.share;
    if (least >= whole) return full;
    const double reduced = whole - (whole - least) * now / kFull;
    return std::max(Duration(1ms), Duration(static_cast<int64_t>(reduced)));  // zero would be none at all
  }

  // --- [main] ---
  // From 0 (not at all) to 1.
  void set(OverloadAction action, double value) { store(actions_[static_cast<size_t>(action)], value); }
  void set(ShedPoint point, double value) { store(points_[static_cast<size_t>(point)], value); }

 private:
  static constexpr uint32_t kFull = 1 << 16;
  static bool drawn(uint32_t value, Random& random) {
    if (value == 0) [[likely]]
      return false;
    return value >= kFull || (random.next() & (kFull - 1)) < value;
  }
  void store(std::atomic<uint32_t>& to, double value) {
    const auto now = static_cast<uint32_t>(std::lround(value * kFull));
    const uint32_t before = to.exchange(now, std::memory_order_relaxed);
    const uint32_t more = (now != 0 ? 1u : 0u) - (before != 0 ? 1u : 0u);
    in_force_.store(in_force_.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }
  uint32_t value(OverloadAction action) const {
    return actions_[static_cast<size_t>(action)].load(std::memory_order_relaxed);
  }
  std::atomic<uint32_t> in_force_{0};  // how many of the following are not zero
  std::array<std::atomic<uint32_t>, static_cast<size_t>(OverloadAction::kCount)> actions_{};
  std::array<std::atomic<uint32_t>, static_cast<size_t>(ShedPoint::kCount)> points_{};
};

}  // namespace weir::proxy
