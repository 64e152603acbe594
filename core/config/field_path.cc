#include "core/config/field_path.h"

#include <algorithm>

namespace weir::config {

void FieldPath::error_at(std::string_view below, std::string_view message, std::string_view found,
                         std::string_view hint) {
  ++errors_;
  std::string whole = path_;
  if (!below.empty()) {
    if (!whole.empty()) whole += '.';
    whole += below;
  }
  const auto& items = diagnostics_.items();
  if (std::any_of(items.begin(), items.end(),
                  [&](const Diagnostic& one) { return one.severity == Severity::kError && one.path == whole; })) {
    return;
  }
  Position position = positions_.find(whole);
  Diagnostic diagnostic;
  diagnostic.file = std::string(position.file);
  diagnostic.line = position.line;
  diagnostic.column = position.column;
  diagnostic.path = std::move(whole);
  diagnostic.message = std::string(message);
  if (!hint.empty()) diagnostic.message.append("; ").append(hint);
  diagnostic.found = std::string(found);
  diagnostic.hint = std::string(hint);
  diagnostics_.add(std::move(diagnostic));
}

}  // namespace weir::config
