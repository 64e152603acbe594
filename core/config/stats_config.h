// From envoy.config.metrics.v3.StatsConfig to the rules of stats::Store. [main]
#pragma once

#include <span>

#include "core/config/field_report.h"
#include "core/stats/store.h"

namespace envoy::config::metrics::v3 {
class StatsConfig;
}

namespace weir::config {

// `of_all`: the tags that every statistic has already, from the command line.
stats::Rules translate_stats_config(const envoy::config::metrics::v3::StatsConfig& proto, const FieldReport& at,
                                    std::span<const stats::Tag> of_all);

}  // namespace weir::config
