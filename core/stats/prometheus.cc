// Statistics for Prometheus, as text and as delimited messages of io.prometheus.client. The walk is the same: families
// by name, their series below them.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "core/base/long_text.h"
#include "core/stats/escape.h"
#include "core/stats/native_histogram.h"
#include "core/stats/proto_writer.h"
#include "core/stats/render.h"
#include "core/stats/render_parts.h"

namespace weir::stats {

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

// Exact to the three digits that the percentages have: 0.999, and not 0.9990000000000001.
double rank_of(double percent) { return std::round(percent * 10) / 1000; }

// What a histogram is shown as.
bool as_summary(const RenderOptions& options) { return options.buckets == RenderOptions::Buckets::kQuantiles; }

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
struct PrometheusFamily {
  PrometheusFamily(const Sample& sample, bool summary) : type(sample.type), summary(summary), dotted(sample.tagged) {}
  Type type;
  bool summary;        // a histogram is a summary
  std::string dotted;  // of the first sample
  LongText written;    // of its series
  size_t series = 0;
  // Of those behind the limit.
  std::set<std::string, std::less<>> other_tags;
  uint64_t other_sum = 0;  // of counters and gauges (whose bits are signed)
  HistogramSnapshot other;
  std::span<const double> bounds;  // of the first histogram
};

constexpr std::string_view kOther = "other";  // the value of every label of what stands for many

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

std::string label_name(std::string_view tag) {
  std::string name = prometheus_name("", tag);
  std::replace(name.begin(), name.end(), ':', '_');  // allowed in names of metrics only
  return name;
}

// visit(tag) for every label of a series.
template <class Visit>
void visit_labels(const Sample& sample, std::span<const Tag> of_all, Visit&& visit) {
  for (const Tag& tag : of_all) {
    // A label must not come twice; what the name says is nearer.
    bool own =
        std::any_of(sample.tags.begin(), sample.tags.end(), [&](const Tag& one) { return one.name == tag.name; });
    if (!own) visit(tag);
  }
  for (const Tag& tag : sample.tags) visit(tag);
}

// A shape says how families and series are written; `labels` are what its labels() has made.
struct TextShape {
  // name="value" pairs without braces.
  static std::string labels(const Sample& sample, std::span<const Tag> of_all) {
    std::string out;
    visit_labels(sample, of_all, [&](const Tag& tag) {
      if (!out.empty()) out += ',';
      out += label_name(tag.name);
      out += "=\"";
      append_escaped(out, tag.value, Escape::kPrometheus);
      out += '"';
    });
    return out;
  }
  static void value(std::string& out, std::string_view name, std::string_view labels, const Sample& sample) {
    series(out, name, "", labels);
    append_value(out, sample);
    out += '\n';
  }
  static void histogram(std::string& out, std::string_view name, std::string_view labels, const HistogramSnapshot& all,
                        std::span<const double> bounds, const RenderOptions& options) {
    if (as_summary(options)) {
      quantiles(out, name, labels, all);
    } else {
      buckets(out, name, labels, all, bounds);
    }
    series(out, name, "_sum", labels);
    append_number(out, all.sum);
    out += '\n';
    series(out, name, "_count", labels);
    append_number(out, all.count);
    out += '\n';
  }
  static bool has(const PrometheusFamily& family, std::string_view name, std::string_view labels) {
    std::string start;
    series(start, name, family.type == Type::kHistogram ? "_count" : "", labels);
    return std::ranges::any_of(family.written.chunks(), [&](const std::string& chunk) {
      return chunk.starts_with(start) || chunk.find('\n' + start) != std::string::npos;
    });
  }
  // What comes before its series.
  static std::string head(std::string_view name, const PrometheusFamily& family) {
    const bool summary = family.type == Type::kHistogram && family.summary;
    std::string out = "# TYPE ";
    (((out += name) += ' ') += summary ? "summary" : type_name(family.type)) += '\n';
    return out;
  }

 private:
  static void quantiles(std::string& out, std::string_view name, std::string_view labels,
                        const HistogramSnapshot& all) {
    for (double percent : kQuantiles) {
      std::string quantile = "quantile=\"";
      append_number(quantile, rank_of(percent), "");
      quantile += '"';
      series(out, name, "", labels, quantile);
      append_number(out, all.quantile(percent), "NaN");
      out += '\n';
    }
  }
  static void buckets(std::string& out, std::string_view name, std::string_view labels, const HistogramSnapshot& all,
                      std::span<const double> bounds) {
    for (double bound : bounds) {
      std::string le = "le=\"";
      append_number(le, bound, "");
      le += '"';
      series(out, name, "_bucket", labels, le);
      append_number(out, all.count_at_most(bound));
      out += '\n';
    }
    series(out, name, "_bucket", labels, "le=\"+Inf\"");
    append_number(out, all.count);
    out += '\n';
  }
  // The series' text up to the value: `name{labels} `.
  static void series(std::string& out, std::string_view name, std::string_view suffix, std::string_view labels,
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
};

// The fields of io.prometheus.client that are written. A family comes with its length before it.
struct ProtobufShape {
  enum Field : uint32_t {
    kFamilyName = 1,
    kFamilyType = 3,
    kFamilyMetric = 4,
    kMetricLabel = 1,
    kMetricGauge = 2,
    kMetricCounter = 3,
    kMetricSummary = 4,
    kMetricHistogram = 7,
    kLabelName = 1,
    kLabelValue = 2,
    kValue = 1,  // of a gauge or counter
    kSampleCount = 1,
    kSampleSum = 2,
    kQuantile = 3,  // of a summary
    kBucket = 3,
    kSchema = 5,
    kZeroThreshold = 6,
    kZeroCount = 7,
    kPositiveSpan = 12,
    kPositiveDelta = 13,
    kQuantileRank = 1,
    kQuantileValue = 2,
    kCumulativeCount = 1,
    kUpperBound = 2,
    kSpanOffset = 1,
    kSpanLength = 2,
  };

  // The label fields of a metric.
  static std::string labels(const Sample& sample, std::span<const Tag> of_all) {
    std::string out, pair;
    visit_labels(sample, of_all, [&](const Tag& tag) {
      pair.clear();
      ProtoWriter writer(pair);
      writer.bytes(kLabelName, label_name(tag.name));
      writer.bytes(kLabelValue, as_utf8(tag.value));
      ProtoWriter(out).bytes(kMetricLabel, pair);
    });
    return out;
  }
  static void value(std::string& out, std::string_view, std::string_view labels, const Sample& sample) {
    std::string value;
    ProtoWriter(value).real(kValue, sample.type == Type::kGauge
                                        ? static_cast<double>(static_cast<int64_t>(sample.value))
                                        : static_cast<double>(sample.value));
    metric(out, labels, sample.type == Type::kGauge ? kMetricGauge : kMetricCounter, value);
  }
  static void histogram(std::string& out, std::string_view, std::string_view labels, const HistogramSnapshot& all,
                        std::span<const double> bounds, const RenderOptions& options) {
    std::string text;
    ProtoWriter writer(text);
    writer.number(kSampleCount, all.count);
    writer.real(kSampleSum, static_cast<double>(all.sum));
    if (as_summary(options)) {
      std::string quantile;
      for (double percent : kQuantiles) {
        quantile.clear();
        ProtoWriter one(quantile);
        one.real(kQuantileRank, rank_of(percent));
        one.real(kQuantileValue, all.quantile(percent));
        writer.bytes(kQuantile, quantile);
      }
    } else if (options.buckets == RenderOptions::Buckets::kNative) {
      native_buckets(writer, all);
    } else {
      std::string bucket;
      for (double bound : bounds) {
        bucket.clear();
        ProtoWriter one(bucket);
        one.number(kCumulativeCount, all.count_at_most(bound));
        one.real(kUpperBound, bound);
        writer.bytes(kBucket, bucket);
      }
    }
    metric(out, labels, as_summary(options) ? kMetricSummary : kMetricHistogram, text);
  }
  // Labels are followed by the field of the value.
  static bool has(const PrometheusFamily& family, std::string_view, std::string_view labels) {
    const Field field = family.type == Type::kHistogram ? (family.summary ? kMetricSummary : kMetricHistogram)
                        : family.type == Type::kGauge   ? kMetricGauge
                                                        : kMetricCounter;
    const char behind = static_cast<char>(field << 3 | 2);
    return std::ranges::any_of(family.written.chunks(), [&](std::string_view rest) {
      while (!rest.empty()) {
        size_t size = 0, at = 1;
        for (int shift = 0;; shift += 7) {
          const auto byte = static_cast<unsigned char>(rest[at++]);
          size |= static_cast<size_t>(byte & 0x7f) << shift;
          if (byte < 0x80) break;
        }
        const std::string_view one = rest.substr(at, size);
        if (one.starts_with(labels) && one[labels.size()] == behind) return true;
        rest.remove_prefix(at + size);
      }
      return false;
    });
  }
  static std::string head(std::string_view name, const PrometheusFamily& family) {
    std::string text;
    ProtoWriter writer(text);
    writer.bytes(kFamilyName, name);
    // The published numbers of the types.
    writer.number(kFamilyType, family.type == Type::kHistogram ? (family.summary ? 2 : 4)
                               : family.type == Type::kGauge   ? 1
                                                               : 0);
    std::string out;
    ProtoWriter(out).varint(text.size() + family.written.size());
    return out += text;
  }

 private:
  // A reader of messages refuses what is not UTF-8, and everything with it.
  static std::string as_utf8(std::string_view text) {
    std::string out;
    append_escaped(out, text, Escape::kUtf8);
    return out;
  }
  static void metric(std::string& out, std::string_view labels, Field field, std::string_view value) {
    std::string text(labels);
    ProtoWriter(text).bytes(field, value);
    ProtoWriter(out).bytes(kFamilyMetric, text);
  }
  static void native_buckets(ProtoWriter& writer, const HistogramSnapshot& all) {
    const NativeHistogram native = to_native(all);
    writer.signed_number(kSchema, native.schema);
    writer.real(kZeroThreshold, kNativeZeroThreshold);
    writer.number(kZeroCount, native.zero_count);
    std::string part;
    for (const NativeHistogram::Span& span : native.spans) {
      part.clear();
      ProtoWriter one(part);
      one.signed_number(kSpanOffset, span.offset);
      one.number(kSpanLength, span.length);
      writer.bytes(kPositiveSpan, part);
    }
    part.clear();
    for (int64_t delta : native.deltas) ProtoWriter(part).zigzag(delta);
    if (!part.empty()) writer.bytes(kPositiveDelta, part);
  }
};

// The one series in place of those behind the limit.
template <class Shape>
void append_other(PrometheusFamily& family, std::string_view name, const RenderOptions& options) {
  std::vector<Tag> tags;
  for (const std::string& tag : family.other_tags) tags.push_back({tag, std::string(kOther)});
  Sample sample{};
  sample.tags = tags;
  sample.type = family.type;
  sample.value = family.other_sum;
  const std::string labels = Shape::labels(sample, options.tags);
  std::string series;
  if (family.type == Type::kHistogram) {
    Shape::histogram(series, name, labels, family.other, family.bounds, options);
  } else {
    Shape::value(series, name, labels, sample);
  }
  family.written.append(series);
}

// By its own labels, as those are that stand for many: the two would be one series.
bool is_called_other(const Sample& sample) {
  return std::all_of(sample.tags.begin(), sample.tags.end(), [](const Tag& tag) { return tag.value == kOther; });
}

// What is shown of a histogram: all that it has counted, and as a summary what came in the last interval.
HistogramSnapshot shown_of(const Frozen& store, const Sample& sample, const RenderOptions& options) {
  if (!as_summary(options)) return read_histogram(sample.cell);
  const HistogramSnapshot* interval = store.interval(sample.cell);
  return interval != nullptr ? *interval : HistogramSnapshot();
}

template <class Shape>
LongText render_families(const Frozen& store, const RenderOptions& options) {
  std::map<std::string, PrometheusFamily, std::less<>> families;
  std::string series;  // of one sample
  visit_chosen(store, options, [&](const Sample& sample) {
    std::string name = prometheus_name(options.prometheus_prefix, sample.tagged);
    auto at = families.find(name);
    if (at != families.end() && at->second.type != sample.type) {
      (name += '_') += type_name(sample.type);
      at = families.find(name);
    }
    if (at == families.end()) at = families.emplace(name, PrometheusFamily(sample, as_summary(options))).first;
    PrometheusFamily& family = at->second;
    if (family.type != sample.type) return;
    if (sample.type == Type::kHistogram && family.series == 0)
      family.bounds = store.bounds(sample.name, options.bounds);
    // Without labels of its own it is one thing, and not one of many.
    if (options.series_limit > 0 && !sample.tags.empty() &&
        (family.series >= options.series_limit || is_called_other(sample))) {
      for (const Tag& tag : sample.tags) {
        if (!family.other_tags.contains(tag.name)) family.other_tags.emplace(tag.name);
      }
      if (sample.type == Type::kHistogram) {
        merge(family.other, shown_of(store, sample, options));
      } else {
        family.other_sum += sample.value;
      }
      return;
    }
    ++family.series;
    const std::string labels = Shape::labels(sample, options.tags);
    // A series must not appear twice: possible only where two dotted names became one.
    if (family.dotted != sample.tagged && Shape::has(family, name, labels)) return;
    series.clear();
    if (sample.type == Type::kHistogram) {
      Shape::histogram(series, name, labels, shown_of(store, sample, options),
                       store.bounds(sample.name, options.bounds), options);
    } else {
      Shape::value(series, name, labels, sample);
    }
    family.written.append(series);
  });
  LongText out;
  for (auto& [name, family] : families) {
    if (!family.other_tags.empty()) append_other<Shape>(family, name, options);
    out.append(Shape::head(name, family));
    out.take(std::move(family.written));
  }
  return out;
}

}  // namespace

LongText render_prometheus(const Frozen& store, const RenderOptions& options) {
  return render_families<TextShape>(store, options);
}

LongText render_prometheus_protobuf(const Frozen& store, const RenderOptions& options) {
  return render_families<ProtobufShape>(store, options);
}

}  // namespace weir::stats
