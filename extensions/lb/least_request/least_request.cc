#include "extensions/lb/least_request/least_request.h"

#include <algorithm>

#include "core/filter/registry.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb.h"
#include "extensions/lb/common/locality.h"

namespace weir::extensions::least_request {
namespace {

class Choices final : public lb::Table {
 public:
  Choices(const lb::BuildInput& input, const Config& config)
      : hosts_(input.hosts), usable_(input.usable.begin(), input.usable.end()), config_(config) {
    uint32_t weight = hosts_[usable_.front()].weight;
    equal_ = std::all_of(usable_.begin(), usable_.end(), [&](lb::HostIndex i) { return hosts_[i].weight == weight; });
    if (equal_) return;
    for (lb::HostIndex i : usable_) {
      total_weight_ += std::max<uint32_t>(1, hosts_[i].weight);
      cumulative_.push_back(total_weight_);
    }
  }

  lb::HostIndex pick(const lb::PickInput& input, lb::LaneView& view, lb::LaneState&) const noexcept override {
    lb::HostIndex best = lb::kNoHost;
    lb::HostIndex any = lb::kNoHost;
    double best_cost = 0;
    auto consider = [&](lb::HostIndex index) {
      any = index;
      if (!input.excluded.empty() && lb::is_excluded(input, hosts_[index].host.get())) return;
      // Per unit of weight. The first one is a draw by weight, and stays unless another is no more loaded with this
      // request than that is now: an idle host of little weight does not get what a busy one of much weight should.
      const int32_t more = best == lb::kNoHost ? 0 : 1;
      double cost = static_cast<double>(view.in_flight(index) + more) / std::max<uint32_t>(1, hosts_[index].weight);
      if (best == lb::kNoHost || cost <= best_cost) {
        best = index;
        best_cost = cost;
      }
    };
    auto count = static_cast<uint32_t>(usable_.size());
    if (config_.full_scan || count <= config_.choice_count) {
      const uint32_t start = draw(view.random);
      for (uint32_t i = 0; i < count; ++i) consider(usable_[start + i < count ? start + i : start + i - count]);
    } else {
      for (uint32_t i = 0; i < config_.choice_count; ++i) consider(usable_[draw(view.random)]);
      // All draws were hosts tried before: look through the others.
      if (best == lb::kNoHost) {
        for (lb::HostIndex index : usable_) consider(index);
      }
    }
    return best != lb::kNoHost ? best : any;
  }

 private:
  // Which of the usable ones.
  uint32_t draw(Random& random) const {
    if (equal_) return random.below(static_cast<uint32_t>(usable_.size()));
    uint64_t point = random.next() % total_weight_;
    auto it = std::upper_bound(cumulative_.begin(), cumulative_.end(), point);
    return static_cast<uint32_t>(it - cumulative_.begin());
  }

  std::span<const lb::HostEntry> hosts_;
  std::vector<lb::HostIndex> usable_;
  Config config_;
  bool equal_ = true;
  uint64_t total_weight_ = 0;
  std::vector<uint64_t> cumulative_;
};

}  // namespace

std::unique_ptr<const lb::Table> build(const lb::BuildInput& input, const Config& config) {
  return std::make_unique<Choices>(input, config);
}

}  // namespace weir::extensions::least_request

namespace weir::plugins {

void lb_least_request(filter::RegistryBuilder& registry) {
  using Config = extensions::least_request::Config;
  using Proto = envoy::extensions::load_balancing_policies::least_request::v3::LeastRequest;
  auto policy = std::make_shared<lb::PolicyDescriptor>();
  policy->name = "envoy.load_balancing_policies.least_request";
  policy->type = "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest";
  policy->make_config = [](const google::protobuf::Message& message) -> Result<lb::PolicyConfig> {
    const auto& proto = static_cast<const Proto&>(message);
    auto config = std::make_shared<Config>();
    if (proto.has_choice_count()) config->choice_count = proto.choice_count().value();
    if (config->choice_count < 2) {
      return invalid("choice_count: " + std::to_string(config->choice_count) + " is too small; at least 2");
    }
    config->full_scan = proto.selection_method() == Proto::FULL_SCAN;
    lb::PolicyConfig made;
    made.config = std::move(config);
    extensions::locality::read(proto.locality_lb_config(), made);
    return made;
  };
  policy->build = [](const lb::BuildInput& input, const void* config) {
    return extensions::least_request::build(input, config != nullptr ? *static_cast<const Config*>(config) : Config{});
  };
  auto name = policy->name;
  auto type = policy->type;
  registry.add(std::move(policy), name, type);
}

}  // namespace weir::plugins
