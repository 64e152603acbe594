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

uint64_t width_of(uint32_t bucket) { return bucket_high(bucket) - bucket_low(bucket) + 1; }

const std::vector<HistogramSnapshot::Bucket>& buckets_of(const HistogramSnapshot* histogram) {
  static const std::vector<HistogramSnapshot::Bucket> kNone;
  return histogram != nullptr ? histogram->buckets : kNone;
}

// "lower bound,width:count" of each bucket that counts something.
void append_buckets_text(std::string& out, const HistogramSnapshot* histogram) {
  const char* comma = "";
  for (const HistogramSnapshot::Bucket& one : buckets_of(histogram)) {
    out += std::exchange(comma, ", ");
    append_number(out, bucket_low(one.bucket));
    out += ',';
    append_number(out, width_of(one.bucket));
    out += ':';
    append_number(out, one.count);
  }
}

void append_buckets_json(std::string& out, const HistogramSnapshot* histogram) {
  const char* comma = "";
  for (const HistogramSnapshot::Bucket& one : buckets_of(histogram)) {
    out += std::exchange(comma, ",");
    out += "{\"lower_bound\":";
    append_number(out, bucket_low(one.bucket));
    out += ",\"width\":";
    append_number(out, width_of(one.bucket));
    out += ",\"count\":";
    append_number(out, one.count);
    out += '}';
  }
}

bool by_bounds(const RenderOptions& options) {
  return options.buckets == RenderOptions::Buckets::kCumulative || options.buckets == RenderOptions::Buckets::kDisjoint;
}

bool detailed(const RenderOptions& options) { return options.buckets == RenderOptions::Buckets::kDetailed; }

}  // namespace

std::string render_text(const Frozen& store, const RenderOptions& options) {
  std::string out;
  std::string histograms;
  visit_chosen(store, options, [&](const Sample& sample) {
    std::string& to = sample.type == Type::kHistogram ? histograms : out;
    append_escaped(to, sample.name, Escape::kLog);
    if (sample.type != Type::kHistogram) {
      to += ": ";
      append_value(to, sample);
      to += '\n';
      return;
    }
    HistogramSnapshot all = read_histogram(sample.cell);
    const HistogramSnapshot* interval = store.interval(sample.cell);
    if (all.count == 0) {
      to += ": No recorded values\n";
      return;
    }
    bool first = true;
    if (detailed(options)) {
      to += ":\n  totals=";
      append_buckets_text(to, &all);
      to += "\n  intervals=";
      append_buckets_text(to, interval);
      to += "\n  summary=";
    } else {
      to += ": ";
    }
    if (by_bounds(options)) {
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
    if (by_bounds(options)) {
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
    if (detailed(options)) {
      histograms += "\",\"totals\":[";
      append_buckets_json(histograms, &all);
      histograms += "],\"intervals\":[";
      append_buckets_json(histograms, interval);
      histograms += "],\"percentiles\":[";
    } else {
      histograms += "\",\"values\":[";
    }
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
  if (!histograms.empty() && by_bounds(options)) {
    if (!first) out += ',';
    out += "{\"histograms\":[" + histograms + "]}";
  } else if (!histograms.empty()) {
    if (!first) out += ',';
    out += detailed(options) ? "{\"histograms\":{\"supported_percentiles\":["
                             : "{\"histograms\":{\"supported_quantiles\":[";
    for (double percent : kQuantiles) {
      if (percent != kQuantiles[0]) out += ',';
      append_number(out, percent, "null");
    }
    out += detailed(options) ? "],\"details\":[" : "],\"computed_quantiles\":[";
    out += histograms + "]}}";
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
