// The pages for people: /help as aligned text, / as one HTML page that needs nothing else, not even a network.
#include <algorithm>

#include "core/server/admin/endpoints.h"
#include "core/server/admin/html.h"
#include "core/server/admin/json.h"

namespace weir::admin {
namespace {

std::string uptime_text(Duration uptime) {
  int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(uptime).count();
  std::string out;
  if (seconds >= 86'400) out += std::to_string(seconds / 86'400) + " d ";
  if (seconds >= 3'600) out += std::to_string(seconds / 3'600 % 24) + " h ";
  if (seconds >= 60) out += std::to_string(seconds / 60 % 60) + " min ";
  return out + std::to_string(seconds % 60) + " s";
}

void append_listeners(const AdminSource& source, std::string& out) {
  out += "<h2>Listeners</h2>\n<table>\n<tr><th>Name</th><th>Address</th></tr>\n";
  source.for_each_listener([&](const ListenerView& listener) {
    out += "<tr><td>" + html_text(listener.name) + "</td><td><code>";
    for (const net::Address& address : listener.addresses) out += html_text(address.to_string()) + " ";
    out += "</code></td></tr>\n";
  });
  out += "</table>\n";
}

// Long lists belong to /clusters.
void append_clusters(const AdminSource& source, std::string& out) {
  constexpr size_t kShown = 200;
  size_t count = 0;
  out +=
      "<h2>Clusters</h2>\n<table>\n<tr><th>Name</th><th>Healthy</th><th>Active</th><th>Requests</th><th>Errors</th></"
      "tr>\n";
  source.for_each_cluster([&](const ClusterView& cluster) {
    if (++count > kShown) return;
    size_t healthy = 0;
    int64_t active = 0;
    uint64_t total = 0, errors = 0;
    for (const lb::HostEntry& entry : cluster.hosts) {
      healthy += entry.health == lb::Health::kHealthy;
      active += entry.host->totals.rq_active.value();
      total += entry.host->totals.rq_total.value();
      errors += entry.host->totals.rq_error.value();
    }
    bool all = healthy == cluster.hosts.size() && healthy > 0;
    out += "<tr><td>" + html_text(cluster.name) + "</td><td class=\"n" + (all ? "\">" : " bad\">") +
           std::to_string(healthy) + " of " + std::to_string(cluster.hosts.size()) + "</td><td class=\"n\">" +
           std::to_string(active) + "</td><td class=\"n\">" + std::to_string(total) + "</td><td class=\"n\">" +
           std::to_string(errors) + "</td></tr>\n";
  });
  out += "</table>\n";
  if (count > kShown) out += "<p>" + std::to_string(count - kShown) + " more: <a href=\"clusters\">/clusters</a></p>\n";
}

// Its own parameters, and the format if there is more choice than everywhere.
std::vector<ParameterHelp> parameters_of(const HandlerOptions& options) {
  std::vector<ParameterHelp> all = options.parameters;
  if (options.formats.size() < 2 || options.formats == HandlerOptions().formats) return all;
  std::string formats;
  for (std::string_view format : options.formats) (formats += formats.empty() ? "" : ", ") += format;
  all.push_back({"format=FORMAT", std::move(formats)});
  return all;
}

void append_endpoints(const AdminServer& server, std::string& out) {
  out += "<h2>Endpoints</h2>\n<table>\n<tr><th>Endpoint</th><th>What it does</th></tr>\n";
  for (const auto& [path, endpoint] : server.endpoints()) {
    if (path == "/") continue;
    std::string name = html_text(path);
    out += "<tr><td>";
    if (endpoint.options.access == Access::kChange) {
      out += "<form method=\"post\" action=\"" + name.substr(1) + "\"><button>" + name + "</button></form>";
    } else {
      out += "<a href=\"" + name.substr(1) + "\">" + name + "</a>";
    }
    out += "</td><td>" + html_text(endpoint.options.help);
    for (const ParameterHelp& parameter : parameters_of(endpoint.options)) {
      out += "<small><code>" + html_text(parameter.name) + "</code> " + html_text(parameter.help) + "</small>";
    }
    out += "</td></tr>\n";
  }
  out += "</table>\n<p><small>A button changes state by POST; a link only reads.</small></p>\n";
}

void index(const AdminServer& server, const AdminSource& source, AdminResponse& response) {
  make_page(response);
  std::string& out = response.body;
  out += kPageHead;
  ServerState state = source.state();
  out += "<h1>weir: <span";
  out += state == ServerState::kLive ? ">" : " class=\"bad\">";
  out += std::string(state_name(state)) + "</span></h1>\n<p>up " + uptime_text(source.uptime()) + ", version <code>" +
         html_text(source.version()) + "</code></p>\n";
  append_clusters(source, out);
  append_listeners(source, out);
  append_endpoints(server, out);
  out += kPageEnd;
}

std::string_view methods_of(Access access) {
  switch (access) {
    case Access::kRead:
      return "";
    case Access::kChange:
      return " (POST)";
    case Access::kReadOrChange:
      return " (GET, or POST to change)";
  }
  return "";
}

std::string help_json(const AdminServer& server) {
  std::string out = "{\"endpoints\":[";
  for (const auto& [path, endpoint] : server.endpoints()) {
    const Access access = endpoint.options.access;
    out += (out.ends_with('[') ? "\n {\"path\":" : ",\n {\"path\":") + json_text(path);
    out += ",\"methods\":[";
    out += access == Access::kRead ? "\"GET\"" : access == Access::kChange ? "\"POST\"" : "\"GET\",\"POST\"";
    out += "],\"help\":" + json_text(endpoint.options.help) + ",\"parameters\":[";
    for (const ParameterHelp& parameter : parameters_of(endpoint.options)) {
      if (!out.ends_with('[')) out += ',';
      out += "{\"name\":" + json_text(parameter.name) + ",\"help\":" + json_text(parameter.help) + "}";
    }
    out += "]}";
  }
  return out + "\n]}\n";
}

void help(const AdminServer& server, const AdminRequest& request, AdminResponse& response) {
  if (request.wants_json()) return response.answer_json_text(help_json(server));
  size_t width = 0;
  for (const auto& [path, endpoint] : server.endpoints()) {
    width = std::max(width, path.size());
    for (const ParameterHelp& parameter : parameters_of(endpoint.options))
      width = std::max(width, parameter.name.size() + 4);
  }
  std::string& out = response.body;
  auto row = [&](std::string_view indent, std::string_view name, std::string_view text) {
    out += indent;
    out += name;
    out.append(width + 4 - indent.size() - name.size(), ' ');
    out += text;
    out += '\n';
  };
  out += "admin commands are (?format=json: the answer as JSON):\n";
  for (const auto& [path, endpoint] : server.endpoints()) {
    row("  ", path, endpoint.options.help + std::string(methods_of(endpoint.options.access)));
    for (const ParameterHelp& parameter : parameters_of(endpoint.options))
      row("      ", parameter.name, parameter.help);
  }
}

}  // namespace

void add_pages(AdminServer& server, AdminSource& source) {
  server.add("/",
             {.help = "this server at a glance, for browsers; as JSON what /help says", .formats = {"html", "json"}},
             [&server, &source](const AdminRequest& request, AdminResponse& response) {
               if (request.wants_json()) return response.answer_json_text(help_json(server));
               index(server, source, response);
             });
  server.add("/help", {.help = "this list"},
             [&server](const AdminRequest& request, AdminResponse& response) { help(server, request, response); });
}

}  // namespace weir::admin
