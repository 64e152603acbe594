// Ends the intervals of histograms and gives statistics to the sinks, again and again (stats_flush_interval). The work
// is done beside the lanes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/event/background.h"
#include "core/event/lane.h"
#include "core/event/timer.h"
#include "core/stats/reading.h"
#include "core/stats/sink.h"
#include "core/stats/store.h"

namespace weir::server {

// What the bootstrap says of it.
struct FlushPlan {
  Duration interval = 5s;  // zero: only when statistics are asked for
  std::vector<std::shared_ptr<const stats::Sink>> sinks;
};

// [main]
class StatsFlusher final : private event::Timer, private event::EndOfTurn {
 public:
  // `read`: begins to read statistics for somebody who shows them.
  StatsFlusher(event::Lane& lane, stats::Store& store, event::Background& background,
               std::function<stats::Reading()> read);
  ~StatsFlusher() override;

  void start(FlushPlan plan);
  // Statistics are about to be shown.
  void on_asked() {
    if (plan_.interval == Duration::zero()) flush();
  }
  // Another process shows the gauges of both; what this one counts it goes on saying itself.
  void leave_gauges() { leaves_gauges_ = true; }
  // What has come since the last time, at once; nothing runs beside the lanes any more.
  void flush_last();

 private:
  struct Round;
  // What the thread alone looks at.
  struct Memory {
    stats::Intervals at_flush;  // of histograms: what they had counted
  };
  void on_timer() override { flush(); }
  void on_end_of_turn() override { go_on(); }
  void flush();
  void go_on();
  std::shared_ptr<Round> take_round();
  void finish(Round& round);

  event::Lane& lane_;
  stats::Store& store_;
  event::Background& background_;
  const std::function<stats::Reading()> read_;
  FlushPlan plan_;
  std::shared_ptr<Memory> memory_ = std::make_shared<Memory>();
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // [main]
  std::optional<stats::Reading> reading_;                       // of the round that is under way
  bool under_way_ = false;
  bool leaves_gauges_ = false;
  stats::Counter flushes_, overlapped_;
};

}  // namespace weir::server
