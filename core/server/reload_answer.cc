#include "core/server/reload_answer.h"

#include <cstdio>

#include "core/stats/escape.h"

namespace weir::server {
namespace {

std::string milliseconds(Duration duration) {
  char text[32];
  snprintf(text, sizeof text, "%.1f", static_cast<double>(duration.count()) / 1e6);
  return text;
}

}  // namespace

admin::ReloadAnswer reload_answer(const Update& update, const std::string& version) {
  admin::ReloadAnswer answer;
  const bool applied = update.result == Update::Result::kApplied;
  answer.json = std::string("{\"ok\": ") + (update.ok() ? "true" : "false") +
                ", \"applied\": " + (applied ? "true" : "false") + ", \"version\": \"" + version +
                "\",\n\"took_ms\": {\"read\": " + milliseconds(update.read) +
                ", \"build\": " + milliseconds(update.built) + ", \"apply\": " + milliseconds(update.applied) +
                "},\n\"findings\": " + update.diagnostics.json();
  answer.json.pop_back();  // its newline
  if (update.ok()) {
    answer.text = update.diagnostics.text() + update.changes_text;
    answer.text += (applied ? "applied: read in " : "dry run, nothing was changed: read in ") +
                   milliseconds(update.read) + " ms, built in " + milliseconds(update.built) + " ms";
    if (applied) answer.text += ", published in " + milliseconds(update.applied) + " ms";
    answer.text += "; version " + version + "\n";
    // Without the braces around it.
    answer.json += ",\n" + update.changes_json.substr(1);
    return answer;
  }
  answer.status = 400;
  answer.text = update.faults();
  if (!answer.text.ends_with('\n')) answer.text += '\n';
  answer.text += "nothing was changed; the configuration before serves on\n";
  answer.json += ",\n\"error\": \"";
  stats::append_escaped(answer.json, update.error, stats::Escape::kJson);
  answer.json += "\"}\n";
  return answer;
}

}  // namespace weir::server
