// What histograms have counted between two flushes.
#pragma once

#include "core/stats/store.h"

namespace weir::stats {

// Of every histogram in which something has come since it was looked at last; `before` is what they had counted then,
// and becomes what they have counted now. [any]
Intervals take_intervals(const Frozen& stats, Intervals& before);

}  // namespace weir::stats
