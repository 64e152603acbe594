// Path templates, as the published uri_template extensions have them: "/videos/{language=lang/*}/**.m4s". A "*" is one
// segment, "**" any number of them, a variable keeps what its part of the template matched. Built on main; [immutable].
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/arena.h"
#include "core/base/status.h"

namespace weir::match {

class PathTemplate {
 public:
  static constexpr size_t kMaxVariables = 5;
  using Captures = std::array<std::string_view, kMaxVariables>;

  // [main] Errors say what is wrong and where: `"/{a": the variable has no } (at character 2)`.
  static Result<PathTemplate> parse(std::string_view text);

  // `path` without query. What the variables matched goes to `captures`, by index, if it is given.
  bool matches(std::string_view path, Captures* captures = nullptr) const noexcept;
  // Every path that matches starts with this.
  std::string_view required_prefix() const;
  // -1: there is no such variable.
  int variable(std::string_view name) const;

 private:
  // Texts and globs take turns in any order; a glob ends where the next text begins.
  struct Token {
    enum class Kind : uint8_t { kText, kSegment, kAnything, kBegin, kEnd } kind;
    uint8_t variable = 0;  // kBegin, kEnd
    std::string text = {};
  };
  class Parser;

  std::vector<Token> tokens_;
  std::vector<std::string> variables_;
};

// What becomes of a path that a template matched: "/{file}/{language}". [immutable]
class PathTemplateRewrite {
 public:
  // [main] Every variable must be one of the template's.
  static Result<PathTemplateRewrite> parse(std::string_view text, const PathTemplate& from);
  // `path`, without query, must match the template; else it is returned as it is.
  std::string_view rewrite(const PathTemplate& from, std::string_view path, Arena& arena) const noexcept;

 private:
  struct Piece {
    std::string text;   // first this
    int variable = -1;  // then this
  };
  std::vector<Piece> pieces_;
};

}  // namespace weir::match
