// Several deadlines behind one timer. Setting, moving and clearing one only stores a time; the timer itself is touched
// when a deadline is earlier than what it is armed for, and re-armed when it fires early. In the steady state of a
// keep-alive connection it is touched about once per timeout, not once per request.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "core/base/intrusive_list.h"
#include "core/base/time.h"
#include "core/event/lane.h"
#include "core/proxy/overload.h"

namespace weir::proxy {

enum class DeadlineKind : uint8_t {
  kConnectionIdle,  // no stream on the connection
  kRequestHeaders,  // the head of a request must be complete
  kConnectionMax,   // max_connection_duration
  kStreamIdle,
  kRequest,  // the whole request must be received
  kStreamMax,
  kAccessLog,  // the next line of a request that goes on
  kRoute,      // the response must be complete
  kPerTry,     // the earliest of the router's attempts
  kCount,
};

class Deadlines final : private event::Timer {
 public:
  class Owner {
   public:
    // A deadline has passed; it is cleared already. May set others.
    virtual void on_deadline(DeadlineKind kind) = 0;

   protected:
    ~Owner() = default;
  };
  Deadlines(event::Lane& lane, Owner& owner) : lane_(lane), owner_(owner) { at_.fill(kNever); }

  // From now on some of them are as short as the overload manager wants, also those that are set already. The caller
  // puts this into the lane's list.
  void scale_by(const Overload& overload) { scaled_ = std::make_unique<Scaled>(Scaled{overload, {}}); }
  // How short has changed.
  void rescale();

  void set(DeadlineKind kind, MonoTime when) {
    if (scaled_ != nullptr) [[unlikely]]
      forget(kind);
    set_plain(kind, when);
  }
  // Zero (or less): no such deadline.
  void set_in(DeadlineKind kind, Duration after) {
    if (after > Duration::zero()) {
      if (scaled_ != nullptr) [[unlikely]]
        return set_scaled(kind, after);
      set(kind, lane_.now() + after);
    } else {
      clear(kind);
    }
  }
  void clear(DeadlineKind kind) { at_[static_cast<size_t>(kind)] = kNever; }
  bool is_set(DeadlineKind kind) const { return at_[static_cast<size_t>(kind)] != kNever; }
  void clear_stream() {
    for (auto kind = static_cast<size_t>(DeadlineKind::kStreamIdle); kind < at_.size(); ++kind) at_[kind] = kNever;
  }
  void stop() {
    at_.fill(kNever);
    cancel();
    armed_for_ = kNever;
  }

  ListNode node_;  // in LaneProxy::scaled_deadlines()

 private:
  // What rescale() needs of the kinds that are scaled.
  struct Scaled {
    struct One {
      MonoTime begun{};
      Duration full{};  // zero: not scaled, or not set
    };
    const Overload& overload;
    std::array<One, static_cast<size_t>(ScaledTimeout::kCount)> ones;
  };
  static ScaledTimeout scaled_kind(DeadlineKind kind);
  void forget(DeadlineKind kind);
  void set_scaled(DeadlineKind kind, Duration after);
  void set_plain(DeadlineKind kind, MonoTime when) {
    at_[static_cast<size_t>(kind)] = when;
    if (when < armed_for_) arm_for(when);
  }
  static constexpr MonoTime kNever = MonoTime::max();
  void arm_for(MonoTime when) {
    armed_for_ = when;
    lane_.arm(*this, when);
  }
  void on_timer() override;

  event::Lane& lane_;
  Owner& owner_;
  MonoTime armed_for_ = kNever;
  std::unique_ptr<Scaled> scaled_;  // only with an overload manager that reduces timeouts
  std::array<MonoTime, static_cast<size_t>(DeadlineKind::kCount)> at_;
};

}  // namespace weir::proxy
