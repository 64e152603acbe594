#include "core/stats/render.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "core/stats/escape.h"

namespace weir::stats {
namespace {

void append_number(std::string& out, uint64_t number) {
  char buffer[20];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr);
}

void append_number(std::string& out, int64_t number) {
  char buffer[20];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr);
}

// The shortest form without an exponent; `none` for NaN.
void append_number(std::string& out, double number, std::string_view none) {
  if (std::isnan(number)) {
    out += none;
    return;
  }
  char buffer[64];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::fixed).ptr);
}

void append_value(std::string& out, const Sample& sample) {
  if (sample.type == Type::kGauge) {
    append_number(out, static_cast<int64_t>(sample.value));
  } else {
    append_number(out, sample.value);
  }
}

double interval_quantile(const HistogramSnapshot* interval, double percent) {
  return interval != nullptr ? interval->quantile(percent) : std::nan("");
}

template <class Visit>
void visit_chosen(const Frozen& store, const RenderOptions& options, Visit&& visit) {
  store.visit([&](const Sample& sample) {
    if (options.used_only && !sample.used) return;
    if (options.type && *options.type != sample.type) return;
    if (options.filter && !options.filter(sample.name)) return;
    visit(sample);
  });
}

// How many values each bound stands for, in the interval and in all.
struct BoundCounts {
  double bound;
  uint64_t interval, all;
};
std::vector<BoundCounts> bound_counts(const HistogramSnapshot& all, const HistogramSnapshot* interval,
                                      const RenderOptions& options) {
  std::vector<BoundCounts> out;
  BoundCounts before{0, 0, 0};
  const bool disjoint = options.buckets == RenderOptions::Buckets::kDisjoint;
  for (double bound : options.bounds) {
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
      for (const BoundCounts& one : bound_counts(all, interval, options)) {
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
      for (const BoundCounts& one : bound_counts(all, interval, options)) {
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

std::string prometheus_name(std::string_view prefix, std::string_view dotted) {
  std::string name(prefix);
  name += dotted;
  for (char& c : name) {
    bool known = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ':';
    if (!known) c = '_';
  }
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) name.insert(name.begin(), '_');
  return name;
}

namespace {

std::string_view type_name(Type type) {
  switch (type) {
    case Type::kCounter:
      return "counter";
    case Type::kGauge:
      return "gauge";
    case Type::kHistogram:
      return "histogram";
  }
  return "untyped";
}

// All samples of one Prometheus name.
struct Family {
  explicit Family(const Sample& sample) : type(sample.type), dotted(sample.tagged) {}
  Type type;
  std::string dotted;  // of the first sample
  std::string lines;
  size_t series = 0;
  // Of those behind the limit.
  std::set<std::string, std::less<>> other_tags;
  uint64_t other_sum = 0;  // of counters and gauges (whose bits are signed)
  HistogramSnapshot other;
};

// Adds what one histogram has counted to another.
void merge(HistogramSnapshot& into, const HistogramSnapshot& more) {
  std::vector<HistogramSnapshot::Bucket> merged;
  merged.reserve(into.buckets.size() + more.buckets.size());
  auto a = into.buckets.begin();
  auto b = more.buckets.begin();
  while (a != into.buckets.end() || b != more.buckets.end()) {
    if (b == more.buckets.end() || (a != into.buckets.end() && a->bucket < b->bucket)) {
      merged.push_back(*a++);
    } else if (a == into.buckets.end() || b->bucket < a->bucket) {
      merged.push_back(*b++);
    } else {
      merged.push_back({a->bucket, a->count + b->count});
      ++a, ++b;
    }
  }
  if (more.count > 0) {
    into.min = into.count > 0 ? std::min(into.min, more.min) : more.min;
    into.max = std::max(into.max, more.max);
  }
  into.buckets = std::move(merged);
  into.count += more.count;
  into.sum += more.sum;
}

void append_label(std::string& labels, const Tag& tag) {
  if (!labels.empty()) labels += ',';
  std::string name = prometheus_name("", tag.name);
  for (char& c : name) {
    if (c == ':') c = '_';  // allowed in names of metrics only
  }
  labels += name;
  labels += "=\"";
  append_escaped(labels, tag.value, Escape::kPrometheus);
  labels += '"';
}

// name="value" pairs without braces.
std::string labels_of(const Sample& sample, std::span<const Tag> of_all) {
  std::string labels;
  for (const Tag& tag : of_all) {
    // A label must not come twice; what the name says is nearer.
    bool own =
        std::any_of(sample.tags.begin(), sample.tags.end(), [&](const Tag& one) { return one.name == tag.name; });
    if (!own) append_label(labels, tag);
  }
  for (const Tag& tag : sample.tags) append_label(labels, tag);
  return labels;
}

// The series' text up to the value: `name{labels} `.
void append_series(std::string& out, std::string_view name, std::string_view suffix, std::string_view labels,
                   std::string_view more = {}) {
  out += name;
  out += suffix;
  out += '{';  // also without labels, as published
  out += labels;
  if (!labels.empty() && !more.empty()) out += ',';
  out += more;
  out += '}';
  out += ' ';
}

void append_histogram(std::string& out, std::string_view name, std::string_view labels, const HistogramSnapshot& all,
                      std::span<const double> bounds) {
  for (double bound : bounds) {
    std::string le = "le=\"";
    append_number(le, bound, "");
    le += '"';
    append_series(out, name, "_bucket", labels, le);
    append_number(out, all.count_at_most(bound));
    out += '\n';
  }
  append_series(out, name, "_bucket", labels, "le=\"+Inf\"");
  append_number(out, all.count);
  out += '\n';
  append_series(out, name, "_sum", labels);
  append_number(out, all.sum);
  out += '\n';
  append_series(out, name, "_count", labels);
  append_number(out, all.count);
  out += '\n';
}

// The one series in place of those behind the limit.
void append_other(std::string& out, std::string_view name, const Family& family, const RenderOptions& options) {
  std::vector<Tag> tags;
  for (const std::string& tag : family.other_tags) tags.push_back({tag, "other"});
  Sample sample{};
  sample.tags = tags;
  sample.type = family.type;
  sample.value = family.other_sum;
  const std::string labels = labels_of(sample, options.tags);
  if (family.type == Type::kHistogram) {
    append_histogram(out, name, labels, family.other, options.bounds);
    return;
  }
  append_series(out, name, "", labels);
  append_value(out, sample);
  out += '\n';
}

}  // namespace

std::string render_prometheus(const Frozen& store, const RenderOptions& options) {
  std::map<std::string, Family, std::less<>> families;
  visit_chosen(store, options, [&](const Sample& sample) {
    std::string name = prometheus_name(options.prometheus_prefix, sample.tagged);
    auto at = families.find(name);
    if (at != families.end() && at->second.type != sample.type) {
      (name += '_') += type_name(sample.type);
      at = families.find(name);
    }
    if (at == families.end()) at = families.emplace(name, Family(sample)).first;
    Family& family = at->second;
    if (family.type != sample.type) return;
    // Without labels of its own it is one thing, and not one of many.
    if (options.series_limit > 0 && family.series >= options.series_limit && !sample.tags.empty()) {
      for (const Tag& tag : sample.tags) {
        if (!family.other_tags.contains(tag.name)) family.other_tags.emplace(tag.name);
      }
      if (sample.type == Type::kHistogram) {
        merge(family.other, read_histogram(sample.cell));
      } else {
        family.other_sum += sample.value;
      }
      return;
    }
    ++family.series;
    std::string labels = labels_of(sample, options.tags);
    // A series must not appear twice: possible only where two dotted names became one.
    if (family.dotted != sample.tagged) {
      std::string series;
      append_series(series, name, sample.type == Type::kHistogram ? "_count" : "", labels);
      if (family.lines.starts_with(series) || family.lines.find('\n' + series) != std::string::npos) return;
    }
    if (sample.type == Type::kHistogram) {
      append_histogram(family.lines, name, labels, read_histogram(sample.cell), options.bounds);
      return;
    }
    append_series(family.lines, name, "", labels);
    append_value(family.lines, sample);
    family.lines += '\n';
  });
  std::string out;
  for (auto& [name, family] : families) {
    ((((out += "# TYPE ") += name) += ' ') += type_name(family.type)) += '\n';
    out += family.lines;
    family.lines = {};
    if (!family.other_tags.empty()) append_other(out, name, family, options);
  }
  return out;
}

}  // namespace weir::stats
