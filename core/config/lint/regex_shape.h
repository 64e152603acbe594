// What a regular expression says, if a plainer matcher says it too. Internal to this folder.
#pragma once

#include <string>
#include <string_view>

namespace weir::config::lint {

enum class Shape {
  kOther,
  kExact,
  kPrefix,
  kSegments,  // the text, or what is below it: path_separated_prefix
  kSuffix,
  kContains,
  kAnything
};

// Of an expression that has to match the whole subject, which the API's always do.
struct RegexShape {
  Shape shape = Shape::kOther;
  std::string text;            // without escapes; empty for kOther and kAnything
  std::string literal_prefix;  // what every subject begins with that matches, as far as that is easy to see
};
RegexShape shape_of(std::string_view regex);

}  // namespace weir::config::lint
