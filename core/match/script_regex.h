// The standard library's ECMAScript patterns, for what RE2 cannot: looking ahead. It goes back and tries again, so that
// nothing that peers send may reach it.
#pragma once

#include <cstddef>
#include <regex>
#include <span>
#include <string_view>

#include "core/base/status.h"

namespace weir::match {

// [immutable] find() is safe on any thread.
class ScriptRegex {
 public:
  // Longer texts match nothing: every character may take a frame of the stack.
  static constexpr size_t kMaxText = 1024;

  // [main]
  static Result<ScriptRegex> compile(std::string_view pattern);
  size_t groups() const { return regex_.mark_count(); }
  // As RegexGroups::find().
  bool find(std::string_view text, std::span<std::string_view> groups) const noexcept;

 private:
  explicit ScriptRegex(std::regex regex) : regex_(std::move(regex)) {}
  std::regex regex_;
};

}  // namespace weir::match
