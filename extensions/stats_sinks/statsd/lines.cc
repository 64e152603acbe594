#include "extensions/stats_sinks/statsd/lines.h"

#include <cstdio>
#include <utility>

namespace weir::extensions::statsd {
namespace {

// What ends a name, a value or a tag in this protocol, and whatever is no text.
void append_clean(std::string& out, std::string_view text) {
  for (char c : text)
    out += c == ':' || c == '|' || c == '@' || c == '#' || c == ',' || static_cast<unsigned char>(c) <= 0x20 ? '_' : c;
}

}  // namespace

void Lines::name(const stats::Sample& sample) {
  line_.clear();
  append_clean(line_, options_.prefix);
  if (!line_.empty()) line_ += '.';
  append_clean(line_, options_.tags ? sample.tagged : sample.name);
  line_ += ':';
}

void Lines::finish_line(const stats::Sample& sample, const Send& send) {
  if (options_.tags) {
    const char* separator = "|#";
    tags(sample.tags, separator);
    tags(tags_of_all_, separator);
  }
  if (options_.datagram_bytes == 0) return send(line_);
  if (!datagram_.empty() && datagram_.size() + 1 + line_.size() > options_.datagram_bytes) flush(send);
  if (!datagram_.empty()) datagram_ += '\n';
  datagram_ += line_;
}

void Lines::tags(std::span<const stats::Tag> tags, const char*& separator) {
  for (const stats::Tag& tag : tags) {
    line_ += std::exchange(separator, ",");
    append_clean(line_, tag.name);
    line_ += ':';
    append_clean(line_, tag.value);
  }
}

void Lines::flush(const Send& send) {
  if (!datagram_.empty()) send(datagram_);
  datagram_.clear();
}

void Lines::write(const stats::Frozen& stats, const stats::Intervals& since_last, const Send& send) {
  now_.clear();
  gauges_now_.clear();
  tags_of_all_ = stats.tags_of_all();
  stats.visit([&](const stats::Sample& sample) {
    switch (sample.type) {
      case stats::Type::kCounter: {
        if (!sample.used) return;
        // Others say themselves what they have counted.
        const uint64_t own = sample.value - sample.carried;
        if (own == 0) return;
        now_.emplace(sample.name, own);
        const auto before = sent_.find(std::string(sample.name));
        // Less than before: it was reset.
        const uint64_t was = before != sent_.end() && before->second <= own ? before->second : 0;
        if (own == was) return;
        name(sample);
        line_ += std::to_string(own - was);
        line_ += "|c";
        finish_line(sample, send);
        return;
      }
      case stats::Type::kGauge:
        // Collectors keep what they hear: one that fell to zero goes on being sent, lest that is lost.
        if (!sample.used && !gauges_.contains(std::string(sample.name))) return;
        gauges_now_.emplace(sample.name);
        name(sample);
        line_ += std::to_string(static_cast<int64_t>(sample.value));
        line_ += "|g";
        finish_line(sample, send);
        return;
      case stats::Type::kHistogram: {
        // A bucket's values as one line that stands for all of them: "sampled" at one in so many.
        const auto at = since_last.find(sample.cell);
        if (at == since_last.end()) return;
        for (const stats::HistogramSnapshot::Bucket& bucket : at->second.buckets) {
          name(sample);
          const uint64_t low = stats::bucket_low(bucket.bucket);
          line_ += std::to_string(low + (stats::bucket_high(bucket.bucket) - low) / 2);
          line_ += sample.unit == stats::Unit::kMilliseconds ? "|ms" : "|h";
          if (bucket.count > 1) {
            char rate[32];
            snprintf(rate, sizeof rate, "|@%.9g", 1.0 / static_cast<double>(bucket.count));
            line_ += rate;
          }
          finish_line(sample, send);
        }
        return;
      }
    }
  });
  flush(send);
  sent_.swap(now_);
  gauges_.swap(gauges_now_);
}

}  // namespace weir::extensions::statsd
