#include "core/config/lint/route_cover.h"

#include <google/protobuf/message.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "core/config/lint/model.h"
#include "core/config/lint/regex_shape.h"
#include "core/config/percent.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/path/match/uri_template/v3/uri_template_match.pb.h"
#include "envoy/type/v3/percent.pb.h"

namespace weir::config::lint {
namespace {

using envoy::config::route::v3::RouteMatch;
using envoy::extensions::path::match::uri_template::v3::UriTemplateMatchConfig;
using Kind = PathPattern::Kind;

constexpr size_t kLookedAt = 64;  // routes of one path

bool always(const envoy::config::core::v3::RuntimeFractionalPercent& fraction) {
  return fraction.runtime_key().empty() && fraction.default_value().numerator() >= whole_of(fraction.default_value());
}

}  // namespace

PathPattern path_of(const RouteMatch& match) {
  PathPattern out;
  out.case_sensitive = !match.has_case_sensitive() || match.case_sensitive().value();
  switch (match.path_specifier_case()) {
    case RouteMatch::kPrefix:
      out.kind = Kind::kPrefix;
      out.text = out.begins_with = match.prefix();
      break;
    case RouteMatch::kPath:
      out.kind = Kind::kExact;
      out.text = out.begins_with = match.path();
      break;
    case RouteMatch::kPathSeparatedPrefix:
      out.kind = Kind::kSegmentPrefix;
      out.text = out.begins_with = match.path_separated_prefix();
      break;
    case RouteMatch::kSafeRegex: {
      // An expression does not care for case_sensitive.
      out.case_sensitive = true;
      const RegexShape shape = shape_of(match.safe_regex().regex());
      out.kind = shape.shape == Shape::kExact                                       ? Kind::kExact
                 : shape.shape == Shape::kPrefix || shape.shape == Shape::kAnything ? Kind::kPrefix
                                                                                    : Kind::kRegex;
      out.text = out.kind == Kind::kRegex ? match.safe_regex().regex() : shape.text;
      out.begins_with = shape.literal_prefix;
      break;
    }
    case RouteMatch::kPathMatchPolicy: {
      const auto policy = unpack<UriTemplateMatchConfig>(match.path_match_policy().typed_config());
      if (policy == nullptr) break;
      // Nor does a template.
      out.case_sensitive = true;
      out.kind = Kind::kTemplate;
      out.text = policy->path_template();
      out.begins_with = out.text.substr(0, out.text.find_first_of("*{"));
      break;
    }
    case RouteMatch::kConnectMatcher:
      out.kind = Kind::kConnect;
      break;
    default:
      break;
  }
  return out;
}

bool covers(const PathPattern& earlier, const PathPattern& later) {
  if (earlier.kind == Kind::kConnect || later.kind == Kind::kConnect) return earlier.kind == later.kind;
  if (earlier.kind == Kind::kOther || later.kind == Kind::kOther) return false;
  if (earlier.kind == Kind::kRegex || earlier.kind == Kind::kTemplate)
    return later.kind == earlier.kind && earlier.text == later.text;
  // What is matched without regard to case can only be covered by what is as well.
  if (earlier.case_sensitive && !later.case_sensitive && has_letters(earlier.text)) return false;
  const bool fold = !earlier.case_sensitive;
  const std::string text = fold ? lower(earlier.text) : earlier.text;
  const std::string begin = fold ? lower(later.begins_with) : later.begins_with;
  switch (earlier.kind) {
    case Kind::kPrefix:
      return begin.starts_with(text);
    case Kind::kExact:
      return later.kind == Kind::kExact && begin == text;
    case Kind::kSegmentPrefix:
      if (begin.starts_with(text + "/")) return true;
      return begin == text && (later.kind == Kind::kExact || later.kind == Kind::kSegmentPrefix);
    default:
      return false;
  }
}

std::optional<std::set<std::string>> methods_of(const RouteMatch& match) {
  for (const auto& header : match.headers()) {
    if (header.name() != ":method" || header.invert_match()) continue;
    const auto& text = header.string_match();
    if (header.has_string_match() && !text.ignore_case() && !text.exact().empty()) return {{text.exact()}};
    if (!header.exact_match().empty()) return {{header.exact_match()}};
    std::string_view rest = header.has_string_match() ? text.safe_regex().regex() : header.safe_regex_match().regex();
    if (rest.starts_with("(") && rest.ends_with(")")) rest = rest.substr(1, rest.size() - 2);
    std::set<std::string> methods;
    while (!rest.empty()) {
      const std::string_view one = rest.substr(0, rest.find('|'));
      rest.remove_prefix(std::min(rest.size(), one.size() + 1));
      if (!std::all_of(one.begin(), one.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) return std::nullopt;
      methods.insert(std::string(one));
    }
    if (!methods.empty()) return methods;
  }
  return std::nullopt;
}

bool EarlierRoutes::covers_path(const Entry& earlier, const PathPattern& path) {
  return covers(earlier.path, path) || (earlier.regex != nullptr && path.kind == Kind::kExact && path.case_sensitive &&
                                        earlier.regex->full_match(path.text));
}

bool EarlierRoutes::holds(const Entry& earlier, const Wanted& wanted) {
  return !earlier.sometimes && std::all_of(earlier.conditions.begin(), earlier.conditions.end(),
                                           [&](const Condition& one) { return follows(one, wanted.conditions); });
}

const Condition* EarlierRoutes::only_doubt(const Entry& earlier, const Wanted& wanted) {
  if (earlier.sometimes) return nullptr;
  const Condition* doubt = nullptr;
  for (const Condition& one : earlier.conditions) {
    if (follows(one, wanted.conditions)) continue;
    if (doubt != nullptr) return nullptr;
    doubt = &one;
  }
  return doubt;
}

template <class Visit>
void EarlierRoutes::near(const PathPattern& path, Visit visit) const {
  const auto look_at = [&](const std::vector<size_t>& entries) {
    for (size_t i = 0; i < std::min(kLookedAt, entries.size()); ++i) visit(entries[i]);
  };
  const auto look = [&](const std::string& text) {
    if (auto at = by_text_.find(text); at != by_text_.end()) look_at(at->second);
  };
  // Whoever covers it has a text that its paths begin with, or the same expression or template; or one that matches its
  // only path.
  if (path.kind == Kind::kRegex || path.kind == Kind::kTemplate) look(lower(path.text));
  const std::string begin = lower(path.begins_with);
  for (size_t length = 0; length <= begin.size(); ++length) look(begin.substr(0, length));
  if (path.kind == Kind::kExact) look_at(regexes_);
}

std::vector<size_t> EarlierRoutes::covering(const RouteMatch& match) const {
  const Wanted wanted{path_of(match), conditions_of(match)};
  size_t first = SIZE_MAX;
  near(wanted.path, [&](size_t number) {
    const Entry& earlier = entries_[number];
    if (number < first && holds(earlier, wanted) && covers_path(earlier, wanted.path)) first = number;
  });
  if (first != SIZE_MAX) return {first};
  std::vector<size_t> halves = halves_of_path(wanted);
  return halves.empty() ? halves_of_conditions(wanted) : halves;
}

// path_separated_prefix: /a is path: /a and prefix: /a/.
std::vector<size_t> EarlierRoutes::halves_of_path(const Wanted& wanted) const {
  if (wanted.path.kind != Kind::kSegmentPrefix) return {};
  const auto first_for = [&](Kind kind, std::string text) {
    PathPattern half = wanted.path;
    half.kind = kind;
    half.text = half.begins_with = std::move(text);
    size_t first = SIZE_MAX;
    near(half, [&](size_t number) {
      if (number < first && holds(entries_[number], wanted) && covers_path(entries_[number], half)) first = number;
    });
    return first;
  };
  const size_t itself = first_for(Kind::kExact, wanted.path.text);
  const size_t below = first_for(Kind::kPrefix, wanted.path.text + "/");
  if (itself == SIZE_MAX || below == SIZE_MAX) return {};
  return {std::min(itself, below), std::max(itself, below)};
}

// One takes those with a header, another one those without.
std::vector<size_t> EarlierRoutes::halves_of_conditions(const Wanted& wanted) const {
  std::vector<std::pair<size_t, const Condition*>> halves;
  near(wanted.path, [&](size_t number) {
    const Condition* doubt = only_doubt(entries_[number], wanted);
    if (doubt != nullptr && covers_path(entries_[number], wanted.path)) halves.emplace_back(number, doubt);
  });
  for (size_t i = 0; i < std::min(kLookedAt, halves.size()); ++i) {
    for (size_t k = 0; k < i; ++k) {
      if (!either_holds(*halves[i].second, *halves[k].second)) continue;
      return {std::min(halves[i].first, halves[k].first), std::max(halves[i].first, halves[k].first)};
    }
  }
  return {};
}

void EarlierRoutes::add(const RouteMatch& match) {
  Entry entry{path_of(match), conditions_of(match), match.has_runtime_fraction() && !always(match.runtime_fraction()),
              nullptr};
  if (entry.path.kind == Kind::kRegex && regexes_.size() < kLookedAt) {
    if (auto compiled = match::Regex::compile(entry.path.text); compiled.ok()) {
      entry.regex = std::make_unique<const match::Regex>(std::move(*compiled));
      regexes_.push_back(entries_.size());
    }
  }
  by_text_[lower(entry.path.text)].push_back(entries_.size());
  entries_.push_back(std::move(entry));
}

}  // namespace weir::config::lint
