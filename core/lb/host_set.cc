#include "core/lb/host_set.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

namespace weir::lb {
namespace {

std::vector<HostIndex> indices(size_t count) {
  std::vector<HostIndex> all(count);
  std::iota(all.begin(), all.end(), 0);
  return all;
}

}  // namespace

HostSet::HostSet(std::vector<HostEntry> hosts, const PolicyDescriptor& policy, const void* policy_config,
                 const Options& options, const Division& division)
    : hosts_(std::move(hosts)), all_(hosts_, indices(hosts_.size()), policy, policy_config, options, lane_states_) {
  if (division.policy == nullptr) return;
  subsets_ = std::make_unique<const Subsets>(hosts_, all_, policy, policy_config, options, division.policy,
                                             division.stats, lane_states_);
}

std::vector<uint64_t> HostSet::figures(const Figures& figures) const {
  const size_t count = figures.of.size();
  std::vector<std::optional<uint64_t>> sums(count);
  std::vector<uint64_t> of_one(count);
  const auto add = [&](const Table& table) {
    std::fill(of_one.begin(), of_one.end(), 0);
    table.tell(of_one);
    for (size_t i = 0; i < count; ++i) {
      if (!sums[i]) {
        sums[i] = of_one[i];
        continue;
      }
      switch (figures.of[i]) {
        case Figures::Of::kSum:
          *sums[i] += of_one[i];
          break;
        case Figures::Of::kLeast:
          *sums[i] = std::min(*sums[i], of_one[i]);
          break;
        case Figures::Of::kMost:
          *sums[i] = std::max(*sums[i], of_one[i]);
          break;
      }
    }
  };
  all_.for_each_table(add);
  if (subsets_ != nullptr) subsets_->for_each_table(add);
  std::vector<uint64_t> out;
  for (const auto& sum : sums) out.push_back(sum.value_or(0));
  return out;
}

}  // namespace weir::lb
