#include "core/stats/render.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

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
void visit_chosen(const Store& store, const RenderOptions& options, Visit&& visit) {
  store.visit([&](const Sample& sample) {
    if (options.used_only && !sample.used) return;
    if (options.filter && !options.filter(sample.name)) return;
    visit(sample);
  });
}

}  // namespace

std::string render_text(const Store& store, const RenderOptions& options) {
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

std::string render_json(const Store& store, const RenderOptions& options) {
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
  if (!histograms.empty()) {
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
  Type type;
  std::string dotted;  // of the first sample
  std::string lines;
};

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

void append_histogram(std::string& out, std::string_view name, std::string_view labels, uint32_t cell,
                      std::span<const double> bounds) {
  HistogramSnapshot all = read_histogram(cell);
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

}  // namespace

std::string render_prometheus(const Store& store, const RenderOptions& options) {
  std::map<std::string, Family, std::less<>> families;
  visit_chosen(store, options, [&](const Sample& sample) {
    std::string name = prometheus_name(options.prometheus_prefix, sample.tagged);
    auto at = families.find(name);
    if (at != families.end() && at->second.type != sample.type) {
      (name += '_') += type_name(sample.type);
      at = families.find(name);
    }
    if (at == families.end()) at = families.emplace(name, Family{sample.type, std::string(sample.tagged), {}}).first;
    Family& family = at->second;
    if (family.type != sample.type) return;
    std::string labels = labels_of(sample, options.tags);
    // A series must not appear twice: possible only where two dotted names became one.
    if (family.dotted != sample.tagged) {
      std::string series;
      append_series(series, name, sample.type == Type::kHistogram ? "_count" : "", labels);
      if (family.lines.starts_with(series) || family.lines.find('\n' + series) != std::string::npos) return;
    }
    if (sample.type == Type::kHistogram) {
      append_histogram(family.lines, name, labels, sample.cell, options.bounds);
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
  }
  return out;
}

}  // namespace weir::stats
