#include "core/match/script_regex.h"

#include <string>
#include <utility>

namespace weir::match {

Result<ScriptRegex> ScriptRegex::compile(std::string_view pattern) {
  try {
    return ScriptRegex(std::regex(pattern.begin(), pattern.end(), std::regex::ECMAScript | std::regex::optimize));
  } catch (const std::regex_error& error) {
    return invalid(std::string(error.what()) + " in \"" + std::string(pattern) + "\"");
  }
}

bool ScriptRegex::find(std::string_view text, std::span<std::string_view> groups) const noexcept {
  if (text.size() > kMaxText) return false;
  try {
    std::cmatch found;
    if (!std::regex_search(text.data(), text.data() + text.size(), found, regex_)) return false;
    for (size_t i = 0; i < groups.size(); ++i) {
      const auto& group = found[i + 1];  // one that is not there is not matched
      groups[i] =
          group.matched ? std::string_view(group.first, static_cast<size_t>(group.length())) : std::string_view();
    }
    return true;
  } catch (const std::regex_error&) {  // it took too many steps
    return false;
  }
}

}  // namespace weir::match
