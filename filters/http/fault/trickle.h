// A body that goes on at a limited rate: a part every 50 ms, what does not fit waits and stops its source. One second's
// worth may go at once after a rest.
#pragma once

#include <cstdint>

#include "core/base/block.h"
#include "core/base/time.h"
#include "core/event/lane.h"
#include "core/event/timer.h"
#include "core/filter/http_filter.h"

namespace weir::filters::fault {

// [worker]
class Trickle final : private event::Timer {
 public:
  void start(event::Lane& lane, uint64_t bytes_per_second);
  bool started() const { return rate_ != 0; }
  // In a data hook, whose verdict it gives.
  filter::Action pass(filter::Stream& stream, Slices& data);
  void stop() {
    cancel();
    resume_.cancel();
  }

 private:
  static constexpr Duration kTick = std::chrono::milliseconds(50);
  void on_timer() override;
  // Bytes that may go now; at most one second's worth.
  uint64_t allowed();

  event::Lane* lane_ = nullptr;
  uint64_t rate_ = 0;  // bytes per second
  uint64_t ready_ = 0;
  MonoTime counted_{};
  filter::Resume resume_;
  Slices waiting_;
};

}  // namespace weir::filters::fault
