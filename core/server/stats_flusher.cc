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
                           std::function<void()> refresh)
    : lane_(lane),
      store_(store),
      background_(background),
      refresh_(std::move(refresh)),
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
  if (!plan_.sinks.empty()) refresh_();
  auto round = std::make_shared<Round>();
  round->stats = store_.freeze();
  round->sinks = plan_.sinks;
  background_.submit([round, memory = memory_] { round->run(*memory); },
                     [this, round, alive = alive_] {
                       if (*alive) finish(*round);
                     });
}

void StatsFlusher::finish(Round& round) {
  under_way_ = false;
  flushes_.inc();
  store_.set_intervals(round.intervals);
  for (const auto& sink : round.sinks) sink->deliver(lane_);
}

}  // namespace weir::server
