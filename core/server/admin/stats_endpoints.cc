#include <absl/strings/ascii.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <optional>
#include <utility>

#include "core/http/chars.h"
#include "core/match/regex.h"
#include "core/server/admin/endpoints.h"
#include "core/server/admin/html.h"
#include "core/server/admin/json.h"
#include "core/server/admin/media_types.h"
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

bool read_type(const AdminRequest& request, stats::RenderOptions& options, AdminResponse& response) {
  const std::string type = absl::AsciiStrToLower(std::string(request.get("type").value_or("")));
  if (type.empty() || type == "all") return true;
  if (type == "counters") {
    options.type = stats::Type::kCounter;
  } else if (type == "gauges") {
    options.type = stats::Type::kGauge;
  } else if (type == "histograms") {
    options.type = stats::Type::kHistogram;
  } else if (type == "textreadouts") {
    options.filter = [](std::string_view) { return false; };  // there are none
  } else {
    response.fail(400, "type: \"" + type + "\" is not one of All, Counters, Gauges, Histograms, TextReadouts\n");
    return false;
  }
  return true;
}

bool read_buckets(const AdminRequest& request, stats::RenderOptions& options, AdminResponse& response) {
  using Buckets = stats::RenderOptions::Buckets;
  const std::string_view wanted = request.get("histogram_buckets").value_or("");
  if (wanted.empty()) return true;
  if (request.format == "prometheus") {
    if (wanted == "cumulative") return true;
    if (wanted == "summary" || wanted == "prometheusnative") {
      options.buckets = wanted == "summary" ? Buckets::kQuantiles : Buckets::kNative;
      return true;
    }
    response.fail(400, "histogram_buckets: \"" + std::string(wanted) +
                           "\" is not one of cumulative, summary, prometheusnative, which are for Prometheus\n");
    return false;
  }
  if (wanted == "summary" || wanted == "none") {
    options.buckets = Buckets::kSummary;
  } else if (wanted == "cumulative") {
    options.buckets = Buckets::kCumulative;
  } else if (wanted == "disjoint") {
    options.buckets = Buckets::kDisjoint;
  } else if (wanted == "detailed") {
    options.buckets = Buckets::kDetailed;
  } else {
    response.fail(400, "histogram_buckets: \"" + std::string(wanted) +
                           "\" is not one of summary (or none), cumulative, disjoint, detailed\n");
    return false;
  }
  return true;
}

bool read_limit(const AdminRequest& request, stats::RenderOptions& options, AdminResponse& response) {
  const auto text = request.get("series_limit");
  if (!text.has_value()) return true;
  uint64_t limit = 0;
  if (!http::parse_decimal(*text, limit)) {
    response.fail(400, "series_limit: \"" + std::string(*text) + "\" is no number\n");
    return false;
  }
  options.series_limit = limit;
  return true;
}

// What was asked for, to ask for something else.
std::string stats_form(const AdminRequest& request) {
  const auto choice = [&request](std::string_view label, std::string_view name,
                                 std::initializer_list<std::string_view> values) {
    const std::string wanted = absl::AsciiStrToLower(std::string(request.get(name).value_or("")));
    std::string out = "<label>" + std::string(label) + " <select name=\"" + std::string(name) + "\">";
    for (std::string_view value : values) {
      const bool chosen = absl::AsciiStrToLower(std::string(value)) == wanted;
      out += "<option" + std::string(chosen ? " selected>" : ">") + std::string(value) + "</option>";
    }
    return out + "</select></label>\n";
  };
  return "<h1>Statistics</h1>\n<form action=\"stats\"><input type=\"hidden\" name=\"format\" value=\"html\">\n"
         "<label>Filter <input name=\"filter\" value=\"" +
         html_text(request.get("filter").value_or("")) + "\"></label>\n" +
         choice("Type", "type", {"All", "Counters", "Gauges", "Histograms"}) +
         choice("Histograms", "histogram_buckets", {"summary", "cumulative", "disjoint", "detailed"}) +
         "<label><input type=\"checkbox\" name=\"usedonly\"" + (request.has("usedonly") ? " checked" : "") +
         "> used only</label>\n<button>Show</button></form>\n";
}

// Lines "name: value" as a table. What is indented goes on with the line before.
std::string stats_table(std::string_view text) {
  std::string out = "<table>\n<tr><th>Name</th><th>Value</th></tr>\n";
  bool open = false;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.starts_with("  ")) {
      out += "<br>" + html_text(line.substr(2));
      continue;
    }
    if (std::exchange(open, true)) out += "</td></tr>\n";
    const size_t end = std::min(line.find(": "), line.size() - line.ends_with(':'));
    out += "<tr><td>" + html_text(line.substr(0, end)) + "</td><td>" +
           html_text(line.substr(std::min(end + 2, line.size())));
  }
  return out + (open ? "</td></tr>\n" : "") + "</table>\n";
}

// What is shown belongs to this moment; it is written elsewhere, for there may be a million lines of it.
void stats(AdminSource& source, const AdminRequest& request, AdminResponse& response) {
  struct Job {
    stats::Frozen stats;
    stats::RenderOptions options;
    std::vector<stats::Tag> tags;
  };
  auto job = std::make_shared<Job>();
  job->options.used_only = request.has("usedonly");
  if (!regex_filter(request, job->options.filter, response) || !read_type(request, job->options, response) ||
      !read_buckets(request, job->options, response) || !read_limit(request, job->options, response))
    return;
  response.prepare = [job, reading = std::make_shared<stats::Reading>(source.read_stats())] {
    if (reading->step()) return true;
    job->stats = reading->take();
    return false;
  };
  const auto tags = source.stats_tags();
  job->tags.assign(tags.begin(), tags.end());
  job->options.tags = job->tags;
  if (request.wants_json()) {
    response.content_type = "application/json";
    response.work = [job](AdminResponse& to) { to.body = stats::render_json(job->stats, job->options); };
  } else if (request.format == "prometheus" && prefers_prometheus_messages(request.accept)) {
    response.content_type = kPrometheusMessages;
    response.work = [job](AdminResponse& to) {
      to.long_body = stats::render_prometheus_protobuf(job->stats, job->options);
    };
  } else if (request.format == "prometheus") {
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.work = [job](AdminResponse& to) { to.long_body = stats::render_prometheus(job->stats, job->options); };
  } else if (request.format == "html") {
    make_page(response);
    response.work = [job, form = stats_form(request)](AdminResponse& to) {
      to.body = std::string(kPageHead) + form + stats_table(stats::render_text(job->stats, job->options)) +
                std::string(kPageEnd);
    };
  } else {
    response.work = [job](AdminResponse& to) { to.body = stats::render_text(job->stats, job->options); };
  }
}

std::vector<ParameterHelp> parameters() {
  return {
      {"usedonly", "only what was ever counted"},
      {"filter=REGEX", "only names in which this is found"},
      {"type=TYPE", "Counters, Gauges or Histograms"},
      {"histogram_buckets=X", "summary, cumulative, disjoint, detailed; Prometheus: the first two, prometheusnative"},
      {"series_limit=N", "for Prometheus: so many series of a name, the others as one"}};
}

// The published record of statistics that were looked up by name while requests were served, which costs. Here it stays
// empty: all are found when the configuration is read.
void add_recent_lookups(AdminServer& server) {
  auto enabled = std::make_shared<bool>(false);
  server.add("/stats/recentlookups", {.help = "look-ups of statistics by name since they are recorded; there are none"},
             [enabled](const AdminRequest& request, AdminResponse& response) {
               if (request.wants_json())
                 return response.answer_json_text(std::string("{\"enabled\":") + (*enabled ? "true" : "false") +
                                                  ",\"lookups\":[],\"total\":0}\n");
               response.body =
                   *enabled
                       ? "   Count Lookup\n\ntotal: 0\n"
                       : "Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n\ntotal: 0\n";
             });
  const auto change = [&](const char* what, const char* help, std::optional<bool> to) {
    server.add(std::string("/stats/recentlookups/") + what, {.access = Access::kChange, .help = help},
               [enabled, to](const AdminRequest& request, AdminResponse& response) {
                 *enabled = to.value_or(*enabled);
                 answer_ok(request, response);
               });
  };
  change("enable", "record look-ups of statistics by name", true);
  change("disable", "record none any more", false);
  change("clear", "forget those that were recorded", std::nullopt);
}

}  // namespace

void add_stats_endpoints(AdminServer& server, AdminSource& source) {
  auto answer = [&source](const AdminRequest& request, AdminResponse& response) { stats(source, request, response); };
  server.add("/stats",
             {.help = "all statistics", .parameters = parameters(), .formats = {"text", "json", "prometheus", "html"}},
             answer);
  server.add("/stats/prometheus",
             {.help = "all statistics for Prometheus", .parameters = parameters(), .formats = {"prometheus", "json"}},
             answer);
  server.add("/reset_counters", {.access = Access::kChange, .help = "set all counters to zero"},
             [&source](const AdminRequest& request, AdminResponse& response) {
               source.reset_counters();
               answer_ok(request, response);
             });
  add_recent_lookups(server);
}

}  // namespace weir::admin
