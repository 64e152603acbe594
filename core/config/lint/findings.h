// Where rules put what they find. Internal to this folder.
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>

#include "core/config/lint/lint.h"

namespace weir::config::lint {

class Findings {
 public:
  Findings(const PositionIndex& positions, Diagnostics& diagnostics, const LintOptions& options);

  void begin_rule(const Rule& rule);
  void end_rule();
  void end();  // of all rules
  // `what`: what is the matter, with numbers and names. `now_what`: how to mend it.
  void add(const std::string& path, std::string what, std::string now_what);
  // "edge.yaml:40", for a message that speaks of another place; empty if the file is not known.
  std::string place(const std::string& path) const;
  // Whether the file is wrong somewhere: then what seems to be missing may only be misspelt.
  bool has_errors() const { return diagnostics_.has_errors(); }
  WallTime now() const { return options_.now; }

 private:
  // What weir has not got does nothing, and that has been said.
  bool is_unsupported(const std::string& path) const;
  void say(const std::string& path, const std::string& message, std::string hint);

  const PositionIndex& positions_;
  Diagnostics& diagnostics_;
  const LintOptions& options_;
  const Rule* rule_ = nullptr;
  size_t found_ = 0;                             // by this rule
  size_t shown_ = 0;                             // of all rules
  size_t left_out_ = 0;                          // of all rules, since all that may be shown was
  std::unordered_set<std::string> known_;        // paths with a finding
  std::unordered_set<std::string> unsupported_;  // paths of fields
  std::string last_path_;
};

}  // namespace weir::config::lint
