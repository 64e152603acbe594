// The lines of the statsd protocol, as statsd and the Datadog agent read them, and how they are packed into datagrams.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "core/stats/store.h"

namespace weir::extensions::statsd {

struct LineOptions {
  std::string prefix = "envoy";
  bool tags = false;          // names without what became tags, and those behind them ("|#name:value,...")
  size_t datagram_bytes = 0;  // lines are put together up to that; 0: one for each line
};

// One sink's lines, flush after flush: counters are sent as what this process has counted since the last one, gauges as
// they are from when they are first not zero.
class Lines {
 public:
  explicit Lines(LineOptions options) : options_(std::move(options)) {}
  using Send = std::function<void(std::string_view datagram)>;
  void write(const stats::Frozen& stats, const stats::Intervals& since_last, const Send& send);

 private:
  void name(const stats::Sample& sample);
  void finish_line(const stats::Sample& sample, const Send& send);
  void tags(std::span<const stats::Tag> tags, const char*& separator);
  void flush(const Send& send);

  const LineOptions options_;
  std::unordered_map<std::string, uint64_t> sent_, now_;  // of counters, by name
  std::unordered_set<std::string> gauges_, gauges_now_;   // those that were sent
  std::span<const stats::Tag> tags_of_all_;               // of the flush under way
  std::string line_, datagram_;
};

}  // namespace weir::extensions::statsd
