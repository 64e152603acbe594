#include "core/server/stats_flusher.h"

#include <utility>

#include "core/stats/intervals.h"

namespace weir::server {

struct StatsFlusher::Round {
  stats::Frozen stats;
  std::vector<std::shared_ptr<const stats::Sink>> sinks;
  std::shared_ptr<const stats::Intervals> intervals;

  void run(Memory& memory) {
    intervals = std::make_shared<const stats::Intervals>(stats::take_intervals(stats, memory.at_flush));
    for (const auto& sink : sinks) sink->flush(stats, *intervals);
  }
};

StatsFlusher::StatsFlusher(event::Lane& lane, stats::Store& store, event::Background& background,
                           std::function<stats::Reading()> read)
    : lane_(lane),
      store_(store),
      background_(background),
      read_(std::move(read)),
      flushes_(store.counter("server.stats_flushes")),
      overlapped_(store.counter("server.dropped_stat_flushes")) {}

StatsFlusher::~StatsFlusher() {
  *alive_ = false;
  for (const auto& sink : plan_.sinks) sink->end();
}

void StatsFlusher::start(FlushPlan plan) {
  plan_ = std::move(plan);
  if (plan_.interval > Duration::zero()) lane_.arm_in(*this, plan_.interval);
}

void StatsFlusher::flush() {
  if (plan_.interval > Duration::zero()) lane_.arm_in(*this, plan_.interval);
  if (under_way_) {
    overlapped_.inc();  // as published: what was not sent comes with the next one
    return;
  }
  under_way_ = true;
  // Without sinks it is about histograms, and no gauge is looked at.
  reading_.emplace(plan_.sinks.empty() ? stats::Reading(store_) : read_());
  go_on();
}

void StatsFlusher::go_on() {
  if (reading_->step()) return lane_.at_next_turn(*this);
  const std::shared_ptr<Round> round = take_round();
  background_.submit([round, memory = memory_] { round->run(*memory); },
                     [this, round, alive = alive_] {
                       if (*alive) finish(*round);
                     });
}

std::shared_ptr<StatsFlusher::Round> StatsFlusher::take_round() {
  auto round = std::make_shared<Round>();
  round->stats = reading_->take();
  reading_.reset();
  if (leaves_gauges_) round->stats.leave_out_gauges();
  round->sinks = plan_.sinks;
  return round;
}

void StatsFlusher::flush_last() {
  if (plan_.sinks.empty()) return;
  reading_.emplace(read_());
  while (reading_->step()) continue;
  take_round()->run(*memory_);
}

void StatsFlusher::finish(Round& round) {
  under_way_ = false;
  flushes_.inc();
  store_.set_intervals(round.intervals);
  for (const auto& sink : round.sinks) sink->deliver(lane_);
}

}  // namespace weir::server
