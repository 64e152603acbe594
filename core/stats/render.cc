#include "core/stats/render.h"

#include <cmath>
#include <utility>
#include <vector>

#include "core/stats/escape.h"
#include "core/stats/render_parts.h"

namespace weir::stats {
namespace {

double interval_quantile(const HistogramSnapshot* interval, double percent) {
  return interval != nullptr ? interval->quantile(percent) : std::nan("");
}

// How many values each bound stands for, in the interval and in all.
struct BoundCounts {
  double bound;
  uint64_t interval, all;
};
std::vector<BoundCounts> bound_counts(const HistogramSnapshot& all, const HistogramSnapshot* interval,
                                      std::span<const double> bounds, const RenderOptions& options) {
  std::vector<BoundCounts> out;
  BoundCounts before{0, 0, 0};
  const bool disjoint = options.buckets == RenderOptions::Buckets::kDisjoint;
  for (double bound : bounds) {
    const BoundCounts here{bound, interval != nullptr ? interval->count_at_most(bound) : 0, all.count_at_most(bound)};
    out.push_back(disjoint ? BoundCounts{bound, here.interval - before.interval, here.all - before.all} : here);
    before = here;
  }
  return out;
}

}  // namespace

std::string render_text(const Frozen& store, const RenderOptions& options) {
  std::string out;
  std::string histograms;
  visit_chosen(store, options, [&](const Sample& sample) {
    std::string& to = sample.type == Type::kHistogram ? histograms : out;
    append_escaped(to, sample.name, Escape::kLog);
    to += ": ";
    if (sample.type != Type::kHistogram) {
      append_value(to, sample);
      to += '\n';
      return;
    }
    HistogramSnapshot all = read_histogram(sample.cell);
    const HistogramSnapshot* interval = store.interval(sample.cell);
    if (all.count == 0) {
      to += "No recorded values\n";
      return;
    }
    bool first = true;
    if (options.buckets != RenderOptions::Buckets::kSummary) {
      for (const BoundCounts& one : bound_counts(all, interval, store.bounds(sample.name, options.bounds), options)) {
        to += std::exchange(first, false) ? "B" : " B";
        append_number(to, one.bound, "");
        to += '(';
        append_number(to, one.interval);
        to += ',';
        append_number(to, one.all);
        to += ')';
      }
      to += '\n';
      return;
    }
    for (double percent : kQuantiles) {
      if (!first) to += ' ';
      first = false;
      to += 'P';
      append_number(to, percent, "");
      to += '(';
      append_number(to, interval_quantile(interval, percent), "nan");
      to += ',';
      append_number(to, all.quantile(percent), "nan");
      to += ')';
    }
    to += '\n';
  });
  return out + histograms;
}

std::string render_json(const Frozen& store, const RenderOptions& options) {
  std::string out = "{\"stats\":[";
  std::string histograms;
  bool first = true;
  visit_chosen(store, options, [&](const Sample& sample) {
    if (sample.type != Type::kHistogram) {
      if (!first) out += ',';
      first = false;
      out += "{\"name\":\"";
      append_escaped(out, sample.name, Escape::kJson);
      out += "\",\"value\":";
      append_value(out, sample);
      out += '}';
      return;
    }
    HistogramSnapshot all = read_histogram(sample.cell);
    const HistogramSnapshot* interval = store.interval(sample.cell);
    if (!histograms.empty()) histograms += ',';
    histograms += "{\"name\":\"";
    append_escaped(histograms, sample.name, Escape::kJson);
    if (options.buckets != RenderOptions::Buckets::kSummary) {
      histograms += "\",\"buckets\":[";
      const char* comma = "";
      for (const BoundCounts& one : bound_counts(all, interval, store.bounds(sample.name, options.bounds), options)) {
        histograms += std::exchange(comma, ",");
        histograms += "{\"upper_bound\":";
        append_number(histograms, one.bound, "null");
        histograms += ",\"interval\":";
        append_number(histograms, one.interval);
        histograms += ",\"cumulative\":";
        append_number(histograms, one.all);
        histograms += '}';
      }
      histograms += "]}";
      return;
    }
    histograms += "\",\"values\":[";
    for (double percent : kQuantiles) {
      if (percent != kQuantiles[0]) histograms += ',';
      histograms += "{\"cumulative\":";
      append_number(histograms, all.quantile(percent), "null");
      histograms += ",\"interval\":";
      append_number(histograms, interval_quantile(interval, percent), "null");
      histograms += '}';
    }
    histograms += "]}";
  });
  if (!histograms.empty() && options.buckets != RenderOptions::Buckets::kSummary) {
    if (!first) out += ',';
    out += "{\"histograms\":[" + histograms + "]}";
  } else if (!histograms.empty()) {
    if (!first) out += ',';
    out += "{\"histograms\":{\"supported_quantiles\":[";
    for (double percent : kQuantiles) {
      if (percent != kQuantiles[0]) out += ',';
      append_number(out, percent, "null");
    }
    out += "],\"computed_quantiles\":[" + histograms + "]}}";
  }
  out += ']';
  for (const Tag& tag : options.tags) {
    out += &tag == options.tags.data() ? ",\"weir\":{\"tags\":{\"" : ",\"";
    append_escaped(out, tag.name, Escape::kJson);
    out += "\":\"";
    append_escaped(out, tag.value, Escape::kJson);
    out += '"';
  }
  out += options.tags.empty() ? "}" : "}}}";
  return out;
}

}  // namespace weir::stats
