// Which earlier route takes every request that a later one matches. Claims it only when that is certain from the
// messages alone. Internal to this folder.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/config/lint/match_condition.h"
#include "core/match/regex.h"

namespace envoy::config::route::v3 {
class RouteMatch;
class VirtualHost;
}  // namespace envoy::config::route::v3

namespace weir::config::lint {

// The path part of a match, with a regular expression that says no more than a prefix turned into one.
struct PathPattern {
  enum class Kind { kPrefix, kExact, kSegmentPrefix, kRegex, kTemplate, kConnect, kOther };
  Kind kind = Kind::kOther;
  std::string text;
  std::string begins_with;  // every path that matches does
  bool case_sensitive = true;
};
PathPattern path_of(const envoy::config::route::v3::RouteMatch& match);
// Whether every path that `later` matches, `earlier` matches too.
bool covers(const PathPattern& earlier, const PathPattern& later);

// The methods that a match lets through; nullopt: it does not say, or not so that it can be told.
std::optional<std::set<std::string>> methods_of(const envoy::config::route::v3::RouteMatch& match);

// The routes of a virtual host so far.
class EarlierRoutes {
 public:
  // Which of them cover the match: the first that does alone, or two that do between them; empty: none. Does not look
  // at all of them if they are many of one path.
  std::vector<size_t> covering(const envoy::config::route::v3::RouteMatch& match) const;
  // In the order of the list.
  void add(const envoy::config::route::v3::RouteMatch& match);

 private:
  struct Entry {
    PathPattern path;
    std::vector<Condition> conditions;
    bool sometimes;  // a fraction of requests only
    std::unique_ptr<const match::Regex> regex;
  };
  // What a later route demands.
  struct Wanted {
    PathPattern path;
    std::vector<Condition> conditions;
  };
  static bool covers_path(const Entry& earlier, const PathPattern& path);
  // The only condition of `earlier` that is not sure to hold of what is wanted; nullptr: all hold, or several may not.
  static const Condition* only_doubt(const Entry& earlier, const Wanted& wanted);
  static bool holds(const Entry& earlier, const Wanted& wanted);
  // Calls visit(number) for every entry whose path may cover this one.
  template <class Visit>
  void near(const PathPattern& path, Visit visit) const;
  std::vector<size_t> halves_of_path(const Wanted& wanted) const;
  std::vector<size_t> halves_of_conditions(const Wanted& wanted) const;

  std::vector<Entry> entries_;
  std::vector<size_t> regexes_;                                   // the entries that have one
  std::unordered_map<std::string, std::vector<size_t>> by_text_;  // of the path, lower-cased
};

}  // namespace weir::config::lint
