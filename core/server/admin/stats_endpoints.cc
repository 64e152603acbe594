#include <absl/strings/ascii.h>

#include <memory>

#include "core/http/chars.h"
#include "core/match/regex.h"
#include "core/server/admin/endpoints.h"
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
    if (wanted == "prometheusnative") {
      options.buckets = Buckets::kNative;
      return true;
    }
    response.fail(400, "histogram_buckets: \"" + std::string(wanted) +
                           "\" is not one of cumulative, prometheusnative, which are for Prometheus\n");
    return false;
  }
  if (wanted == "summary") {
    options.buckets = Buckets::kSummary;
  } else if (wanted == "cumulative") {
    options.buckets = Buckets::kCumulative;
  } else if (wanted == "disjoint") {
    options.buckets = Buckets::kDisjoint;
  } else {
    response.fail(400,
                  "histogram_buckets: \"" + std::string(wanted) + "\" is not one of summary, cumulative, disjoint\n");
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
  job->stats = source.stats().freeze();
  const auto tags = source.stats_tags();
  job->tags.assign(tags.begin(), tags.end());
  job->options.tags = job->tags;
  if (request.wants_json()) {
    response.content_type = "application/json";
    response.work = [job](AdminResponse& to) { to.body = stats::render_json(job->stats, job->options); };
  } else if (request.format == "prometheus" && prefers_prometheus_messages(request.accept)) {
    response.content_type = kPrometheusMessages;
    response.work = [job](AdminResponse& to) { to.body = stats::render_prometheus_protobuf(job->stats, job->options); };
  } else if (request.format == "prometheus") {
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.work = [job](AdminResponse& to) { to.body = stats::render_prometheus(job->stats, job->options); };
  } else {
    response.work = [job](AdminResponse& to) { to.body = stats::render_text(job->stats, job->options); };
  }
}

std::vector<ParameterHelp> parameters() {
  return {{"usedonly", "only what was ever counted"},
          {"filter=REGEX", "only names in which this is found"},
          {"type=TYPE", "Counters, Gauges or Histograms"},
          {"histogram_buckets=X", "summary, cumulative or disjoint; for Prometheus cumulative or prometheusnative"},
          {"series_limit=N", "for Prometheus: so many series of a name, the others as one"}};
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
