#include "core/config/hash_policy_config.h"

#include "core/config/field_path.h"
#include "core/config/route_matchers.h"
#include "core/config/shared_messages.h"
#include "envoy/config/route/v3/route_components.pb.h"

namespace weir::config {

using envoy::config::route::v3::RouteAction;
using Kind = route::HashPolicySpec::Kind;

namespace {

route::HashPolicySpec hash_policy_spec(const RouteAction::HashPolicy& message) {
  route::HashPolicySpec spec;
  spec.terminal = message.terminal();
  switch (message.policy_specifier_case()) {
    case RouteAction::HashPolicy::kHeader:
      spec.kind = Kind::kHeader;
      spec.name = message.header().header_name();
      if (message.header().has_regex_rewrite()) spec.rewrite = to_spec(message.header().regex_rewrite());
      break;
    case RouteAction::HashPolicy::kCookie:
      spec.kind = Kind::kCookie;
      spec.name = message.cookie().name();
      if (message.cookie().has_ttl()) spec.ttl = to_duration(message.cookie().ttl());
      spec.path = message.cookie().path();
      for (const auto& one : message.cookie().attributes()) spec.attributes.push_back({one.name(), one.value()});
      break;
    case RouteAction::HashPolicy::kConnectionProperties:
      if (message.connection_properties().source_ip()) spec.kind = Kind::kSourceIp;
      break;
    case RouteAction::HashPolicy::kQueryParameter:
      spec.kind = Kind::kQueryParameter;
      spec.name = message.query_parameter().name();
      break;
    case RouteAction::HashPolicy::kFilterState:
      spec.kind = Kind::kFilterState;
      spec.name = message.filter_state().key();
      break;
    default:  // refused by the rules
      break;
  }
  return spec;
}

}  // namespace

std::vector<route::HashPolicySpec> hash_policy_specs(const HashPolicyMessages& messages) {
  std::vector<route::HashPolicySpec> specs;
  specs.reserve(static_cast<size_t>(messages.size()));
  for (const RouteAction::HashPolicy& message : messages) specs.push_back(hash_policy_spec(message));
  return specs;
}

std::shared_ptr<const route::HashPolicies> build_hash_policies(const HashPolicyMessages& messages,
                                                               const std::string& path, RouteConfigEnv& env,
                                                               Diagnostics& diagnostics) {
  FieldPath at(path, env.positions(), diagnostics);
  route::ErrorSink errors;
  auto policies = route::HashPolicies::build(hash_policy_specs(messages), errors);
  for (const route::BuildError& error : errors.errors()) at.error_at(error.path, error.message);
  return at.ok() ? std::move(policies) : nullptr;
}

}  // namespace weir::config
