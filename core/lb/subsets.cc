#include "core/lb/subsets.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/base/xxhash.h"

namespace weir::lb {

using stream::Value;
using Fallback = SubsetPolicy::Fallback;

namespace {

constexpr std::string_view kNamespace = "envoy.lb";
constexpr std::string_view kFallbackList = "fallback_list";

constexpr stats::Definition kDefinitions[] = {
    {"lb_subsets_created", stats::Type::kCounter},
    {"lb_subsets_removed", stats::Type::kCounter},
    {"lb_subsets_selected", stats::Type::kCounter},
    {"lb_subsets_fallback", stats::Type::kCounter},
    {"lb_subsets_fallback_panic", stats::Type::kCounter},
    {"lb_subsets_active", stats::Type::kGauge},
    {"lb_subsets_single_host_per_subset_duplicate", stats::Type::kGauge},
};
const stats::GroupKind kKind{"cluster", "envoy_cluster_name", kDefinitions};

const Value* metadata_of(const HostEntry& host) {
  return host.metadata != nullptr ? host.metadata->root().find(kNamespace) : nullptr;
}

uint64_t mixed(uint64_t hash, uint64_t more) {
  const uint64_t both[] = {hash, more};
  return xxhash64({reinterpret_cast<const char*>(both), sizeof both});
}

// The same for values that are equal.
uint64_t hash_of(const Value& value) noexcept {
  uint64_t hash = static_cast<uint64_t>(value.kind());
  switch (value.kind()) {
    case Value::Kind::kNull:
      break;
    case Value::Kind::kBool:
      hash = mixed(hash, value.boolean());
      break;
    case Value::Kind::kNumber:
      hash = mixed(hash, std::bit_cast<uint64_t>(value.number() + 0.0));  // of minus zero, too
      break;
    case Value::Kind::kString:
      hash = xxhash64(value.string(), hash);
      break;
    case Value::Kind::kList:
      for (const Value& item : value.items()) hash = mixed(hash, hash_of(item));
      break;
    case Value::Kind::kStruct:
      for (const stream::Field& field : value.fields()) hash = mixed(xxhash64(field.key, hash), hash_of(field.value));
      break;
  }
  return hash;
}

// What a host that has this value is found by.
std::span<const Value> alternatives(const Value& value, bool list_as_any) {
  if (list_as_any && value.kind() == Value::Kind::kList) return value.items();
  return {&value, 1};
}

}  // namespace

SubsetStats::SubsetStats(stats::Store& store, const std::string& cluster) : group(store.group(kKind, cluster)) {
  size_t next = 0;
  for (stats::Counter* counter : {&created, &removed, &selected, &fallback, &fallback_panic})
    *counter = group->counter(next++);
  for (stats::Gauge* gauge : {&active, &single_host_duplicate}) *gauge = group->gauge(next++);
}

// --- What a request asks for: the members of a struct, with others above them, and perhaps of some keys alone
// ----------

class Subsets::Criteria {
 public:
  explicit Criteria(const Value* base) : base_(base) {}
  // The same without the list of fallbacks, and with the members of `over`.
  Criteria over(const Value& over) const {
    Criteria out = *this;
    out.without_list_ = true;
    out.over_ = &over;
    return out;
  }
  Criteria only(const std::vector<std::string>& keys) const {
    Criteria out = *this;
    out.only_ = &keys;
    return out;
  }

  const Value* find(std::string_view key) const {
    if (only_ != nullptr && std::find(only_->begin(), only_->end(), key) == only_->end()) return nullptr;
    const Value* value = over_ != nullptr ? over_->find(key) : nullptr;
    return value != nullptr ? value : find_in_base(key);
  }
  bool has_all(const std::vector<std::string>& keys) const {
    return std::all_of(keys.begin(), keys.end(), [this](const std::string& key) { return find(key) != nullptr; });
  }
  size_t size() const {
    if (only_ != nullptr) {
      return static_cast<size_t>(
          std::count_if(only_->begin(), only_->end(), [this](const std::string& key) { return find(key) != nullptr; }));
    }
    if (base_ == nullptr) return over_ != nullptr ? over_->fields().size() : 0;
    size_t count = base_->fields().size();
    if (without_list_ && base_->find(kFallbackList) != nullptr) --count;
    if (over_ == nullptr) return count;
    for (const stream::Field& field : over_->fields()) count += find_in_base(field.key) == nullptr;
    return count;
  }

 private:
  const Value* find_in_base(std::string_view key) const {
    if (base_ == nullptr || (without_list_ && key == kFallbackList)) return nullptr;
    return base_->find(key);
  }
  const Value* base_;
  const Value* over_ = nullptr;
  const std::vector<std::string>* only_ = nullptr;
  bool without_list_ = false;
};

// --- Which there are -----------------------------------------------------------------------------------------------

Subsets::Subsets(std::span<const HostEntry> hosts, const Levels& all, const PolicyDescriptor& policy,
                 const void* policy_config, const BalanceOptions& options, std::shared_ptr<const SubsetPolicy> subsets,
                 std::shared_ptr<const SubsetStats> stats, uint32_t& next_state)
    : hosts_(hosts), all_(all), policy_(std::move(subsets)), stats_(std::move(stats)) {
  for (uint32_t i = 0; i < policy_->selectors.size(); ++i) {
    for (HostIndex host = 0; host < hosts_.size(); ++host) add(host, i);
  }
  for (Subset& subset : subsets_) {
    if (policy_->selectors[subset.selector].single_host) {
      duplicates_ += subset.members.size() - 1;
      subset.members.resize(1);
    } else {
      subset.levels =
          std::make_unique<const Levels>(hosts_, subset.members, policy, policy_config, options, next_state);
      subset.members = {};
    }
  }
  const bool wanted = policy_->fallback == Fallback::kDefault ||
                      std::any_of(policy_->selectors.begin(), policy_->selectors.end(),
                                  [](const auto& one) { return one.fallback == Fallback::kDefault; });
  if (!wanted) return;
  std::vector<HostIndex> members;
  for (HostIndex host = 0; host < hosts_.size(); ++host) {
    if (is_default(hosts_[host])) members.push_back(host);
  }
  default_ = std::make_unique<const Levels>(hosts_, members, policy, policy_config, options, next_state);
}

uint64_t Subsets::count_for(const Value& metadata, const SubsetPolicy::Selector& selector, bool list_as_any) {
  uint64_t count = 1;
  for (const std::string& key : selector.keys) {
    const Value* value = metadata.find(key);
    if (value == nullptr) return 0;
    count *= alternatives(*value, list_as_any).size();
    if (count > UINT32_MAX) return count;
  }
  return count;
}

void Subsets::add(HostIndex host, uint32_t selector) {
  const Value* metadata = metadata_of(hosts_[host]);
  if (metadata == nullptr) return;
  // Every combination, one value of each key.
  std::vector<std::span<const Value>> choices;
  for (const std::string& key : policy_->selectors[selector].keys) {
    const Value* value = metadata->find(key);
    if (value == nullptr) return;
    choices.push_back(alternatives(*value, policy_->list_as_any));
    if (choices.back().empty()) return;
  }
  std::vector<size_t> at(choices.size(), 0);
  while (true) {
    std::vector<Value> values;
    for (size_t i = 0; i < choices.size(); ++i) values.push_back(choices[i][at[i]]);
    std::vector<HostIndex>& members = subset_of(selector, std::move(values)).members;
    if (members.empty() || members.back() != host) members.push_back(host);
    size_t digit = 0;
    while (digit < at.size() && ++at[digit] == choices[digit].size()) at[digit++] = 0;
    if (digit == at.size()) return;
  }
}

Subsets::Subset& Subsets::subset_of(uint32_t selector, std::vector<Value> values) {
  const auto value_of = [&](size_t i) -> const Value& { return values[i]; };
  if (const Subset* known = find(selector, value_of)) return subsets_[static_cast<size_t>(known - subsets_.data())];
  uint64_t hash = selector;
  for (const Value& value : values) hash = mixed(hash, hash_of(value));
  by_hash_.emplace(hash, static_cast<uint32_t>(subsets_.size()));
  return subsets_.emplace_back(Subset{selector, std::move(values), {}, nullptr});
}

template <class ValueOf>
const Subsets::Subset* Subsets::find(uint32_t selector, ValueOf&& value_of) const noexcept {
  const size_t count = policy_->selectors[selector].keys.size();
  uint64_t hash = selector;
  for (size_t i = 0; i < count; ++i) hash = mixed(hash, hash_of(value_of(i)));
  for (auto [at, end] = by_hash_.equal_range(hash); at != end; ++at) {
    const Subset& subset = subsets_[at->second];
    bool same = subset.selector == selector;
    for (size_t i = 0; same && i < count; ++i) same = subset.values[i] == value_of(i);
    if (same) return &subset;
  }
  return nullptr;
}

bool Subsets::is_default(const HostEntry& host) const {
  if (policy_->default_subset == nullptr) return true;
  const Value* metadata = metadata_of(host);
  const auto fields = policy_->default_subset->root().fields();
  return std::all_of(fields.begin(), fields.end(), [&](const stream::Field& field) {
    const Value* value = metadata != nullptr ? metadata->find(field.key) : nullptr;
    if (value == nullptr) return false;
    const auto any = alternatives(*value, policy_->list_as_any);
    return *value == field.value || std::find(any.begin(), any.end(), field.value) != any.end();
  });
}

std::vector<std::string> Subsets::names() const {
  std::vector<std::string> names;
  names.reserve(subsets_.size());
  for (const Subset& subset : subsets_) {
    std::string& name = names.emplace_back();
    for (size_t i = 0; i < subset.values.size(); ++i) {
      stream::append_json(Value::of_string(policy_->selectors[subset.selector].keys[i]), name);
      name += '=';
      stream::append_json(subset.values[i], name);
      name += ' ';
    }
  }
  return names;
}

// --- Which one -----------------------------------------------------------------------------------------------------

HostIndex Subsets::pick(const PickInput& input, LaneView& view, LaneState* states) const noexcept {
  const Criteria criteria(input.match);
  if (policy_->fallback_list && input.match != nullptr) {
    const Value* list = input.match->find(kFallbackList);
    if (list != nullptr && list->kind() == Value::Kind::kList) {
      static const Value kNothing = Value::of_struct({});
      if (list->items().empty()) return pick_by(criteria.over(kNothing), input, view, states);
      for (const Value& over : list->items()) {
        const HostIndex host =
            pick_by(criteria.over(over.kind() == Value::Kind::kStruct ? over : kNothing), input, view, states);
        if (host != kNoHost) return host;
      }
      return kNoHost;
    }
  }
  return pick_by(criteria, input, view, states);
}

const SubsetPolicy::Selector* Subsets::selector_for(const Criteria& criteria) const noexcept {
  const SubsetPolicy::Selector* best = nullptr;
  const size_t size = criteria.size();
  for (const SubsetPolicy::Selector& selector : policy_->selectors) {
    if (policy_->allow_redundant_keys) {
      // That with most keys; of several the first.
      if ((best == nullptr || selector.keys.size() > best->keys.size()) && criteria.has_all(selector.keys))
        best = &selector;
    } else if (selector.keys.size() == size && criteria.has_all(selector.keys)) {
      return &selector;
    }
  }
  return best;
}

HostIndex Subsets::pick_by(const Criteria& criteria, const PickInput& input, LaneView& view,
                           LaneState* states) const noexcept {
  const SubsetPolicy::Selector* selector = selector_for(criteria);
  if (selector == nullptr) return pick_fallback(input, view, states);
  const auto index = static_cast<uint32_t>(selector - policy_->selectors.data());
  const Subset* subset = find(index, [&](size_t i) -> const Value& { return *criteria.find(selector->keys[i]); });
  if (subset != nullptr) {
    stats_->selected.inc();
    return subset->levels != nullptr ? subset->levels->pick(input, view, states) : subset->members.front();
  }
  switch (selector->fallback) {
    case Fallback::kUnset:
      return pick_fallback(input, view, states);
    case Fallback::kNone:
      return kNoHost;
    case Fallback::kAny:
      stats_->fallback.inc();
      return all_.pick(input, view, states);
    case Fallback::kDefault:
      stats_->fallback.inc();
      return default_->pick(input, view, states);
    case Fallback::kKeys:
      return pick_by(criteria.only(selector->fallback_keys), input, view, states);  // they are fewer each time
  }
  return kNoHost;
}

HostIndex Subsets::pick_fallback(const PickInput& input, LaneView& view, LaneState* states) const noexcept {
  if (policy_->fallback == Fallback::kNone) return kNoHost;
  const Levels& levels = policy_->fallback == Fallback::kDefault ? *default_ : all_;
  if (const HostIndex host = levels.pick(input, view, states); host != kNoHost) {
    stats_->fallback.inc();
    return host;
  }
  if (!policy_->panic_mode_any) return kNoHost;
  const HostIndex host = all_.pick(input, view, states);
  if (host != kNoHost) stats_->fallback_panic.inc();
  return host;
}

}  // namespace weir::lb
