#include "core/config/lint/regex_shape.h"

namespace weir::config::lint {
namespace {

constexpr std::string_view kMeta = "\\^$.|?*+()[]{}";
// Behind a backslash these mean themselves.
constexpr std::string_view kEscaped = "\\^$.|?*+()[]{}/-_:=&%#@!~,;'\"<> ";

// Reads literal characters from the front of `regex` as long as there are any.
std::string take_literal(std::string_view& regex) {
  std::string text;
  while (!regex.empty()) {
    size_t length = 1;
    char c = regex[0];
    if (c == '\\') {
      if (regex.size() < 2 || kEscaped.find(regex[1]) == std::string_view::npos) break;
      length = 2;
      c = regex[1];
    } else if (kMeta.find(c) != std::string_view::npos) {
      break;
    }
    // A quantifier takes the character in front of it along.
    const std::string_view after = regex.substr(length);
    if (!after.empty() && std::string_view("?*+{").find(after[0]) != std::string_view::npos) break;
    text += c;
    regex = after;
  }
  return text;
}

bool take(std::string_view& regex, std::string_view part) {
  if (!regex.starts_with(part)) return false;
  regex.remove_prefix(part.size());
  return true;
}

// In a group or without: nobody asks for what it holds.
bool take_anything(std::string_view& regex) {
  return take(regex, ".*") || take(regex, "(.*)") || take(regex, "(?:.*)");
}

}  // namespace

RegexShape shape_of(std::string_view regex) {
  RegexShape out;
  take(regex, "^");
  // An alternative may be anything, wherever it stands.
  const bool alternatives = regex.find('|') != std::string_view::npos;
  const bool free_front = take(regex, ".*");
  std::string text = take_literal(regex);
  if (!free_front && !alternatives) out.literal_prefix = text;
  const bool below = !free_front && (take(regex, "(/.*)?") || take(regex, "(?:/.*)?"));
  const bool free_back = !below && take_anything(regex);
  take(regex, "$");
  if (!regex.empty()) return out;
  if (text.empty()) {
    if (free_front || free_back) out.shape = Shape::kAnything;
    return out;
  }
  if (below && text.ends_with('/')) return out;
  out.shape = below                     ? Shape::kSegments
              : free_front && free_back ? Shape::kContains
              : free_front              ? Shape::kSuffix
              : free_back               ? Shape::kPrefix
                                        : Shape::kExact;
  out.text = std::move(text);
  return out;
}

}  // namespace weir::config::lint
