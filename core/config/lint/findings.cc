#include "core/config/lint/findings.h"

namespace weir::config::lint {

Findings::Findings(const PositionIndex& positions, Diagnostics& diagnostics, const LintOptions& options)
    : positions_(positions), diagnostics_(diagnostics), options_(options) {
  for (const Diagnostic& item : diagnostics.items()) known_.insert(item.path);
}

void Findings::begin_rule(const Rule& rule) {
  rule_ = &rule;
  found_ = 0;
}

void Findings::add(const std::string& path, std::string what, std::string now_what) {
  // A rule may say several things of one field, but nobody says again what was said when the file was loaded.
  if (known_.contains(path)) return;
  if (++found_ > kShownPerRule) return;
  last_path_ = path;
  const Position position = positions_.find(path);
  Diagnostic out;
  out.file = std::string(position.file);
  out.line = position.line;
  out.column = position.column;
  out.path = path;
  out.severity = options_.warnings_are_errors ? Severity::kError : rule_->severity;
  out.message = what + "; " + now_what + " [" + rule_->id + "]";
  out.hint = std::move(now_what);
  out.rule = rule_->id;
  diagnostics_.add(std::move(out));
}

void Findings::end_rule() {
  if (found_ <= kShownPerRule) return;
  Diagnostic out;
  const Position position = positions_.find(last_path_);
  out.file = std::string(position.file);
  out.line = position.line;
  out.column = position.column;
  out.severity = options_.warnings_are_errors ? Severity::kError : rule_->severity;
  out.message = "and " + std::to_string(found_ - kShownPerRule) + " more of this kind [" + rule_->id + "]";
  out.rule = rule_->id;
  diagnostics_.add(std::move(out));
}

std::string Findings::place(const std::string& path) const {
  const Position position = positions_.find(path);
  return position.line == 0 ? "" : std::string(position.file) + ":" + std::to_string(position.line);
}

}  // namespace weir::config::lint
