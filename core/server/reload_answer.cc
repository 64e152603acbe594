#include "core/server/reload_answer.h"

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "core/server/admin/json.h"

namespace weir::server {
namespace {

std::string milliseconds(Duration duration) {
  char text[32];
  snprintf(text, sizeof text, "%.1f", static_cast<double>(duration.count()) / 1e6);
  return text;
}

void add_waiting(const std::map<std::string, std::vector<std::string>>& waiting, admin::ReloadAnswer& answer) {
  answer.json += ",\n\"waiting\": [";
  std::string_view before;
  for (const auto& [listener, clusters] : waiting) {
    ((answer.json += before) += "{\"listener\": ") += admin::json_text(listener);
    answer.json += ", \"clusters\": [";
    before = {};
    for (const std::string& cluster : clusters) {
      (answer.json += before) += admin::json_text(cluster);
      before = ", ";
    }
    answer.json += "]}";
    before = ", ";
  }
  answer.json += ']';
  answer.text += text_of_waiting(waiting);
}

}  // namespace

std::string text_of_waiting(const std::map<std::string, std::vector<std::string>>& waiting) {
  std::string out;
  for (const auto& [listener, clusters] : waiting) {
    out += "listener " + listener + " serves as before for up to 7 s, until there is something to reach in: ";
    constexpr size_t kShown = 5;
    for (size_t i = 0; i < std::min(clusters.size(), kShown); ++i) out += (i == 0 ? "" : ", ") + clusters[i];
    if (clusters.size() > kShown) out += " and " + std::to_string(clusters.size() - kShown) + " more";
    out += '\n';
  }
  return out;
}

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
    add_waiting(update.waiting, answer);
    // Without the braces around it.
    answer.json += ",\n" + update.changes_json.substr(1);
    return answer;
  }
  answer.status = 400;
  answer.text = update.faults();
  if (!answer.text.ends_with('\n')) answer.text += '\n';
  answer.text += "nothing was changed; the configuration before serves on\n";
  answer.json += ",\n\"error\": " + admin::json_text(update.error) + "}\n";
  return answer;
}

}  // namespace weir::server
