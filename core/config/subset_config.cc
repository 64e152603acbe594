#include "core/config/subset_config.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/config/shared_messages.h"
#include "envoy/extensions/load_balancing_policies/subset/v3/subset.pb.h"

namespace weir::config {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::extensions::load_balancing_policies::subset::v3::Subset;
using Fallback = lb::SubsetPolicy::Fallback;

// The two messages' enums have the same numbers.
static_assert(static_cast<int>(Cluster::LbSubsetConfig::ANY_ENDPOINT) == static_cast<int>(Subset::ANY_ENDPOINT) &&
              static_cast<int>(Cluster::LbSubsetConfig::DEFAULT_SUBSET) == static_cast<int>(Subset::DEFAULT_SUBSET) &&
              static_cast<int>(Cluster::LbSubsetConfig::FALLBACK_LIST) == static_cast<int>(Subset::FALLBACK_LIST));
static_assert(static_cast<int>(Cluster::LbSubsetConfig::LbSubsetSelector::NO_FALLBACK) ==
                  static_cast<int>(Subset::LbSubsetSelector::NO_FALLBACK) &&
              static_cast<int>(Cluster::LbSubsetConfig::LbSubsetSelector::ANY_ENDPOINT) ==
                  static_cast<int>(Subset::LbSubsetSelector::ANY_ENDPOINT) &&
              static_cast<int>(Cluster::LbSubsetConfig::LbSubsetSelector::DEFAULT_SUBSET) ==
                  static_cast<int>(Subset::LbSubsetSelector::DEFAULT_SUBSET) &&
              static_cast<int>(Cluster::LbSubsetConfig::LbSubsetSelector::KEYS_SUBSET) ==
                  static_cast<int>(Subset::LbSubsetSelector::KEYS_SUBSET));

Fallback fallback_of(int number) {
  switch (number) {
    case Subset::ANY_ENDPOINT:
      return Fallback::kAny;
    case Subset::DEFAULT_SUBSET:
      return Fallback::kDefault;
    default:
      return Fallback::kNone;
  }
}

Fallback selector_fallback_of(int number) {
  switch (number) {
    case Subset::LbSubsetSelector::NO_FALLBACK:
      return Fallback::kNone;
    case Subset::LbSubsetSelector::ANY_ENDPOINT:
      return Fallback::kAny;
    case Subset::LbSubsetSelector::DEFAULT_SUBSET:
      return Fallback::kDefault;
    case Subset::LbSubsetSelector::KEYS_SUBSET:
      return Fallback::kKeys;
    default:
      return Fallback::kUnset;
  }
}

template <class Texts>
std::vector<std::string> sorted(const Texts& texts) {
  const std::set<std::string> keys(texts.begin(), texts.end());
  return {keys.begin(), keys.end()};
}

void check_selector(const lb::SubsetPolicy::Selector& selector, const FieldReport& at) {
  if (selector.single_host && selector.keys.size() != 1)
    at.error_at("single_host_per_subset",
                "is for selectors with one key; this one has " + std::to_string(selector.keys.size()));
  if (selector.fallback != Fallback::kKeys) {
    if (!selector.fallback_keys.empty())
      at.error_at("fallback_keys_subset", "is for fallback_policy KEYS_SUBSET; set that, or remove this");
    return;
  }
  if (selector.fallback_keys.empty()) {
    at.error_at("fallback_keys_subset", "is required with fallback_policy KEYS_SUBSET");
  } else if (!std::includes(selector.keys.begin(), selector.keys.end(), selector.fallback_keys.begin(),
                            selector.fallback_keys.end()) ||
             selector.fallback_keys.size() == selector.keys.size()) {
    at.error_at("fallback_keys_subset", "must have some of the selector's keys, not all of them and no others");
  }
}

template <class Message>
std::shared_ptr<const lb::SubsetPolicy> read_policy(const Message& message, bool redundant_keys,
                                                    const FieldReport& at) {
  auto policy = std::make_shared<lb::SubsetPolicy>();
  policy->fallback = fallback_of(message.fallback_policy());
  policy->locality_weight_aware = message.locality_weight_aware();
  policy->scale_locality_weight = message.scale_locality_weight();
  policy->panic_mode_any = message.panic_mode_any();
  policy->list_as_any = message.list_as_any();
  policy->allow_redundant_keys = redundant_keys;
  policy->fallback_list = message.metadata_fallback_policy() == Message::FALLBACK_LIST;
  if (message.has_default_subset()) {
    ArenaPool pool;
    Arena arena(pool);
    policy->default_subset = std::make_shared<const stream::StaticMetadata>(to_value(message.default_subset(), arena));
  }
  bool uses_default = policy->fallback == Fallback::kDefault;
  std::map<std::vector<std::string>, int> known;
  for (int i = 0; i < message.subset_selectors_size(); ++i) {
    const FieldReport here = at.item("subset_selectors", i);
    const auto& from = message.subset_selectors(i);
    if (from.keys().empty()) {
      here.warning("has no keys, so that nothing is selected; remove it");
      continue;
    }
    lb::SubsetPolicy::Selector& selector = policy->selectors.emplace_back();
    selector.keys = sorted(from.keys());
    selector.fallback = selector_fallback_of(from.fallback_policy());
    selector.fallback_keys = sorted(from.fallback_keys_subset());
    selector.single_host = from.single_host_per_subset();
    uses_default |= selector.fallback == Fallback::kDefault;
    check_selector(selector, here);
    const auto [first, fresh] = known.try_emplace(selector.keys, i);
    if (!fresh) here.error_at("keys", "are those of subset_selectors[" + std::to_string(first->second) + "] already");
  }
  if (policy->selectors.empty()) {
    at.warning("has no effect without subset_selectors that have keys; remove it");
    return nullptr;
  }
  if (message.has_default_subset() && !uses_default)
    at.below("default_subset").warning("has no effect: no fallback_policy is DEFAULT_SUBSET; remove it");
  if (policy->panic_mode_any && policy->fallback != Fallback::kDefault)
    at.below("panic_mode_any").warning("has no effect: fallback_policy is not DEFAULT_SUBSET; remove it");
  return policy;
}

}  // namespace

std::shared_ptr<const lb::SubsetPolicy> translate(const Cluster::LbSubsetConfig& message, const FieldReport& at) {
  return read_policy(message, false, at);
}

std::shared_ptr<const lb::SubsetPolicy> translate(const Subset& message, const FieldReport& at) {
  return read_policy(message, message.allow_redundant_keys(), at);
}

void use_subsets(std::shared_ptr<const lb::SubsetPolicy> policy, const FieldReport& at, ClusterTranslation& out) {
  if (policy == nullptr) return;
  lb::BalanceOptions& options = out.host_options;
  if (policy->locality_weight_aware && !options.locality_weighted)
    at.error_at("locality_weight_aware", "needs a balancer with locality_weighted_lb_config");
  if (policy->scale_locality_weight && !policy->locality_weight_aware)
    at.below("scale_locality_weight").warning("has no effect without locality_weight_aware; remove it");
  options.locality_weighted &= policy->locality_weight_aware;
  options.scale_localities = options.locality_weighted && policy->scale_locality_weight;
  out.subsets = std::move(policy);
}

// A host that has lists for several keys has each combination.
void check_subsets_of(const EndpointSpec& endpoint, const std::string& path, const lb::SubsetPolicy& policy,
                      filter::ConfigReport& report) {
  constexpr uint64_t kMost = 1000;
  const stream::Value* metadata = endpoint.metadata != nullptr ? endpoint.metadata->root().find("envoy.lb") : nullptr;
  if (metadata == nullptr) return;
  for (const lb::SubsetPolicy::Selector& selector : policy.selectors) {
    const uint64_t count = lb::Subsets::count_for(*metadata, selector, policy.list_as_any);
    if (count <= kMost) continue;
    report.error(path + ".metadata", "is in " + std::to_string(count) +
                                         " subsets of one selector, by the lists that it has (list_as_any); at most " +
                                         std::to_string(kMost) + " are allowed");
  }
}

}  // namespace weir::config
