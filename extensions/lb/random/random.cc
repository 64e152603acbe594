#include "extensions/lb/random/random.h"

#include "core/filter/registry.h"
#include "envoy/extensions/load_balancing_policies/random/v3/random.pb.h"
#include "extensions/lb/common/locality.h"

namespace weir::extensions::random {
namespace {

class Hosts final : public lb::Table {
 public:
  explicit Hosts(const lb::BuildInput& input)
      : hosts_(input.hosts), usable_(input.usable.begin(), input.usable.end()) {}

  lb::HostIndex pick(const lb::PickInput& input, lb::LaneView& view, lb::LaneState&) const noexcept override {
    const auto count = static_cast<uint32_t>(usable_.size());
    const uint32_t start = view.random.below(count);
    if (input.excluded.empty()) [[likely]]
      return usable_[start];
    // One of those that were not tried, each as likely as the others.
    uint32_t left = 0;
    lb::HostIndex chosen = usable_[start];
    for (lb::HostIndex index : usable_) {
      if (!lb::is_excluded(input, hosts_[index].host.get()) && view.random.below(++left) == 0) chosen = index;
    }
    return chosen;
  }

 private:
  std::span<const lb::HostEntry> hosts_;
  std::vector<lb::HostIndex> usable_;
};

}  // namespace

std::unique_ptr<const lb::Table> build(const lb::BuildInput& input) { return std::make_unique<Hosts>(input); }

}  // namespace weir::extensions::random

namespace weir::plugins {

void lb_random(filter::RegistryBuilder& registry) {
  using Proto = envoy::extensions::load_balancing_policies::random::v3::Random;
  auto policy = std::make_shared<lb::PolicyDescriptor>();
  policy->name = "envoy.load_balancing_policies.random";
  policy->type = "envoy.extensions.load_balancing_policies.random.v3.Random";
  policy->make_config = [](const google::protobuf::Message& message) -> Result<lb::PolicyConfig> {
    const auto& proto = static_cast<const Proto&>(message);
    lb::PolicyConfig config;
    extensions::locality::read(proto.locality_lb_config(), config);
    return config;
  };
  policy->build = [](const lb::BuildInput& input, const void*) { return extensions::random::build(input); };
  auto name = policy->name;
  auto type = policy->type;
  registry.add(std::move(policy), name, type);
}

}  // namespace weir::plugins
