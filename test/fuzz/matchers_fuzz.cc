// Matchers against the plainest way to say the same. The first byte chooses one, the next its options; then come the
// pattern, up to the first NUL, and the text.
#include <re2/re2.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/base/arena.h"
#include "core/http/chars.h"
#include "core/match/header_matcher.h"
#include "core/match/query_parameter_matcher.h"
#include "core/match/regex.h"
#include "core/match/string_matcher.h"
#include "test/fuzz/input.h"

namespace weir::match {
namespace {

using fuzz::Input;
using fuzz::require;

// Taken apart or whole, a pattern must mean the same: in a group it is not taken apart.
void regex(Input& input) {
  std::string pattern(input.until('\0'));
  std::string_view text = input.rest();
  RegexPool pool;
  auto one = Regex::compile(pattern, {.pool = &pool});
  auto whole = Regex::compile("(" + pattern + ")");
  if (!one.ok() || !whole.ok()) return;
  bool matches = whole->full_match(text);
  require(one->full_match(text) == matches, "a pattern means something else in a group", pattern, text);
  if (matches) require(text.starts_with(one->required_prefix()), "the promised prefix is missing", pattern, text);
  if (one->is_literal()) require(matches == (text == one->required_prefix()), "a literal is none", pattern, text);
}

void rewrite(Input& input) {
  std::string pattern(input.until('\0'));
  std::string substitution(input.until('\0'));
  std::string text(input.rest());
  auto made = RegexRewrite::build({pattern, substitution});
  if (!made.ok()) return;
  ArenaPool pool;
  Arena arena(pool);
  std::string_view got = made->rewrite(text, arena);
  // Beyond ASCII RE2's own goes on behind a character, where an empty match was found, and weir behind a byte.
  if (!std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; })) return;
  std::string expected = text;
  re2::RE2::Options options;
  options.set_log_errors(false);
  re2::RE2::GlobalReplace(&expected, re2::RE2(pattern, options), substitution);
  require(got == expected, "RE2 replaces otherwise: " + pattern, got, expected);
}

StringMatcherSpec string_spec(Input& input) {
  StringMatcherSpec spec;
  uint8_t bits = input.byte();
  spec.kind = static_cast<StringMatcherSpec::Kind>(bits % 5);
  spec.ignore_case = (bits & 8) != 0;
  spec.text = input.until('\0');
  return spec;
}

bool string_matches(StringMatcherSpec spec, std::string value) {
  using Kind = StringMatcherSpec::Kind;
  if (spec.kind == Kind::kRegex) return Regex::compile(spec.text)->full_match(value);  // regex() sees to these
  if (spec.ignore_case) {
    for (std::string* text : {&spec.text, &value}) {
      for (char& c : *text) c = http::to_lower(c);
    }
  }
  size_t at = value.find(spec.text);
  switch (spec.kind) {
    case Kind::kExact:
      return value == spec.text;
    case Kind::kPrefix:
      return at == 0;
    case Kind::kSuffix:
      return value.size() >= spec.text.size() && value.rfind(spec.text) == value.size() - spec.text.size();
    default:
      return at != std::string::npos;
  }
}

// What a matcher of one value says of several: they are one, joined by commas.
void header(Input& input) {
  HeaderMatcherSpec spec;
  uint8_t bits = input.byte();
  spec.kind = static_cast<HeaderMatcherSpec::Kind>(bits % 4);
  spec.invert_match = (bits & 8) != 0;
  spec.treat_missing_header_as_empty = (bits & 16) != 0;
  spec.range_start = static_cast<int64_t>(input.byte()) - 100;
  spec.range_end = spec.range_start + input.byte();
  spec.name = (bits & 32) != 0 ? ":path" : (bits & 64) != 0 ? "User-Agent" : "x-A";
  spec.string = string_spec(input);
  auto matcher = HeaderMatcher::build(spec);
  if (!matcher.ok()) return;
  ArenaPool pool;
  Arena arena(pool);
  http::HeaderMap map(arena);
  map.add_copy("x-other", "1");
  std::string joined;
  int count = 0;
  while (!input.done()) {
    std::string_view value = input.until('\0');
    if (count > 0 && (bits & 32) != 0) break;  // a pseudo-header comes once
    joined += (count++ > 0 ? "," : "") + std::string(value);
    map.add_copy(spec.name, value);
  }
  bool expected = false;
  bool there = count > 0;
  switch (spec.kind) {
    case HeaderMatcherSpec::Kind::kPresent:
      expected = (there || spec.treat_missing_header_as_empty) != spec.invert_match;
      break;
    case HeaderMatcherSpec::Kind::kAbsent:
      expected = !(there || spec.treat_missing_header_as_empty) != spec.invert_match;
      break;
    case HeaderMatcherSpec::Kind::kString:
      expected =
          (there || spec.treat_missing_header_as_empty) && string_matches(spec.string, joined) != spec.invert_match;
      break;
    case HeaderMatcherSpec::Kind::kRange:
      matcher->matches(map);
      return;
  }
  require(matcher->matches(map) == expected, "a header matcher differs from its model", spec.string.text, joined);
}

void query(Input& input) {
  QueryParameterMatcherSpec spec;
  spec.kind = static_cast<QueryParameterMatcherSpec::Kind>(input.byte() % 3);
  spec.string = string_spec(input);
  spec.name = input.until('\0');
  auto matcher = QueryParameterMatcher::build(spec);
  if (!matcher.ok()) return;
  std::string text(input.rest());
  bool there = false;
  bool matches = false;
  for (size_t at = 0; at <= text.size() && !there;) {
    size_t end = std::min(text.find('&', at), text.size());
    std::string one = text.substr(at, end - at);
    at = end + 1;
    there = one == spec.name || one.starts_with(spec.name + "=");
    if (there && spec.kind == QueryParameterMatcherSpec::Kind::kString)
      matches = string_matches(spec.string, one.substr(std::min(one.size(), spec.name.size() + 1)));
  }
  bool expected = spec.kind == QueryParameterMatcherSpec::Kind::kAbsent    ? !there
                  : spec.kind == QueryParameterMatcherSpec::Kind::kPresent ? there
                                                                           : matches;
  require(matcher->matches(text) == expected, "a query matcher differs from its model", spec.name, text);
}

}  // namespace
}  // namespace weir::match

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::match;
  if (size > 1024) return 0;
  Input input(data, size);
  switch (input.byte() % 5) {
    case 0:
      regex(input);
      break;
    case 1:
      rewrite(input);
      break;
    case 2: {
      StringMatcherSpec spec = string_spec(input);
      auto matcher = StringMatcher::build(spec);
      std::string text(input.rest());
      if (matcher.ok())
        require(matcher->matches(text) == string_matches(spec, text), "a string matcher differs", spec.text, text);
      break;
    }
    case 3:
      header(input);
      break;
    default:
      query(input);
  }
  return 0;
}
