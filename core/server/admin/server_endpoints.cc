#include <chrono>
#include <utility>
#include <vector>

#include "core/base/log.h"
#include "core/server/admin/endpoints.h"
#include "core/server/admin/json.h"
#include "core/server/admin/memory_use.h"
#include "core/server/admin/redact.h"
#include "envoy/admin/v3/memory.pb.h"
#include "envoy/admin/v3/server_info.pb.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "google/protobuf/util/time_util.h"

namespace weir::admin {
namespace {

void ready(const AdminSource& source, const AdminRequest& request, AdminResponse& response) {
  ServerState state = source.state();
  response.status = state == ServerState::kLive ? 200 : 503;
  std::string name(state_name(state));
  if (request.wants_json()) {
    response.answer_json_text("{\"state\":\"" + name + "\"}\n");
  } else {
    response.body = name + "\n";
  }
}

std::string time_text(WallTime at) {
  google::protobuf::Timestamp time;
  set_time(at, time);
  return google::protobuf::util::TimeUtil::ToString(time);
}

// What weir adds to the published message, under a key of its own.
std::string additions(const AdminSource& source) {
  std::string text = "{";
  if (ConfigView config = source.config(); !config.version.empty()) {
    text += R"("config": {"version": ")" + config.version + R"(", "loaded_at": ")" + time_text(config.loaded_at) +
            R"(", "reloads": )" + std::to_string(config.reloads) + R"(, "failed_reloads": )" +
            std::to_string(config.failed_reloads) + "}, ";
  }
  auto reload = source.last_reload();
  if (!reload.has_value()) return text + R"("last_reload": null})";
  text += R"("last_reload": {"ok": )" + std::string(reload->error.empty() ? "true" : "false") + R"(, "at": ")" +
          time_text(reload->at) + '"';
  return text + (reload->error.empty() ? "}}" : R"(, "error": )" + json_text(reload->error) + "}}");
}

void server_info(const AdminSource& source, AdminResponse& response) {
  envoy::admin::v3::ServerInfo info;
  info.set_version(source.version());
  info.set_state(static_cast<envoy::admin::v3::ServerInfo::State>(source.state()));
  auto seconds = [](Duration d) { return std::chrono::duration_cast<std::chrono::seconds>(d).count(); };
  info.mutable_uptime_current_epoch()->set_seconds(seconds(source.uptime()));
  info.mutable_uptime_all_epochs()->set_seconds(seconds(source.uptime_all_epochs()));
  info.set_hot_restart_version(source.hot_restart_version());
  source.fill_command_line(*info.mutable_command_line_options());
  // The text given on the command line may hold what /config_dump does not show.
  if (!info.command_line_options().config_yaml().empty())
    info.mutable_command_line_options()->set_config_yaml("[redacted]");
  *info.mutable_node() = source.node();
  redact(*info.mutable_node());
  answer_json(info, Defaults::kPrint, response);
  if (response.status != 200) return;
  response.body.resize(response.body.find_last_of('}'));
  while (response.body.ends_with('\n')) response.body.pop_back();
  response.body += ",\n \"weir\": " + additions(source) + "\n}\n";
}

void memory(AdminResponse& response) {
  const MemoryUse use = memory_use();
  envoy::admin::v3::Memory memory;
  memory.set_allocated(use.allocated);
  memory.set_heap_size(use.heap);
  memory.set_pageheap_free(use.page_heap_free);
  memory.set_total_physical_bytes(use.physical);
  answer_json(memory, Defaults::kPrint, response);
}

// "net:debug,http:trace", or one component and its level. Nothing changes if anything is wrong.
bool read_levels(const AdminRequest& request, std::vector<std::pair<size_t, log::Level>>& out, std::string& error) {
  auto add = [&](std::string_view name, std::string_view wanted) {
    size_t component = log::component_index(name);
    log::Level level;
    if (component == log::kComponentCount) {
      error = std::string(name) + ": not a component; there are ";
      for (std::string_view one : log::kComponents) (error += one == log::kComponents[0] ? "" : ", ") += one;
    } else if (!log::parse_level(wanted, level)) {
      error = std::string(name) + ": \"" + std::string(wanted) +
              "\" is not one of trace, debug, info, warning, error, critical, off";
    } else {
      out.emplace_back(component, level);
    }
    return error.empty();
  };
  for (const auto& [name, value] : request.parameters) {
    if (name == "format") continue;
    if (name == "level") {
      for (std::string_view component : log::kComponents) {
        if (!add(component, value)) {
          error = "level" + error.substr(error.find(':'));
          return false;
        }
      }
    } else if (name == "paths") {
      for (std::string_view rest = value; !rest.empty();) {
        std::string_view one = rest.substr(0, rest.find(','));
        rest.remove_prefix(std::min(one.size() + 1, rest.size()));
        size_t colon = std::min(one.find(':'), one.size());
        if (!add(one.substr(0, colon), colon < one.size() ? one.substr(colon + 1) : std::string_view())) return false;
      }
    } else if (!add(name, value)) {
      return false;
    }
  }
  return true;
}

void logging(const AdminRequest& request, AdminResponse& response) {
  std::vector<std::pair<size_t, log::Level>> levels;
  std::string error;
  if (!read_levels(request, levels, error)) return response.fail(400, error + "\n");
  if (!levels.empty() && !request.is_post()) return response.fail(405, "changing a level wants a POST\n");
  for (auto [component, level] : levels) log::set_component_level(component, level);
  std::string json;
  response.body = "active loggers:\n";
  for (size_t i = 0; i < log::kComponentCount; ++i) {
    std::string name(log::kComponents[i]), level(log::level_name(log::component_level(i)));
    response.body += "  " + name + ": " + level + "\n";
    json += (json.empty() ? "\"" : ",\"") + name + "\":\"" + level + "\"";
  }
  if (request.wants_json()) response.answer_json_text("{\"loggers\":{" + json + "}}\n");
}

// {"unready_targets_dumps": [{"name": ..., "target_names": [...]}]}, as published.
void init_dump(const AdminSource& source, AdminResponse& response) {
  std::string names;
  source.for_each_warming([&](std::string_view name) { (names += names.empty() ? "" : ", ") += json_text(name); });
  std::string out = "{\n \"unready_targets_dumps\": [";
  if (!names.empty()) {
    out += "\n  {\n   \"name\": \"init manager Cluster Manager\",\n   \"target_names\": [" + names + "]\n  }\n ";
  }
  response.answer_json_text(out + "]\n}\n");
}

void drain_listeners(AdminSource& source, const AdminRequest& request, AdminResponse& response) {
  bool graceful = request.has("graceful"), skip_exit = request.has("skip_exit");
  if (skip_exit && !graceful) return response.fail(400, "skip_exit: only together with graceful\n");
  source.drain_listeners(graceful, skip_exit, request.has("inboundonly"));
  answer_ok(request, response);
}

void cpu_profiler(AdminSource& source, const AdminRequest& request, AdminResponse& response) {
  const std::string_view enable = request.get("enable").value_or("");
  if (enable == "y") {
    if (const Status started = source.start_cpu_profile(); !started.ok())
      return response.fail(absl::IsInvalidArgument(started) ? 400 : 500, message_of(started) + "\n");
    answer_ok(request, response);
  } else if (enable == "n") {
    answer_ok(request, response);
    auto write = source.stop_cpu_profile();
    if (write == nullptr) return;
    response.work = [write = std::move(write), json = request.wants_json()](AdminResponse& to) {
      const Status written = write();
      if (written.ok()) return;
      to.fail(500, message_of(written) + "\n");
      if (json) to.answer_json_text("{\"error\":" + json_text(message_of(written)) + "}\n");
    };
  } else {
    response.fail(400,
                  "enable: " + (enable.empty() ? "is required" : "\"" + std::string(enable) + "\" is not allowed") +
                      "; y begins a profile, n ends and writes it\n");
  }
}

}  // namespace

void add_server_endpoints(AdminServer& server, AdminSource& source) {
  server.add("/ready", {.help = "200 and LIVE if the server takes traffic, else 503 and its state", .any_host = true},
             [&source](const AdminRequest& request, AdminResponse& response) { ready(source, request, response); });
  server.add("/live", {.help = "200 as long as the process answers, also while it starts and drains", .any_host = true},
             answer_ok);
  server.add("/server_info",
             {.help = "version, state, uptime, command line, node, and what came of the last SIGHUP, as JSON",
              .formats = {"json"}},
             [&source](const AdminRequest&, AdminResponse& response) { server_info(source, response); });
  server.add("/memory", {.help = "bytes of memory in use, as JSON", .formats = {"json"}},
             [](const AdminRequest&, AdminResponse& response) { response.work = memory; });
  server.add("/logging",
             {.access = Access::kReadOrChange,
              .help = "the log levels; POST changes them",
              .parameters = {{"level=LEVEL", "of all: trace, debug, info, warning, error, critical, off"},
                             {"paths=NAME:LEVEL,...", "of these components"},
                             {"NAME=LEVEL", "of this component"}}},
             logging);
  server.add("/hot_restart_version", {.help = "the version of the hot restart protocol"},
             [&source](const AdminRequest& request, AdminResponse& response) {
               const std::string version = source.hot_restart_version();
               if (request.wants_json())
                 return response.answer_json_text("{\"hot_restart_version\":" + json_text(version) + "}\n");
               response.body = version + "\n";
             });
  server.add("/contention", {.help = "lock contention, which is not traced, as JSON", .formats = {"json"}},
             [](const AdminRequest&, AdminResponse& response) {
               response.answer_json_text(
                   "{\"error\":\"mutex contention tracing is not enabled: no lock is taken for a request\"}\n");
             });
  server.add("/init_dump", {.help = "what the start waits for, as JSON", .formats = {"json"}},
             [&source](const AdminRequest&, AdminResponse& response) { init_dump(source, response); });
  const auto missing = [&](std::string path, std::string help, std::string_view instead) {
    server.add(path, {.access = Access::kChange, .help = std::move(help)},
               [path, instead](const AdminRequest&, AdminResponse& response) {
                 response.fail(501, path + ": not supported by weir; " + std::string(instead) + "\n");
               });
  };
  missing("/tap", "not supported", "access logs tell about requests, and tcpdump about bytes");
  missing("/heapprofiler", "not supported", "the allocator has no profiler built in; /memory says how much is in use");
  server.add(
      "/cpuprofiler",
      {.access = Access::kChange,
       .help = "take a profile of CPU time for pprof, into the file admin.profile_path",
       .parameters = {{"enable=y|n", "begin; end and write it"}}},
      [&source](const AdminRequest& request, AdminResponse& response) { cpu_profiler(source, request, response); });
  auto change = [&](std::string path, std::string help, void (*act)(AdminSource&)) {
    server.add(std::move(path), {.access = Access::kChange, .help = std::move(help)},
               [&source, act](const AdminRequest& request, AdminResponse& response) {
                 act(source);
                 answer_ok(request, response);
               });
  };
  server.add("/quitquitquit", {.access = Access::kChange, .help = "end the process at once; SIGTERM drains first"},
             [&source](const AdminRequest& request, AdminResponse& response) {
               answer_ok(request, response);
               response.close = true;
               source.shutdown();
             });
  server.add(
      "/drain_listeners",
      {.access = Access::kChange,
       .help = "accept no more connections, also on listeners that come later",
       .parameters = {{"graceful", "only after the drain time, over which connections are told to end"},
                      {"skip_exit", "with graceful: not even then"},
                      {"inboundonly", "only listeners with traffic_direction INBOUND"}}},
      [&source](const AdminRequest& request, AdminResponse& response) { drain_listeners(source, request, response); });
  change("/healthcheck/fail", "not ready from now on", [](AdminSource& source) { source.fail_health_check(true); });
  change("/healthcheck/ok", "ready again", [](AdminSource& source) { source.fail_health_check(false); });
  change("/reopen_logs", "open all log files anew, for rotation", [](AdminSource& source) { source.reopen_logs(); });
}

}  // namespace weir::admin
