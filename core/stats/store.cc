#include "core/stats/store.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "core/base/assert.h"
#include "core/stats/dynamic.h"

namespace weir::stats {
namespace {

// Names of statistics have no ':' (the text format separates with ": "); listener addresses and cluster names may.
std::string shown(std::string_view name) {
  std::string text(name);
  for (char& c : text) {
    if (c == ':' || static_cast<unsigned char>(c) < 0x20) c = '_';
  }
  return text;
}

std::string head_of(const GroupKind& kind, std::string_view thing) {
  std::string head;
  for (std::string_view part : {kind.prefix, thing}) {
    if (part.empty()) continue;
    head += part;
    head += '.';
  }
  return head;
}

struct Single {
  uint32_t cell;
  Unit unit;
  std::string tagged;
  std::vector<Tag> tags;
  uint64_t baseline = 0;
};

// Of other processes.
struct Carried {
  std::string tagged;
  std::vector<Tag> tags;
  uint64_t counter = 0;
  std::map<uint64_t, int64_t> gauges;  // by source

  uint64_t value() const {
    uint64_t sum = counter;
    for (const auto& [source, gauge] : gauges) sum += static_cast<uint64_t>(gauge);
    return sum;
  }
};

}  // namespace

// A counter or a histogram.
struct DynamicStat {
  uint32_t cell;
  Type type = Type::kCounter;
  Unit unit = Unit::kNone;
  uint64_t baseline = 0;  // [main]
};

// The map only grows while the group lives, and its nodes stay where they are. Guarded by Impl::dynamic_mutex.
struct Group::Dynamic {
  std::map<std::string, DynamicStat, std::less<>> stats;
  std::array<size_t, static_cast<size_t>(Family::kCount)> in_family{};
  size_t without_family = 0;

  template <class Visit>
  void for_each_histogram(Visit&& visit) const {
    for (const auto& [name, stat] : stats) {
      if (stat.type == Type::kHistogram) visit(stat.cell);
    }
  }
  // Every one of the group, those of its layout too.
  template <class Visit>
  static void for_each_histogram(const Group& group, std::mutex& mutex, Visit&& visit) {
    const auto& definitions = group.kind_.definitions;
    for (uint32_t i = 0; i < definitions.size(); ++i) {
      if (definitions[i].type == Type::kHistogram) visit(group.first_ + i);
    }
    std::vector<uint32_t> dynamic;  // the lock is not held while they are read
    {
      std::lock_guard lock(mutex);
      group.dynamic_->for_each_histogram([&](uint32_t cell) { dynamic.push_back(cell); });
    }
    for (const uint32_t cell : dynamic) visit(cell);
  }
};

struct Store::Impl {
  using SingleKey = std::pair<std::string, Type>;
  using Singles = std::map<SingleKey, Single, std::less<>>;

  struct Held {
    Group* group;  // for visits: valid until ~Group takes the entry out
    std::weak_ptr<Group> weak;
  };
  // [main]
  std::map<std::pair<const GroupKind*, std::string>, Held> groups;
  std::map<const GroupKind*, std::vector<uint32_t>> order_of_kind;  // definitions by name
  Singles singles;
  std::map<SingleKey, Carried, std::less<>> carried;

  Carried& carry(std::string_view name, Type type, std::string_view tagged, std::vector<Tag> tags) {
    auto [at, made] = carried.try_emplace(SingleKey(name, type));
    if (made) {
      at->second.tagged = tagged;
      at->second.tags = std::move(tags);
    }
    return at->second;
  }
  std::shared_ptr<const Intervals> intervals = std::make_shared<const Intervals>();
  Intervals at_flush;  // of flush_histograms(): what it has read last

  mutable std::mutex dynamic_mutex;
  Counter overflow;

  Single& single(std::string_view name, Type type, Unit unit, std::vector<Tag> tags, std::string_view tagged_name) {
    auto [at, made] = singles.try_emplace(SingleKey(shown(name), type));
    if (!made) return at->second;
    at->second.cell = reserve_cells(1);
    at->second.unit = unit;
    if (tagged_name.empty() && tags.empty()) {
      Tagged tagged;
      extract_tags(at->first.first, tagged);
      at->second.tagged = std::move(tagged.name);
      at->second.tags = std::move(tagged.tags);
    } else {
      at->second.tagged = tagged_name.empty() ? at->first.first : shown(tagged_name);
      at->second.tags = std::move(tags);
    }
    return at->second;
  }

  const std::vector<uint32_t>& order_of(const GroupKind& kind) {
    auto [at, made] = order_of_kind.try_emplace(&kind);
    if (made) {
      for (uint32_t i = 0; i < kind.definitions.size(); ++i) at->second.push_back(i);
      std::sort(at->second.begin(), at->second.end(),
                [&](uint32_t a, uint32_t b) { return kind.definitions[a].name < kind.definitions[b].name; });
    }
    return at->second;
  }

  template <class Visit>
  void for_each_histogram(Visit&& visit) {
    for (auto& [key, held] : groups) {
      Group::Dynamic::for_each_histogram(*held.group, dynamic_mutex, visit);
    }
    for (auto& [key, single] : singles) {
      if (key.second == Type::kHistogram) visit(single.cell);
    }
  }
};

Group::Group(Store& store, const GroupKind& kind, std::string thing)
    : store_(store),
      kind_(kind),
      thing_(std::move(thing)),
      first_(reserve_cells(static_cast<uint32_t>(kind.definitions.size()))),
      dynamic_(std::make_unique<Dynamic>()) {}

Group::~Group() {
  Store::Impl& impl = *store_.impl_;
  impl.groups.erase({&kind_, thing_});
  const auto free = [&impl](uint32_t cell) {
    free_histogram(cell);
    impl.at_flush.erase(cell);
    if (!impl.intervals->contains(cell)) return;
    Intervals rest = *impl.intervals;  // whoever has the cell next begins anew
    rest.erase(cell);
    impl.intervals = std::make_shared<const Intervals>(std::move(rest));
  };
  for (uint32_t i = 0; i < kind_.definitions.size(); ++i) {
    if (kind_.definitions[i].type == Type::kHistogram) free(first_ + i);
  }
  dynamic_->for_each_histogram(free);
  release_cells(first_, static_cast<uint32_t>(kind_.definitions.size()));
  for (auto& [name, stat] : dynamic_->stats) release_cells(stat.cell, 1);
}

Store::Store() : impl_(std::make_unique<Impl>()) { impl_->overflow = counter("stats.overflow"); }

Store::~Store() {
  WEIR_CHECK(impl_->groups.empty());  // whoever holds a group must go first
  for (auto& [key, single] : impl_->singles) {
    if (key.second == Type::kHistogram) free_histogram(single.cell);
    release_cells(single.cell, 1);
  }
}

std::shared_ptr<Group> Store::group(const GroupKind& kind, std::string_view thing) {
  auto key = std::make_pair(&kind, shown(thing));
  if (auto at = impl_->groups.find(key); at != impl_->groups.end()) return at->second.weak.lock();
  std::shared_ptr<Group> made(new Group(*this, kind, key.second));
  impl_->groups.emplace(std::move(key), Impl::Held{made.get(), made});
  return made;
}

Counter Store::counter(std::string_view name, std::vector<Tag> tags, std::string_view tagged_name) {
  return Counter(impl_->single(name, Type::kCounter, Unit::kNone, std::move(tags), tagged_name).cell);
}

Gauge Store::gauge(std::string_view name, std::vector<Tag> tags, std::string_view tagged_name) {
  return Gauge(impl_->single(name, Type::kGauge, Unit::kNone, std::move(tags), tagged_name).cell);
}

Histogram Store::histogram(std::string_view name, Unit unit, std::vector<Tag> tags, std::string_view tagged_name) {
  return Histogram(impl_->single(name, Type::kHistogram, unit, std::move(tags), tagged_name).cell);
}

Counter Store::dynamic_counter(const Group& group, std::string_view suffix) {
  for (uint32_t i = 0; i < group.kind_.definitions.size(); ++i) {
    const Definition& definition = group.kind_.definitions[i];
    if (definition.name == suffix && definition.type == Type::kCounter) return group.counter(i);
  }
  std::string name = shown(suffix);
  std::lock_guard lock(impl_->dynamic_mutex);
  Group::Dynamic& dynamic = *group.dynamic_;
  if (auto at = dynamic.stats.find(name); at != dynamic.stats.end()) return Counter(at->second.cell);
  if (dynamic.without_family >= kMaxDynamic) return impl_->overflow;
  ++dynamic.without_family;
  uint32_t cell = reserve_cells(1);
  dynamic.stats.emplace(std::move(name), DynamicStat{cell});
  return Counter(cell);
}

// Walks statistics in the order of their full names without ever holding all names: every group is sorted in itself
// (its layout once per kind), and groups follow each other by their heads. Only where one head begins with another
// ("listener.a." and "listener.a.http.web.") do several walks run side by side.
class StoreWalk {
 public:
  StoreWalk(const Frozen& frozen, const std::function<void(const Sample&)>& visit) : frozen_(frozen), visit_(visit) {}

  // What dynamic.h makes: the cell of the statistic; 0: the family has no more names. Here, because this class may look
  // into groups.
  static uint32_t dynamic_cell(const Group& group, Family family, std::string_view name, Type type, Unit unit) {
    std::string text = shown(name);
    std::lock_guard lock(group.store_.impl_->dynamic_mutex);
    Group::Dynamic& dynamic = *group.dynamic_;
    if (auto at = dynamic.stats.find(text); at != dynamic.stats.end())
      return at->second.type == type ? at->second.cell : 0;
    size_t& names = dynamic.in_family[static_cast<size_t>(family)];
    if (family == Family::kOfPeers && names >= kMaxOfPeers) return 0;
    ++names;
    const uint32_t cell = reserve_cells(1);
    dynamic.stats.emplace(std::move(text), DynamicStat{cell, type, unit});
    return cell;
  }
  static Counter overflow(const Group& group) { return group.store_.impl_->overflow; }

  void run() {
    waiting_.reserve(frozen_.groups_.size());
    for (const Frozen::OneGroup& one : frozen_.groups_)
      waiting_.push_back({head_of(one.group->kind_, one.group->thing_), &one});
    std::sort(waiting_.begin(), waiting_.end(), [](const Head& a, const Head& b) { return a.head < b.head; });
    single_ = frozen_.singles_.begin();
    carried_ = frozen_.carried_.begin();
    size_t next = 0;
    while (true) {
      Cursor* first = smallest();
      bool single_first = single_ != frozen_.singles_.end() && (first == nullptr || single_->name < first->name);
      std::string_view name;
      if (single_first) {
        name = single_->name;
      } else if (first != nullptr) {
        name = first->name;
      }
      // A group whose head is not after the name that is due may have a name that is due before it.
      if (next < waiting_.size() && ((!single_first && first == nullptr) || waiting_[next].head <= name)) {
        open(waiting_[next++]);
        continue;
      }
      if (single_first) {
        show_single();
        ++single_;
      } else if (first != nullptr) {
        show(*first);
        if (!advance(*first)) close(*first);
      } else {
        show_carried(nullptr);
        return;
      }
    }
  }

 private:
  struct Head {
    std::string head;
    const Frozen::OneGroup* group;
  };
  struct DynamicEntry {
    std::string_view name;
    DynamicStat stat;
  };
  // A walk through one group: its layout and its dynamic counters, merged.
  struct Cursor {
    const Group* group;
    const std::vector<uint64_t>* baseline;  // null: there is none
    size_t head_length;
    std::string name;  // the next one, in full
    const std::vector<uint32_t>* order;
    std::vector<uint64_t> values;
    std::vector<DynamicEntry> dynamic;
    size_t at_order = 0;
    size_t at_dynamic = 0;
    bool is_dynamic = false;
  };

  Cursor* smallest() {
    Cursor* best = nullptr;
    for (auto& cursor : open_) {
      if (best == nullptr || cursor->name < best->name) best = cursor.get();
    }
    return best;
  }

  void open(Head& head) {
    auto cursor = std::make_unique<Cursor>();
    cursor->group = head.group->group.get();
    cursor->baseline = head.group->baseline.get();
    cursor->head_length = head.head.size();
    cursor->name = std::move(head.head);
    cursor->order = head.group->order;
    cursor->values.resize(cursor->order->size());
    read_cells(cursor->group->first_, cursor->values);
    {
      std::lock_guard lock(*frozen_.dynamic_mutex_);
      for (auto& [name, stat] : cursor->group->dynamic_->stats) cursor->dynamic.push_back({name, stat});
    }
    if (settle(*cursor)) open_.push_back(std::move(cursor));
  }

  void close(Cursor& done) {
    std::erase_if(open_, [&](const std::unique_ptr<Cursor>& cursor) { return cursor.get() == &done; });
  }

  // Decides which of the two lists is due and writes its name; false at the end of both.
  bool settle(Cursor& cursor) {
    cursor.name.resize(cursor.head_length);
    bool has_static = cursor.at_order < cursor.order->size();
    bool has_dynamic = cursor.at_dynamic < cursor.dynamic.size();
    if (!has_static && !has_dynamic) return false;
    std::string_view fixed = has_static ? definition(cursor).name : std::string_view();
    cursor.is_dynamic = has_dynamic && (!has_static || cursor.dynamic[cursor.at_dynamic].name < fixed);
    cursor.name += cursor.is_dynamic ? cursor.dynamic[cursor.at_dynamic].name : fixed;
    return true;
  }
  bool advance(Cursor& cursor) {
    cursor.is_dynamic ? ++cursor.at_dynamic : ++cursor.at_order;
    return settle(cursor);
  }
  const Definition& definition(const Cursor& cursor) const {
    return cursor.group->kind_.definitions[(*cursor.order)[cursor.at_order]];
  }

  void show(Cursor& cursor) {
    const Group& group = *cursor.group;
    Sample sample{};
    sample.name = cursor.name;
    uint64_t baseline = 0;
    if (cursor.is_dynamic) {
      const DynamicStat& stat = cursor.dynamic[cursor.at_dynamic].stat;
      sample.type = stat.type;
      sample.unit = stat.unit;
      sample.cell = stat.cell;
      sample.value = stat.type == Type::kHistogram ? 0 : read_cell(stat.cell);
      baseline = stat.baseline;
    } else {
      uint32_t index = (*cursor.order)[cursor.at_order];
      sample.type = definition(cursor).type;
      sample.unit = definition(cursor).unit;
      sample.cell = group.first_ + index;
      sample.value = cursor.values[index];
      if (cursor.baseline != nullptr && index < cursor.baseline->size()) baseline = (*cursor.baseline)[index];
    }
    extract_tags(group.kind_.prefix, group.kind_.tag_name, group.thing_,
                 std::string_view(cursor.name).substr(cursor.head_length), tagged_);
    sample.tagged = tagged_.name;
    sample.tags = tagged_.tags;
    finish(sample, baseline);
  }

  void show_single() {
    const Frozen::Single& single = *single_;
    Sample sample{};
    sample.name = single.name;
    sample.tagged = single.tagged;
    sample.tags = single.tags;
    sample.type = single.type;
    sample.unit = single.unit;
    sample.cell = single.cell;
    sample.value = sample.type == Type::kHistogram ? 0 : read_cell(single.cell);
    finish(sample, single.baseline);
  }

  void finish(Sample& sample, uint64_t baseline) {
    if (sample.type == Type::kHistogram) sample.value = read_histogram(sample.cell).count;
    sample.used = sample.value != 0;
    if (sample.type == Type::kCounter) sample.value -= std::min(sample.value, baseline);
    if (!frozen_.carried_.empty()) [[unlikely]] {
      show_carried(&sample);
      add_carried(sample);
    }
    visit_(sample);
  }

  // Those of other processes that come before this one, and that this process does not have; nullptr: all that are
  // left.
  void show_carried(const Sample* before) {
    for (; carried_ != frozen_.carried_.end(); ++carried_) {
      const Frozen::Carried& carried = *carried_;
      if (before != nullptr && carried.name >= before->name) return;
      if (std::exchange(added_, nullptr) == &carried) continue;
      Sample sample{};
      sample.name = carried.name;
      sample.tagged = carried.tagged;
      sample.tags = carried.tags;
      sample.type = carried.type;
      sample.value = carried.value;
      sample.used = sample.value != 0;
      visit_(sample);
    }
  }
  void add_carried(Sample& sample) {
    for (auto at = carried_; at != frozen_.carried_.end() && at->name == sample.name; ++at) {
      if (at->type != sample.type) continue;
      added_ = &*at;
      sample.value += at->value;
      sample.used = sample.used || sample.value != 0;
    }
  }

  const Frozen& frozen_;
  const std::function<void(const Sample&)>& visit_;
  std::vector<Head> waiting_;
  std::vector<std::unique_ptr<Cursor>> open_;
  std::vector<Frozen::Single>::const_iterator single_;
  std::vector<Frozen::Carried>::const_iterator carried_;
  const Frozen::Carried* added_ = nullptr;  // to a sample that was shown; it is not shown by itself
  Tagged tagged_;
};

Frozen Store::freeze() const {
  Frozen out;
  out.groups_.reserve(impl_->groups.size());
  for (auto& [key, held] : impl_->groups) {
    if (auto group = held.weak.lock())
      out.groups_.push_back({std::move(group), &impl_->order_of(*key.first), held.group->baseline_});
  }
  out.singles_.reserve(impl_->singles.size());
  for (auto& [key, single] : impl_->singles) {
    out.singles_.push_back(
        {key.first, key.second, single.unit, single.cell, single.tagged, single.tags, single.baseline});
  }
  out.carried_.reserve(impl_->carried.size());
  for (const auto& [key, carried] : impl_->carried)
    out.carried_.push_back({key.first, key.second, carried.tagged, carried.tags, carried.value()});
  out.dynamic_mutex_ = &impl_->dynamic_mutex;
  out.intervals_ = impl_->intervals;
  return out;
}

Counter dynamic_counter(const Group& group, Family family, std::string_view name) {
  const uint32_t cell = StoreWalk::dynamic_cell(group, family, name, Type::kCounter, Unit::kNone);
  return cell != 0 ? Counter(cell) : StoreWalk::overflow(group);
}

Histogram dynamic_histogram(const Group& group, Family family, std::string_view name, Unit unit) {
  return Histogram(StoreWalk::dynamic_cell(group, family, name, Type::kHistogram, unit));
}

void Frozen::visit(const std::function<void(const Sample&)>& visit) const { StoreWalk(*this, visit).run(); }

void Frozen::for_each_histogram(const std::function<void(uint32_t)>& visit) const {
  for (const OneGroup& one : groups_) {
    Group::Dynamic::for_each_histogram(*one.group, *dynamic_mutex_, visit);
  }
  for (const Single& single : singles_) {
    if (single.type == Type::kHistogram) visit(single.cell);
  }
}

const HistogramSnapshot* Frozen::interval(uint32_t histogram_cell) const {
  const auto at = intervals_->find(histogram_cell);
  return at == intervals_->end() || at->second.count == 0 ? nullptr : &at->second;
}

void Store::carry_counter(std::string_view name, std::string_view tagged, std::vector<Tag> tags, uint64_t amount) {
  impl_->carry(name, Type::kCounter, tagged, std::move(tags)).counter += amount;
}

void Store::carry_gauge(uint64_t source, std::string_view name, std::string_view tagged, std::vector<Tag> tags,
                        int64_t value) {
  impl_->carry(name, Type::kGauge, tagged, std::move(tags)).gauges[source] = value;
}

void Store::drop_carried_gauges(uint64_t source) {
  for (auto at = impl_->carried.begin(); at != impl_->carried.end();) {
    at->second.gauges.erase(source);
    at = at->first.second == Type::kGauge && at->second.gauges.empty() ? impl_->carried.erase(at) : std::next(at);
  }
}

void Store::reset_counters() {
  for (auto& [key, carried] : impl_->carried) carried.counter = 0;
  for (auto& [key, held] : impl_->groups) {
    Group& group = *held.group;
    auto baseline = std::make_shared<std::vector<uint64_t>>(key.first->definitions.size());
    read_cells(group.first_, *baseline);
    group.baseline_ = std::move(baseline);
    std::lock_guard lock(impl_->dynamic_mutex);
    for (auto& [name, stat] : group.dynamic_->stats) {
      if (stat.type == Type::kCounter) stat.baseline = read_cell(stat.cell);
    }
  }
  for (auto& [key, single] : impl_->singles) {
    if (key.second == Type::kCounter) single.baseline = read_cell(single.cell);
  }
}

void Store::flush_histograms() {
  Intervals intervals;
  impl_->for_each_histogram([&](uint32_t cell) {
    HistogramSnapshot now = read_histogram(cell);
    if (now.count == 0) return;
    HistogramSnapshot& before = impl_->at_flush[cell];
    intervals[cell] = now.since(before);
    before = std::move(now);
  });
  set_intervals(std::make_shared<const Intervals>(std::move(intervals)));
}

void Store::set_intervals(std::shared_ptr<const Intervals> intervals) { impl_->intervals = std::move(intervals); }

const HistogramSnapshot* Store::interval(uint32_t histogram_cell) const {
  const auto at = impl_->intervals->find(histogram_cell);
  return at == impl_->intervals->end() || at->second.count == 0 ? nullptr : &at->second;
}

}  // namespace weir::stats
