#include "core/stats/store_walk.h"

#include <algorithm>
#include <mutex>
#include <utility>

namespace weir::stats {

void StoreWalk::run() {
  waiting_.reserve(frozen_.groups_.size());
  for (const Frozen::OneGroup& one : frozen_.groups_)
    waiting_.push_back({head_of(one.group->kind_, one.group->thing_), &one});
  std::sort(waiting_.begin(), waiting_.end(), [](const Head& a, const Head& b) { return a.head < b.head; });
  single_ = frozen_.singles_.begin();
  if (frozen_.carried_ != nullptr) carried_ = *frozen_.carried_;
  size_t next = 0;
  while (true) {
    Cursor* first = smallest();
    bool single_first = single_ != frozen_.singles_.end() && (first == nullptr || single_->single->name < first->name);
    std::string_view name;
    if (single_first) {
      name = single_->single->name;
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

StoreWalk::Cursor* StoreWalk::smallest() {
  Cursor* best = nullptr;
  for (auto& cursor : open_) {
    if (best == nullptr || cursor->name < best->name) best = cursor.get();
  }
  return best;
}

void StoreWalk::open(Head& head) {
  auto cursor = std::make_unique<Cursor>();
  cursor->group = head.group->group.get();
  cursor->baseline = head.group->baseline.get();
  cursor->head_length = head.head.size();
  cursor->name = std::move(head.head);
  cursor->order = head.group->order;
  if (!cursor->order->empty()) {
    cursor->values.resize(cursor->group->kind_.definitions.size());
    read_cells(cursor->group->first_, cursor->values);
  }
  {
    std::lock_guard lock(*frozen_.dynamic_mutex_);
    for (auto& [name, stat] : cursor->group->dynamic_->stats) cursor->dynamic.push_back({name, stat});
  }
  if (settle(*cursor)) open_.push_back(std::move(cursor));
}

void StoreWalk::close(Cursor& done) {
  std::erase_if(open_, [&](const std::unique_ptr<Cursor>& cursor) { return cursor.get() == &done; });
}

bool StoreWalk::settle(Cursor& cursor) {
  cursor.name.resize(cursor.head_length);
  bool has_static = cursor.at_order < cursor.order->size();
  bool has_dynamic = cursor.at_dynamic < cursor.dynamic.size();
  if (!has_static && !has_dynamic) return false;
  std::string_view fixed = has_static ? definition(cursor).name : std::string_view();
  cursor.is_dynamic = has_dynamic && (!has_static || cursor.dynamic[cursor.at_dynamic].name < fixed);
  cursor.name += cursor.is_dynamic ? cursor.dynamic[cursor.at_dynamic].name : fixed;
  return true;
}

bool StoreWalk::advance(Cursor& cursor) {
  cursor.is_dynamic ? ++cursor.at_dynamic : ++cursor.at_order;
  return settle(cursor);
}

void StoreWalk::show(Cursor& cursor) {
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

void StoreWalk::show_single() {
  const Single& single = *single_->single;
  Sample sample{};
  sample.name = single.name;
  sample.tagged = single.tagged;
  sample.tags = single.tags;
  sample.type = single.type;
  sample.unit = single.unit;
  sample.cell = single.cell;
  sample.value = sample.type == Type::kHistogram ? 0 : read_cell(single.cell);
  finish(sample, single_->baseline);
}

void StoreWalk::finish(Sample& sample, uint64_t baseline) {
  if (sample.type == Type::kGauge && !frozen_.gauges_) return;
  if (sample.type == Type::kHistogram) sample.value = read_histogram(sample.cell).count;
  sample.used = sample.value != 0;
  if (sample.type == Type::kCounter) sample.value -= std::min(sample.value, baseline);
  if (frozen_.rules_ != nullptr && frozen_.rules_->tag) [[unlikely]]
    tag_as_configured(sample);
  if (frozen_.carried_ != nullptr) [[unlikely]] {
    show_carried(&sample);
    add_carried(sample);
  }
  visit_(sample);
}

void StoreWalk::tag_as_configured(Sample& sample) {
  configured_.name = sample.tagged;
  configured_.tags.assign(sample.tags.begin(), sample.tags.end());
  frozen_.rules_->tag(sample.name, configured_);
  sample.tagged = configured_.name;
  sample.tags = configured_.tags;
}

void StoreWalk::show_carried(const Sample* before) {
  for (; !carried_.empty(); carried_ = carried_.subspan(1)) {
    const Frozen::Carried& carried = carried_.front();
    if (before != nullptr && carried.name >= before->name) return;
    if (std::exchange(added_, nullptr) == &carried) continue;
    Sample sample{};
    sample.name = carried.name;
    sample.tagged = carried.tagged;
    sample.tags = carried.tags;
    sample.type = carried.type;
    sample.value = sample.carried = carried.value;
    sample.used = true;
    if (sample.type == Type::kGauge && !frozen_.gauges_) continue;
    visit_(sample);
  }
}

void StoreWalk::add_carried(Sample& sample) {
  for (const Frozen::Carried& carried : carried_) {
    if (carried.name != sample.name) break;
    if (carried.type != sample.type) continue;
    added_ = &carried;
    sample.value += carried.value;
    sample.carried += carried.value;
    sample.used = true;
  }
}

void Frozen::visit(const std::function<void(const Sample&)>& visit) const { StoreWalk(*this, visit).run(); }

}  // namespace weir::stats
