#include "core/server/stats_flusher.h"

#include <utility>

namespace weir::server {

struct StatsFlusher::Round {
  stats::Frozen stats;
  std::vector<std::shared_ptr<const stats::Sink>> sinks;
  std::shared_ptr<const stats::Intervals> intervals;

  void run(Memory& memory) {
    stats::Intervals now, since;
    stats.for_each_histogram([&](uint32_t cell) {
      stats::HistogramSnapshot read = stats::read_histogram(cell);
      if (read.count == 0) return;
      const auto before = memory.at_flush.find(cell);
      // Fewer than before: the cell is another histogram's by now.
      if (before == memory.at_flush.end() || before->second.count > read.count) {
        since.emplace(cell, read);
      } else if (before->second.count < read.count) {
        since.emplace(cell, read.since(before->second));
      }
      now.emplace(cell, std::move(read));
    });
    memory.at_flush = std::move(now);
    intervals = std::make_shared<const stats::Intervals>(std::move(since));
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
