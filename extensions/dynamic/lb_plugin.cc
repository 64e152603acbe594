#include "core/filter/registry.h"
#include "extensions/dynamic/config_text.h"
#include "extensions/dynamic/load_balancer.h"
#include "extensions/dynamic/loader.h"
#include "weir/extensions/dynamic/v1/dynamic.pb.h"

namespace weir::plugins {

void lb_dynamic(filter::RegistryBuilder& registry) {
  using namespace extensions::dynamic;
  using Proto = weir::extensions::dynamic::v1::LoadBalancer;
  auto policy = std::make_shared<lb::PolicyDescriptor>();
  policy->name = "weir.load_balancing_policies.dynamic";
  policy->type = "weir.extensions.dynamic.v1.LoadBalancer";
  policy->make_config = [](const google::protobuf::Message& message) -> Result<lb::PolicyConfig> {
    const auto& proto = static_cast<const Proto&>(message);
    auto module = Loader::process().load(proto.module());
    if (!module.ok()) return module.status();
    auto text = config_text(proto.config());
    if (!text.ok()) return invalid("config: " + message_of(text.status()));
    auto config = LbConfig::make(**module, proto.policy_name(), *text);
    if (!config.ok()) return config.status();
    return lb::PolicyConfig{std::move(*config)};
  };
  policy->build = [](const lb::BuildInput& input, const void* config) {
    return static_cast<const LbConfig*>(config)->build(input);
  };
  auto name = policy->name;
  auto type = policy->type;
  registry.add(std::move(policy), name, type);
}

}  // namespace weir::plugins
