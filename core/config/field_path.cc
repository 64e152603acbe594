#include "core/config/field_path.h"

#include <algorithm>

namespace weir::config {

std::string FieldPath::path_of(std::string_view below) const {
  std::string whole = path_;
  if (!below.empty()) {
    if (!whole.empty() && !below.starts_with('[')) whole += '.';
    whole += below;
  }
  return whole;
}

void FieldPath::error_at(std::string_view below, std::string_view message, std::string_view found,
                         std::string_view hint) {
  ++errors_;
  std::string whole = path_of(below);
  const auto& items = diagnostics_.items();
  if (std::any_of(items.begin(), items.end(),
                  [&](const Diagnostic& one) { return one.severity == Severity::kError && one.path == whole; })) {
    return;
  }
  add(Severity::kError, std::move(whole), message, found, hint);
}

void FieldPath::warning_at(std::string_view below, std::string_view message) {
  add(Severity::kWarning, path_of(below), message, {}, {});
}

void FieldPath::add(Severity severity, std::string path, std::string_view message, std::string_view found,
                    std::string_view hint) {
  Position position = positions_.find(path);
  Diagnostic diagnostic;
  diagnostic.file = std::string(position.file);
  diagnostic.line = position.line;
  diagnostic.column = position.column;
  diagnostic.path = std::move(path);
  diagnostic.severity = severity;
  diagnostic.message = std::string(message);
  if (!hint.empty()) diagnostic.message.append("; ").append(hint);
  diagnostic.found = std::string(found);
  diagnostic.hint = std::string(hint);
  diagnostics_.add(std::move(diagnostic));
}

}  // namespace weir::config
