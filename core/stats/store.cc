#include "core/stats/store.h"

#include <pthread.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "core/base/assert.h"
#include "core/stats/intervals.h"
#include "core/stats/store_walk.h"

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

// Of other processes.
struct Carried {
  std::string tagged;
  std::vector<Tag> tags;
  uint64_t counter = 0;
  std::map<uint64_t, int64_t> gauges;  // by source
  bool hidden = false;

  uint64_t value() const {
    uint64_t sum = counter;
    for (const auto& [source, gauge] : gauges) sum += static_cast<uint64_t>(gauge);
    return sum;
  }
};

}  // namespace

struct Store::Impl {
  const pthread_t main = pthread_self();
  struct Held {
    Group* group;  // for visits: valid until ~Group takes the entry out
    std::weak_ptr<Group> weak;
  };
  struct HeldSingle {
    Single* single;  // likewise, until ~Single
    std::weak_ptr<Single> weak;
  };
  // [main]
  std::map<std::pair<const GroupKind*, std::string>, Held> groups;
  std::map<const GroupKind*, std::vector<uint32_t>> order_of_kind;  // definitions by name
  std::map<std::pair<std::string_view, Type>, HeldSingle> singles;  // names are those in them
  std::vector<std::shared_ptr<Single>> for_ever;
  Lease* noting = nullptr;
  std::map<std::pair<std::string, Type>, Carried> carried;

  Carried& carry(std::string_view name, Type type, std::string_view tagged, std::vector<Tag> tags) {
    auto [at, made] = carried.try_emplace({std::string(name), type});
    if (made) {
      at->second.tagged = tagged;
      at->second.tags = std::move(tags);
      at->second.hidden = leaves_out(name);
    }
    carried_shown = nullptr;
    return at->second;
  }
  // What readers get of it; made again when it has changed.
  std::shared_ptr<const std::vector<Frozen::Carried>> carried_shown;
  std::shared_ptr<const std::vector<Frozen::Carried>> show_carried() {
    if (carried_shown != nullptr || carried.empty()) return carried_shown;
    auto shown = std::make_shared<std::vector<Frozen::Carried>>();
    shown->reserve(carried.size());
    for (const auto& [key, one] : carried) {
      if (!one.hidden) shown->push_back({key.first, key.second, one.tagged, one.tags, one.value()});
    }
    return carried_shown = std::move(shown);
  }
  std::shared_ptr<const Intervals> intervals = std::make_shared<const Intervals>();
  Intervals at_flush;  // of flush_histograms(): what it has read last

  std::shared_ptr<const Rules> rules;  // null: not said yet
  bool leaves_out(std::string_view name) const {
    return rules != nullptr && rules->leaves_out && rules->leaves_out(name);
  }
  bool leaves_out(const Group& group, std::string_view name) const {
    return rules != nullptr && rules->leaves_out &&
           rules->leaves_out(head_of(group.kind(), group.thing()).append(name));
  }
  void hide_parts(Group& group) {
    if (rules == nullptr || !rules->leaves_out) return;
    auto hidden = std::make_unique<Group::Hidden>();
    hidden->definitions.resize(group.kind_.definitions.size());
    hidden->nowhere = nowhere;
    std::string name = head_of(group.kind_, group.thing_);
    const size_t head = name.size();
    for (const uint32_t index : order_of(group.kind_)) {
      name.resize(head);
      name += group.kind_.definitions[index].name;
      if (rules->leaves_out(name)) {
        hidden->definitions[index] = true;
      } else {
        hidden->order.push_back(index);
      }
    }
    if (hidden->order.size() < hidden->definitions.size()) group.hidden_ = std::move(hidden);
  }

  // Whoever has the cell next begins anew.
  void end_histogram(uint32_t cell) {
    free_histogram(cell);
    at_flush.erase(cell);
    if (!intervals->contains(cell)) return;
    Intervals rest = *intervals;
    rest.erase(cell);
    intervals = std::make_shared<const Intervals>(std::move(rest));
  }

  mutable std::mutex dynamic_mutex;
  Counter overflow;
  // What is left out counts here: who has made one does not ask again.
  Counter nowhere{reserve_cells(1)};
  const uint32_t histogram_of_nothing = reserve_cells(1);
  ~Impl() {
    free_histogram(histogram_of_nothing);
    release_cells(histogram_of_nothing, 1);
    release_cells(nowhere.cell_index(), 1);
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
  for (uint32_t i = 0; i < kind_.definitions.size(); ++i) {
    if (kind_.definitions[i].type == Type::kHistogram) impl.end_histogram(first_ + i);
  }
  dynamic_->for_each_histogram([&impl](uint32_t cell) { impl.end_histogram(cell); });
  release_cells(first_, static_cast<uint32_t>(kind_.definitions.size()));
  for (auto& [name, stat] : dynamic_->stats) release_cells(stat.cell, 1);
}

Single::~Single() {
  Store::Impl& impl = *store.impl_;
  WEIR_ASSERT(pthread_equal(pthread_self(), impl.main) != 0);
  impl.singles.erase({name, type});
  if (type == Type::kHistogram) impl.end_histogram(cell);
  release_cells(cell, 1);
}

Noting::Noting(Store& store, Lease* lease) : store_(store), before_(std::exchange(store.impl_->noting, lease)) {}

Noting::~Noting() { store_.impl_->noting = before_; }

Store::Store() : impl_(std::make_unique<Impl>()) { impl_->overflow = counter("stats.overflow"); }

Store::~Store() {
  impl_->for_ever.clear();
  WEIR_CHECK(impl_->groups.empty() && impl_->singles.empty());  // whoever holds one must go first
}

std::shared_ptr<Group> Store::group(const GroupKind& kind, std::string_view thing) {
  auto key = std::make_pair(&kind, shown(thing));
  if (auto at = impl_->groups.find(key); at != impl_->groups.end()) return at->second.weak.lock();
  std::shared_ptr<Group> made(new Group(*this, kind, key.second));
  impl_->groups.emplace(std::move(key), Impl::Held{made.get(), made});
  impl_->hide_parts(*made);
  return made;
}

void Store::set_rules(Rules rules) {
  if (impl_->rules != nullptr) return;
  impl_->rules = std::make_shared<const Rules>(std::move(rules));
  if (!impl_->rules->leaves_out) return;
  for (auto& [key, held] : impl_->groups) impl_->hide_parts(*held.group);
  for (auto& [key, held] : impl_->singles) held.single->hidden = impl_->leaves_out(key.first);
  impl_->carried_shown = nullptr;
  for (auto& [key, carried] : impl_->carried) carried.hidden = impl_->leaves_out(key.first);
}

const Single& Store::single(std::string_view name, Type type, Unit unit, std::vector<Tag> tags,
                            std::string_view tagged_name) {
  std::string text = shown(name);
  std::shared_ptr<Single> single;
  if (const auto at = impl_->singles.find({text, type}); at != impl_->singles.end()) {
    single = at->second.weak.lock();
  } else {
    single = std::make_shared<Single>(*this);
    single->name = std::move(text);
    single->type = type;
    single->unit = unit;
    single->cell = reserve_cells(1);
    single->hidden = impl_->leaves_out(single->name);
    if (tagged_name.empty() && tags.empty()) {
      Tagged tagged;
      extract_tags(single->name, tagged);
      single->tagged = std::move(tagged.name);
      single->tags = std::move(tagged.tags);
    } else {
      single->tagged = tagged_name.empty() ? single->name : shown(tagged_name);
      single->tags = std::move(tags);
    }
    impl_->singles.emplace(std::pair(std::string_view(single->name), type), Impl::HeldSingle{single.get(), single});
  }
  if (impl_->noting != nullptr) {
    impl_->noting->kept_.push_back(single);
  } else if (!std::exchange(single->for_ever, true)) {
    impl_->for_ever.push_back(single);
  }
  return *single;
}

Counter Store::counter(std::string_view name, std::vector<Tag> tags, std::string_view tagged_name) {
  return Counter(single(name, Type::kCounter, Unit::kNone, std::move(tags), tagged_name).cell);
}

Gauge Store::gauge(std::string_view name, std::vector<Tag> tags, std::string_view tagged_name) {
  return Gauge(single(name, Type::kGauge, Unit::kNone, std::move(tags), tagged_name).cell);
}

Histogram Store::histogram(std::string_view name, Unit unit, std::vector<Tag> tags, std::string_view tagged_name) {
  const Single& made = single(name, Type::kHistogram, unit, std::move(tags), tagged_name);
  return made.hidden ? Histogram() : Histogram(made.cell);
}

Counter Store::dynamic_counter(const Group& group, std::string_view suffix) {
  for (uint32_t i = 0; i < group.kind_.definitions.size(); ++i) {
    const Definition& definition = group.kind_.definitions[i];
    if (definition.name == suffix && definition.type == Type::kCounter) return group.counter(i);
  }
  std::string name = shown(suffix);
  if (impl_->leaves_out(group, name)) return impl_->nowhere;
  std::lock_guard lock(impl_->dynamic_mutex);
  Group::Dynamic& dynamic = *group.dynamic_;
  if (auto at = dynamic.stats.find(name); at != dynamic.stats.end()) return Counter(at->second.cell);
  if (dynamic.without_family >= kMaxDynamic) return impl_->overflow;
  ++dynamic.without_family;
  uint32_t cell = reserve_cells(1);
  dynamic.stats.emplace(std::move(name), DynamicStat{cell});
  return Counter(cell);
}

Frozen Store::freeze() const {
  Frozen out;
  Place place;
  list(out, place, impl_->groups.size());
  return out;
}

bool Store::list(Frozen& out, Place& place, size_t most) const {
  out.groups_.reserve(impl_->groups.size());
  auto next = place.has_value() ? impl_->groups.upper_bound(*place) : impl_->groups.begin();
  for (; most > 0 && next != impl_->groups.end(); --most, ++next) {
    const auto& [key, held] = *next;
    auto group = held.weak.lock();
    if (group == nullptr) continue;
    const auto* order = group->hidden_ != nullptr ? &group->hidden_->order : &impl_->order_of(*key.first);
    out.groups_.push_back({std::move(group), order, held.group->baseline_});
  }
  if (next != impl_->groups.end()) {
    place = std::prev(next)->first;
    return true;
  }
  out.singles_.reserve(impl_->singles.size());
  for (const auto& [key, held] : impl_->singles) {
    if (!held.single->hidden) out.singles_.push_back({held.weak.lock(), held.single->baseline});
  }
  out.carried_ = impl_->show_carried();
  out.rules_ = impl_->rules;
  out.dynamic_mutex_ = &impl_->dynamic_mutex;
  out.intervals_ = impl_->intervals;
  return false;
}

uint32_t StoreWalk::dynamic_cell(const Group& group, Family family, std::string_view name, Type type, Unit unit) {
  std::string text = shown(name);
  const Store::Impl& impl = *group.store_.impl_;
  if (impl.leaves_out(group, text))
    return type == Type::kHistogram ? impl.histogram_of_nothing : impl.nowhere.cell_index();
  std::lock_guard lock(impl.dynamic_mutex);
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

Counter StoreWalk::overflow(const Group& group) { return group.store_.impl_->overflow; }

Counter dynamic_counter(const Group& group, Family family, std::string_view name) {
  const uint32_t cell = StoreWalk::dynamic_cell(group, family, name, Type::kCounter, Unit::kNone);
  return cell != 0 ? Counter(cell) : StoreWalk::overflow(group);
}

Histogram dynamic_histogram(const Group& group, Family family, std::string_view name, Unit unit) {
  return Histogram(StoreWalk::dynamic_cell(group, family, name, Type::kHistogram, unit));
}

void Frozen::for_each_histogram(const std::function<void(uint32_t)>& visit) const {
  for (const OneGroup& one : groups_) {
    const Group& group = *one.group;
    for (const uint32_t i : *one.order) {
      if (group.kind_.definitions[i].type == Type::kHistogram) visit(group.first_ + i);
    }
    std::vector<uint32_t> dynamic;  // the lock is not held while they are read
    {
      std::lock_guard lock(*dynamic_mutex_);
      group.dynamic_->for_each_histogram([&](uint32_t cell) { dynamic.push_back(cell); });
    }
    for (const uint32_t cell : dynamic) visit(cell);
  }
  for (const OneSingle& one : singles_) {
    if (one.single->type == Type::kHistogram) visit(one.single->cell);
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
  impl_->carried_shown = nullptr;
  for (auto& [key, carried] : impl_->carried) carried.gauges.erase(source);
}

void Store::reset_counters() {
  impl_->carried_shown = nullptr;
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
  for (auto& [key, held] : impl_->singles) {
    if (key.second == Type::kCounter) held.single->baseline = read_cell(held.single->cell);
  }
}

void Store::flush_histograms() {
  set_intervals(std::make_shared<const Intervals>(take_intervals(freeze(), impl_->at_flush)));
}

void Store::set_intervals(std::shared_ptr<const Intervals> intervals) { impl_->intervals = std::move(intervals); }

const HistogramSnapshot* Store::interval(uint32_t histogram_cell) const {
  const auto at = impl_->intervals->find(histogram_cell);
  return at == impl_->intervals->end() || at->second.count == 0 ? nullptr : &at->second;
}

}  // namespace weir::stats
