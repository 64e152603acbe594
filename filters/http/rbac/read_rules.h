// From the API's rules and matcher trees to what decides. [main]
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/filter/factory.h"
#include "filters/http/rbac/engine.h"

namespace envoy::config::rbac::v3 {
class RBAC;
}
namespace xds::type::matcher::v3 {
class Matcher;
}

namespace weir::filters::rbac {

// Names of the counters of one rule: before + name + after.
struct RuleCounters {
  bool tracked = false;
  std::string before = {};        // "http.ingress.rbac.policy."
  std::string_view allowed = {};  // ".allowed", ".shadow_allowed"
  std::string_view denied = {};
};

// Faults are reported; what is returned then is not to be used.
std::unique_ptr<const Engine> read_rules(const envoy::config::rbac::v3::RBAC& proto, const RuleCounters& counters,
                                         filter::FactoryScope scope);
std::unique_ptr<const Engine> read_matcher(const xds::type::matcher::v3::Matcher& proto, const RuleCounters& counters,
                                           filter::FactoryScope scope);

}  // namespace weir::filters::rbac
