#include <memory>
#include <unordered_set>

#include "core/match/regex.h"
#include "core/server/admin/endpoints.h"
#include "core/server/admin/json.h"
#include "core/stats/render.h"

namespace weir::admin {
namespace {

using NameFilter = std::function<bool(std::string_view)>;

// The published filter finds its pattern anywhere in a name.
bool regex_filter(const AdminRequest& request, NameFilter& filter, AdminResponse& response) {
  auto pattern = request.get("filter");
  if (!pattern.has_value() || pattern->empty()) return true;
  // Compiled as it is first: an error then speaks of what was written.
  auto regex = match::Regex::compile(*pattern);
  if (regex.ok()) regex = match::Regex::compile("(?s:.*)(?:" + std::string(*pattern) + ")(?s:.*)");
  if (!regex.ok()) {
    response.fail(400, "filter: " + message_of(regex.status()) + "\n");
    return false;
  }
  auto shared = std::make_shared<const match::Regex>(std::move(*regex));
  filter = [shared](std::string_view name) { return shared->full_match(name); };
  return true;
}

bool type_filter(const AdminRequest& request, const stats::Store& store, NameFilter& filter, AdminResponse& response) {
  std::string type(request.get("type").value_or(""));
  for (char& c : type) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  if (type.empty() || type == "all") return true;
  auto names = std::make_shared<std::unordered_set<std::string>>();
  stats::Type wanted;
  if (type == "counters") {
    wanted = stats::Type::kCounter;
  } else if (type == "gauges") {
    wanted = stats::Type::kGauge;
  } else if (type == "histograms") {
    wanted = stats::Type::kHistogram;
  } else if (type == "textreadouts") {
    filter = [](std::string_view) { return false; };
    return true;
  } else {
    response.fail(400, "type: \"" + type + "\" is not one of All, Counters, Gauges, Histograms, TextReadouts\n");
    return false;
  }
  store.visit([&](const stats::Sample& sample) {
    if (sample.type == wanted && (!filter || filter(sample.name))) names->emplace(sample.name);
  });
  filter = [names](std::string_view name) { return names->count(std::string(name)) > 0; };
  return true;
}

void stats(AdminSource& source, const AdminRequest& request, AdminResponse& response) {
  stats::Store& store = source.stats();
  stats::RenderOptions options;
  options.tags = source.stats_tags();
  options.used_only = request.has("usedonly");
  std::string_view buckets = request.get("histogram_buckets").value_or("summary");
  if (buckets != "summary" && request.format != "prometheus") {
    return response.fail(400, "histogram_buckets: only summary is supported by weir yet\n");
  }
  if (!regex_filter(request, options.filter, response) || !type_filter(request, store, options.filter, response))
    return;
  if (request.wants_json()) {
    response.content_type = "application/json";
    response.body = stats::render_json(store, options);
  } else if (request.format == "prometheus") {
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = stats::render_prometheus(store, options);
  } else {
    response.body = stats::render_text(store, options);
  }
}

std::vector<ParameterHelp> parameters() {
  return {{"usedonly", "only what was ever counted"},
          {"filter=REGEX", "only names in which this is found"},
          {"type=TYPE", "Counters, Gauges or Histograms"}};
}

}  // namespace

void add_stats_endpoints(AdminServer& server, AdminSource& source) {
  auto answer = [&source](const AdminRequest& request, AdminResponse& response) { stats(source, request, response); };
  server.add("/stats",
             {.help = "all statistics", .parameters = parameters(), .formats = {"text", "json", "prometheus"}}, answer);
  server.add("/stats/prometheus",
             {.help = "all statistics for Prometheus", .parameters = parameters(), .formats = {"prometheus", "json"}},
             answer);
  server.add("/reset_counters", {.access = Access::kChange, .help = "set all counters to zero"},
             [&source](const AdminRequest& request, AdminResponse& response) {
               source.stats().reset_counters();
               answer_ok(request, response);
             });
}

}  // namespace weir::admin
