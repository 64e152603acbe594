// From the API's rules and matcher trees to what decides. [main]
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/filter/factory.h"
#include "filters/common/rbac/engine.h"

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

// Of a connection, conditions about HTTP are faults: nothing of a request is known there.
enum class Subject : uint8_t { kRequest, kConnection };

// Faults are reported; what is returned then is not to be used.
std::unique_ptr<const Engine> read_rules(const envoy::config::rbac::v3::RBAC& proto, const RuleCounters& counters,
                                         filter::FactoryScope scope, Subject subject = Subject::kRequest);
std::unique_ptr<const Engine> read_matcher(const xds::type::matcher::v3::Matcher& proto, const RuleCounters& counters,
                                           filter::FactoryScope scope, Subject subject = Subject::kRequest);

}  // namespace weir::filters::rbac
