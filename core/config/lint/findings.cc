#include "core/config/lint/findings.h"

namespace weir::config::lint {

Findings::Findings(const PositionIndex& positions, Diagnostics& diagnostics, const LintOptions& options)
    : positions_(positions), diagnostics_(diagnostics), options_(options) {
  // What is to be an error is more than the warning that was said.
  for (const Diagnostic& item : diagnostics.items()) {
    if (options.forbidden.empty() || item.severity == Severity::kError) known_.insert(item.path);
    if (item.unsupported) unsupported_.insert(item.path);
  }
}

bool Findings::is_unsupported(const std::string& path) const {
  if (unsupported_.empty()) return false;
  for (size_t end = 0; end != std::string::npos;) {
    end = path.find_first_of(".[", end + 1);
    if (unsupported_.contains(path.substr(0, end))) return true;
  }
  return false;
}

void Findings::begin_rule(const Rule& rule) {
  rule_ = &rule;
  found_ = 0;
}

void Findings::add(const std::string& path, std::string what, std::string now_what) {
  // A rule may say several things of one field, but nobody says again what was said when the file was loaded.
  if (known_.contains(path) || is_unsupported(path)) return;
  if (shown_ >= options_.in_all) {
    ++left_out_;
    return;
  }
  if (++found_ > options_.of_one_rule) return;
  ++shown_;
  last_path_ = path;
  say(path, what + "; " + now_what, now_what);
}

void Findings::end_rule() {
  if (found_ <= options_.of_one_rule) return;
  say(last_path_, "and " + std::to_string(found_ - options_.of_one_rule) + " more of this kind", {});
}

void Findings::end() {
  if (left_out_ == 0) return;
  Diagnostic out;
  out.severity = Severity::kWarning;
  out.message = "and " + std::to_string(left_out_) + " more findings; weir lint -c FILE shows them";
  out.rule = "lint";
  diagnostics_.add(std::move(out));
}

void Findings::say(const std::string& path, const std::string& message, std::string hint) {
  const Position position = positions_.find(path);
  Diagnostic out;
  out.file = std::string(position.file);
  out.line = position.line;
  out.column = position.column;
  out.path = path;
  out.severity = options_.forbidden.empty() ? rule_->severity : Severity::kError;
  out.message = message + " [" + rule_->id + "]";
  out.hint = std::move(hint);
  out.rule = rule_->id;
  diagnostics_.add(std::move(out));
}

std::string Findings::place(const std::string& path) const {
  const Position position = positions_.find(path);
  return position.line == 0 ? "" : std::string(position.file) + ":" + std::to_string(position.line);
}

}  // namespace weir::config::lint
