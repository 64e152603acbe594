// All statistics of a store, read over as many turns as ten thousands of clusters take: a lane's other work goes on in
// between. What comes or goes meanwhile may be in it or not. [main]
#pragma once

#include <functional>
#include <utility>

#include "core/stats/store.h"

namespace weir::stats {

class Reading {
 public:
  // A slice of bringing gauges up to date that follow something else. True: there is more.
  using Refresh = std::function<bool()>;
  explicit Reading(const Store& store, Refresh refresh = nullptr) : store_(store), refresh_(std::move(refresh)) {}

  // A slice, to be taken once a turn: half a millisecond, if that. True: there is more.
  bool step();
  // Once there is no more.
  Frozen take() { return std::move(frozen_); }

 private:
  const Store& store_;
  Refresh refresh_;  // null: done
  Store::Place place_;
  Frozen frozen_;
};

}  // namespace weir::stats
