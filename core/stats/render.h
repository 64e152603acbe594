// The shapes in which statistics are shown: "name: value" lines, JSON, and for Prometheus text or messages.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/long_text.h"
#include "core/stats/store.h"

namespace weir::stats {

// The upper bounds of histogram buckets shown to Prometheus, as published.
inline constexpr double kDefaultBounds[] = {0.5,  1,    5,     10,    25,    50,     100,    250,     500,    1000,
                                            2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000};

struct RenderOptions {
  std::optional<Type> type = std::nullopt;  // nothing: all
  bool used_only = false;                   // leave out counters and histograms never touched, zero gauges never set
  std::function<bool(std::string_view name)> filter = nullptr;  // nullptr: everything
  std::string_view prometheus_prefix = "envoy_";
  std::span<const double> bounds = kDefaultBounds;  // ascending
  std::span<const Tag> tags = {};                   // of every statistic: labels, and in JSON once for all under "weir"
  // What text and JSON say of histograms: quantiles, or how many values came up to each bound (or between it and the
  // one before), in the last interval and in all. kDetailed: quantiles, and the buckets in which values are counted.
  // Prometheus gets cumulative ones, but for kNative (in messages alone), and kQuantiles: summaries of the last
  // interval.
  enum class Buckets : uint8_t { kSummary, kCumulative, kDisjoint, kDetailed, kNative, kQuantiles };
  Buckets buckets = Buckets::kSummary;
  // So many series has a Prometheus name at most; those behind them, in name order, are one, whose own labels have the
  // value "other". 0: no limit.
  size_t series_limit = 0;
};

// Counters and gauges in name order, then histograms in name order. [any]
std::string render_text(const Frozen& stats, const RenderOptions& options);
std::string render_json(const Frozen& stats, const RenderOptions& options);
// Families in name order, each under one TYPE line. Two statistics whose names differ only in characters that
// Prometheus does not know share a family; a statistic of another type than its family gets its type as a suffix.
LongText render_prometheus(const Frozen& stats, const RenderOptions& options);
// The same as messages io.prometheus.client.MetricFamily, each with its length before it.
LongText render_prometheus_protobuf(const Frozen& stats, const RenderOptions& options);

// [main] Of now.
inline std::string render_text(const Store& store, const RenderOptions& options) {
  return render_text(store.freeze(), options);
}
inline std::string render_json(const Store& store, const RenderOptions& options) {
  return render_json(store.freeze(), options);
}
inline LongText render_prometheus(const Store& store, const RenderOptions& options) {
  return render_prometheus(store.freeze(), options);
}

// "cluster.x.upstream-cx" -> "cluster_x_upstream_cx"
std::string prometheus_name(std::string_view prefix, std::string_view dotted);

}  // namespace weir::stats
