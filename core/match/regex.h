// Regular expressions of configuration: compiled once on main, matched on workers. This folder is the only one that
// knows RE2. Patterns that are a literal, or a literal and ".*", never reach it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/arena.h"
#include "core/base/status.h"

namespace re2 {
class RE2;
}

namespace weir::match {

// Automata that several patterns have in common. A pattern is kept as the literal that it begins with and the automaton
// of the rest, and ten thousand routes "/service-N/[0-9]+" share one rest. [main] Needed while compiling only.
class RegexPool {
 public:
  RegexPool();
  ~RegexPool();

 private:
  friend class Regex;
  std::unordered_map<std::string, std::shared_ptr<const re2::RE2>> automata_;
};

// [immutable] The methods are safe on any lane at once.
class Regex {
 public:
  // In RE2 instructions. What people write by hand stays below 1,000; a list of some thousand names is beyond it.
  static constexpr uint32_t kDefaultMaxProgramSize = 32'768;
  struct Options {
    uint32_t max_program_size = kDefaultMaxProgramSize;
    RegexPool* pool = nullptr;
  };

  // [main] Errors say what is wrong and where: `missing ] at character 4 ("[bc") of "/a/[bc"`.
  static Result<Regex> compile(std::string_view pattern, const Options& options);
  static Result<Regex> compile(std::string_view pattern) { return compile(pattern, Options{}); }

  Regex(Regex&& other) noexcept;
  Regex& operator=(Regex&& other) noexcept;
  ~Regex();

  // Does the pattern match the whole text?
  bool full_match(std::string_view text) const noexcept;
  // Every text that full_match() takes starts with this; empty if nothing can be promised.
  std::string_view required_prefix() const { return prefix_; }
  // The pattern is a plain text, namely required_prefix().
  bool is_literal() const { return rest_ == Rest::kNothing; }

 private:
  // What must follow the prefix. The cheap kinds need no automaton (kAny, kSome: unless the text is beyond ASCII).
  enum class Rest : uint8_t { kNothing, kAny, kSome, kAutomaton };

  Regex();

  std::string prefix_;
  std::shared_ptr<const re2::RE2> automaton_;  // of what follows the first skip_ bytes
  size_t skip_ = 0;
  Rest rest_ = Rest::kAutomaton;
};

class ScriptRegex;

// A pattern with groups that is looked for anywhere in a text of the server's own, such as the name of a statistic.
// [immutable] The methods are safe on any thread.
class RegexGroups {
 public:
  static constexpr size_t kMost = 2;  // groups that are told
  // [main] At least one group is needed. Patterns may look ahead, "(?=...)" and "(?!...)", which RE2 cannot: the API
  // has ECMAScript here, and control planes use it. Those are matched by the standard library, in a time that nothing
  // bounds but the length of the text: not for what peers send.
  static Result<RegexGroups> compile(std::string_view pattern);
  RegexGroups(RegexGroups&& other) noexcept;
  RegexGroups& operator=(RegexGroups&& other) noexcept;
  ~RegexGroups();
  size_t groups() const { return groups_; }
  // Where the first match has its groups: pieces of `text`, with a data() of nullptr for those that take no part in it
  // or are not there. False: there is no match.
  bool find(std::string_view text, std::string_view (&groups)[kMost]) const noexcept;

 private:
  RegexGroups();
  std::shared_ptr<const re2::RE2> automaton_;  // null: script_
  std::shared_ptr<const ScriptRegex> script_;
  size_t groups_ = 0;
};

struct RegexRewriteSpec {
  std::string pattern;
  std::string substitution;  // \0 is the match, \1 to \9 its groups, \\ a backslash
};

// Replaces every match of a pattern, as "replace all" does: leftmost, not overlapping. [immutable]
class RegexRewrite {
 public:
  // [main] Error messages begin with "pattern: " or "substitution: ".
  static Result<RegexRewrite> build(const RegexRewriteSpec& spec);
  RegexRewrite(RegexRewrite&& other) noexcept;
  RegexRewrite& operator=(RegexRewrite&& other) noexcept;
  ~RegexRewrite();
  // The rewritten text, in the arena; `text` itself if nothing matches.
  std::string_view rewrite(std::string_view text, Arena& arena) const noexcept;

 private:
  struct Piece {
    std::string literal;  // printed first
    int group;            // then this group; -1: none
  };
  RegexRewrite();

  std::unique_ptr<const re2::RE2> automaton_;
  std::vector<Piece> pieces_;
};

}  // namespace weir::match
