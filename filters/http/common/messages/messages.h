// The small messages that many filters hold, compiled. Faults are reported at `field` of the scope's message. [main]
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "core/filter/factory.h"
#include "core/match/header_matcher.h"
#include "core/match/string_matcher.h"
#include "core/runtime/runtime.h"

namespace envoy::config::core::v3 {
class RuntimeFractionalPercent;
}
namespace envoy::config::route::v3 {
class HeaderMatcher;
}
namespace envoy::type::matcher::v3 {
class StringMatcher;
}
namespace envoy::type::v3 {
class FractionalPercent;
}

namespace weir::filters::common {

// No value: a fault was reported.
std::optional<match::StringMatcher> read_string_matcher(const envoy::type::matcher::v3::StringMatcher& proto,
                                                        filter::FactoryScope& scope, std::string_view field);
std::optional<match::HeaderMatcher> read_header_matcher(const envoy::config::route::v3::HeaderMatcher& proto,
                                                        filter::FactoryScope& scope, std::string_view field);
template <class Protos>
std::vector<match::StringMatcher> read_string_matchers(const Protos& protos, filter::FactoryScope& scope,
                                                       std::string_view field) {
  std::vector<match::StringMatcher> matchers;
  for (int i = 0; i < protos.size(); ++i) {
    auto matcher = read_string_matcher(protos[i], scope, std::string(field) + "[" + std::to_string(i) + "]");
    if (matcher) matchers.push_back(std::move(*matcher));
  }
  return matchers;
}

runtime::Fraction read_fraction(const envoy::type::v3::FractionalPercent& proto);
runtime::RuntimeFraction read_fraction(const envoy::config::core::v3::RuntimeFractionalPercent& proto);

}  // namespace weir::filters::common
