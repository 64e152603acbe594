// What a route demands beside its path, and which demand holds whenever another does. Internal to this folder.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace envoy::config::route::v3 {
class RouteMatch;
}

namespace weir::config::lint {

struct Condition {
  enum class Says : uint8_t { kOther, kPresent, kAbsent, kExact, kPrefix, kSuffix, kContains };

  std::string whole;  // equal: the same condition, whatever it says
  std::string about;  // "header x-version"; empty: nothing is known of it but itself
  Says says = Says::kOther;
  std::string text;
  bool case_sensitive = true;
  bool needs_value = false;  // it does not hold where what it is about is missing
  bool of_text = false;      // it does not hold of all that it says: not of bytes that are not UTF-8
};

// All of them must hold. Methods, too: they are headers.
std::vector<Condition> conditions_of(const envoy::config::route::v3::RouteMatch& match);
// Whether `what` holds of every request of which `all` hold; false: not certain.
bool follows(const Condition& what, const std::vector<Condition>& all);
// Whether of every request one of the two holds; false: not certain.
bool either_holds(const Condition& a, const Condition& b);

// Letters of ASCII only: those are what the matchers fold.
std::string lower(std::string_view text);
bool has_letters(std::string_view text);

}  // namespace weir::config::lint
