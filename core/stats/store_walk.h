// How a store is shown: in the order of names. Private to this folder.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/stats/dynamic.h"
#include "core/stats/store.h"

namespace weir::stats {

// How the names of all statistics of a group begin.
inline std::string head_of(const GroupKind& kind, std::string_view thing) {
  std::string head;
  for (std::string_view part : {kind.prefix, thing}) {
    if (part.empty()) continue;
    head += part;
    head += '.';
  }
  return head;
}

// A statistic with a name of its own. Destroyed on main, by the last lease or reader that holds it.
struct Single {
  explicit Single(Store& store) : store(store) {}
  ~Single();
  Single(const Single&) = delete;
  Single& operator=(const Single&) = delete;

  Store& store;
  std::string name;
  Type type = Type::kCounter;
  Unit unit = Unit::kNone;
  uint32_t cell = 0;
  std::string tagged;
  std::vector<Tag> tags;
  // [main]
  uint64_t baseline = 0;
  bool hidden = false;    // by the rules
  bool for_ever = false;  // the store holds it, too
};

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
};

// Walks statistics in the order of their full names without ever holding all names: every group is sorted in itself
// (its layout once per kind), and groups follow each other by their heads. Only where one head begins with another
// ("listener.a." and "listener.a.http.web.") do several walks run side by side.
class StoreWalk {
 public:
  StoreWalk(const Frozen& frozen, const std::function<void(const Sample&)>& visit) : frozen_(frozen), visit_(visit) {}

  // What dynamic.h makes: the cell of the statistic; 0: the family has no more names. Here, because this class may look
  // into groups.
  static uint32_t dynamic_cell(const Group& group, Family family, std::string_view name, Type type, Unit unit);
  static Counter overflow(const Group& group);

  void run();

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

  Cursor* smallest();
  void open(Head& head);
  void close(Cursor& done);
  // Decides which of the two lists is due and writes its name; false at the end of both.
  bool settle(Cursor& cursor);
  bool advance(Cursor& cursor);
  const Definition& definition(const Cursor& cursor) const {
    return cursor.group->kind_.definitions[(*cursor.order)[cursor.at_order]];
  }
  void show(Cursor& cursor);
  void show_single();
  void finish(Sample& sample, uint64_t baseline);
  void tag_as_configured(Sample& sample);
  // Those of other processes that come before this one, and that this process does not have; nullptr: all that are
  // left.
  void show_carried(const Sample* before);
  void add_carried(Sample& sample);

  const Frozen& frozen_;
  const std::function<void(const Sample&)>& visit_;
  std::vector<Head> waiting_;
  std::vector<std::unique_ptr<Cursor>> open_;
  std::vector<Frozen::OneSingle>::const_iterator single_;
  std::span<const Frozen::Carried> carried_;  // that are due
  const Frozen::Carried* added_ = nullptr;    // to a sample that was shown; it is not shown by itself
  Tagged tagged_;
  Tagged configured_;  // by the rules
};

}  // namespace weir::stats
