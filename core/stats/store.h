// Names for cells. Main makes scopes and handles while it builds configuration; admin and sinks read.
//
// A group is a fixed layout of statistics of one kind of thing ("cluster", "http", "listener"): its names are static
// and shared by all things of that kind, so that 10,000 clusters cost 10,000 names and not a million. Cells of a group
// are reserved together.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/stats/handles.h"
#include "core/stats/histogram.h"
#include "core/stats/lease.h"
#include "core/stats/tags.h"

namespace weir::stats {

enum class Type : uint8_t { kCounter, kGauge, kHistogram };
enum class Unit : uint8_t { kNone, kMilliseconds, kMicroseconds, kBytes };

struct Definition {
  std::string_view name;  // within the group: "upstream_cx_total", "circuit_breakers.default.cx_open"
  Type type;
  Unit unit = Unit::kNone;
};

// The kind of thing a group describes: how the full name begins and which tag carries the thing's name. Static storage:
// groups are told apart by its address. A thing may be of two levels: under "listener" and "envoy_listener_address",
// "0.0.0.0_80.http.web" carries envoy_http_conn_manager_prefix too; under "vhost", "v.vcluster.c" and "v.route.r" do
// likewise (tags.h).
struct GroupKind {
  std::string_view prefix;    // "cluster" -> "cluster.<thing>.<name>"; empty: just "<name>" or "<thing>.<name>"
  std::string_view tag_name;  // "envoy_cluster_name"; empty: the thing is part of the Prometheus name
  std::span<const Definition> definitions;
};

// What the configuration says of all statistics. Members that are empty say nothing. [any]
struct Rules {
  // By its full name: there is no such statistic.
  std::function<bool(std::string_view name)> leaves_out;
  // Changes what weir itself makes of a name (tags.h).
  std::function<void(std::string_view name, Tagged& tagged)> tag;
  std::vector<Tag> of_all;  // of every statistic, beside its own
  // The upper bounds of a histogram's buckets, ascending; empty: the usual ones. They live as long as the rules.
  std::function<std::span<const double>(std::string_view name)> bounds;
};

class Frozen;
class Store;

// Adjacent cells for one thing. Destroyed when the thing is gone on every lane; its statistics vanish with it. [main]
class Group {
 public:
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  // Of statistics that are left out: counters that count into nowhere, histograms that do nothing. Gauges count all the
  // same, for code may ask them.
  Counter counter(size_t index) const {
    return hides(index) ? hidden_->nowhere : Counter(first_ + static_cast<uint32_t>(index));
  }
  Gauge gauge(size_t index) const { return Gauge(first_ + static_cast<uint32_t>(index)); }
  Histogram histogram(size_t index) const {
    return hides(index) ? Histogram() : Histogram(first_ + static_cast<uint32_t>(index));
  }
  // As it is shown: ':' has become '_'.
  std::string_view thing() const { return thing_; }
  const GroupKind& kind() const { return kind_; }
  Store& store() const { return store_; }

 private:
  friend class Frozen;
  friend class Store;
  friend class StoreWalk;
  struct Dynamic;
  // What is left out of it.
  struct Hidden {
    std::vector<bool> definitions;
    std::vector<uint32_t> order;  // of the others, by name
    Counter nowhere;
  };
  bool hides(size_t index) const { return hidden_ != nullptr && hidden_->definitions[index]; }
  Group(Store& store, const GroupKind& kind, std::string thing);
  Store& store_;
  const GroupKind& kind_;
  std::string thing_;
  uint32_t first_;
  std::shared_ptr<const std::vector<uint64_t>> baseline_;  // [main] what /reset_counters subtracts; null until then
  std::unique_ptr<Dynamic> dynamic_;
  std::unique_ptr<const Hidden> hidden_;  // null: nothing
};

// One statistic as readers see it.
struct Sample {
  std::string_view name;    // full dotted name: "cluster.api.upstream_cx_total"
  std::string_view tagged;  // Prometheus base name before mangling: "cluster.upstream_cx_total"
  std::span<const Tag> tags;
  Type type;
  Unit unit;
  uint32_t cell;
  uint64_t value;    // counters and gauges (a gauge's bits are signed); histograms: how many values
  uint64_t carried;  // what of it other processes have counted, or are at
  bool used;         // counter or histogram: ever counted; gauge: not zero
};

// What histograms have counted between the last two flushes, by cell.
using Intervals = std::unordered_map<uint32_t, HistogramSnapshot>;

// The statistics that there are at one moment; their values are read when they are visited. Made and destroyed on main,
// and used by one thread at a time, any: a walk through ten thousands of clusters is nothing for a lane.
class Frozen {
 public:
  // For every statistic in name order, less gauges where another process shows those.
  void visit(const std::function<void(const Sample&)>& visit) const;
  void for_each_histogram(const std::function<void(uint32_t cell)>& visit) const;
  // nullptr: nothing has come in the last interval.
  const HistogramSnapshot* interval(uint32_t histogram_cell) const;
  void leave_out_gauges() { gauges_ = false; }
  std::span<const Tag> tags_of_all() const { return rules_ != nullptr ? rules_->of_all : std::span<const Tag>(); }
  // Of a histogram's buckets, where those of all are `usual`.
  std::span<const double> bounds(std::string_view name, std::span<const double> usual) const {
    if (rules_ == nullptr || !rules_->bounds) return usual;
    const std::span<const double> own = rules_->bounds(name);
    return own.empty() ? usual : own;
  }

 private:
  friend class Store;
  friend class StoreWalk;
  struct OneGroup {
    std::shared_ptr<Group> group;
    const std::vector<uint32_t>* order;  // of its definitions that are shown, by name
    std::shared_ptr<const std::vector<uint64_t>> baseline;
  };
  struct OneSingle {
    std::shared_ptr<const Single> single;
    uint64_t baseline;
  };
  // What other processes have counted.
  struct Carried {
    std::string name;
    Type type;
    std::string tagged;
    std::vector<Tag> tags;
    uint64_t value;
  };
  bool gauges_ = true;
  std::vector<OneGroup> groups_;
  std::vector<OneSingle> singles_;                       // by name
  std::shared_ptr<const std::vector<Carried>> carried_;  // likewise; null: nothing
  std::mutex* dynamic_mutex_ = nullptr;
  std::shared_ptr<const Intervals> intervals_;
  std::shared_ptr<const Rules> rules_;
};

class Store {
 public:
  Store();
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // [main] For the life of the store; only the first call counts. What is left out is not made from here on, and what
  // there is already is not shown. Before other threads count.
  void set_rules(Rules rules);
  // [main] Same kind and thing: the same group while anybody holds it (counts go on over a configuration update).
  std::shared_ptr<Group> group(const GroupKind& kind, std::string_view thing);
  // [main] Single named statistics, kept for the life of the store, or by leases (lease.h): what a plugin's factory
  // makes goes with what it has built. Same name, same handle while anybody holds it.
  Counter counter(std::string_view name, std::vector<Tag> tags = {}, std::string_view tagged_name = {});
  Gauge gauge(std::string_view name, std::vector<Tag> tags = {}, std::string_view tagged_name = {});
  Histogram histogram(std::string_view name, Unit unit = Unit::kMilliseconds, std::vector<Tag> tags = {},
                      std::string_view tagged_name = {});
  // [any] For names that only traffic brings: `cluster.x.upstream_rq_404` and its kin are made of a group's thing and a
  // suffix at first use, under a lock; they go with the group. A suffix that the group defines as a counter yields that
  // one. At most kMaxDynamic per group; beyond it everything counts into `stats.overflow`. Keep the handle (or use
  // CodeCounters): this is not for every request.
  static constexpr size_t kMaxDynamic = 1024;
  Counter dynamic_counter(const Group& group, std::string_view suffix);
  // [main] What another process has counted of the same statistics, and what readers see is the sum. A counter goes up
  // by `amount`; a gauge of this source has this value until the source is dropped, and counts as used from then on:
  // whoever has heard of it hears that it is over. What this process has not got (yet) is shown as it was there.
  void carry_counter(std::string_view name, std::string_view tagged, std::vector<Tag> tags, uint64_t amount);
  void carry_gauge(uint64_t source, std::string_view name, std::string_view tagged, std::vector<Tag> tags,
                   int64_t value);
  void drop_carried_gauges(uint64_t source);
  // [main]
  Frozen freeze() const;
  void visit(const std::function<void(const Sample&)>& visit) const { freeze().visit(visit); }
  // [main] Zeroes counters (readers subtract a baseline; cells keep their single writer).
  void reset_counters();
  // [main] Ends an interval of the histograms: at every flush of statistics.
  void flush_histograms();
  // [main] The same, where somebody else has read them.
  void set_intervals(std::shared_ptr<const Intervals> intervals);
  // [main] What came between the last two flushes; nullptr if nothing did.
  const HistogramSnapshot* interval(uint32_t histogram_cell) const;

 private:
  friend class Group;
  friend class Noting;
  friend class Reading;
  friend class StoreWalk;
  friend struct Single;
  struct Impl;
  const Single& single(std::string_view name, Type type, Unit unit, std::vector<Tag> tags,
                       std::string_view tagged_name);
  // The group that was listed last; nothing: none was.
  using Place = std::optional<std::pair<const GroupKind*, std::string>>;
  // Adds the next groups, `most` of them, to what is listed, and all the rest behind the last one. True: there is more.
  bool list(Frozen& out, Place& place, size_t most) const;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::stats
