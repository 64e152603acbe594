#include <malloc.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "core/base/log.h"
#include "core/server/admin/endpoints.h"
#include "core/server/admin/json.h"
#include "core/server/admin/redact.h"
#include "envoy/admin/v3/memory.pb.h"
#include "envoy/admin/v3/server_info.pb.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"

namespace weir::admin {
namespace {

void ready(const AdminSource& source, AdminResponse& response) {
  ServerState state = source.state();
  response.status = state == ServerState::kLive ? 200 : 503;
  response.body = std::string(state_name(state)) + "\n";
}

void server_info(const AdminSource& source, AdminResponse& response) {
  envoy::admin::v3::ServerInfo info;
  info.set_version(source.version());
  info.set_state(static_cast<envoy::admin::v3::ServerInfo::State>(source.state()));
  auto seconds = [](Duration d) { return std::chrono::duration_cast<std::chrono::seconds>(d).count(); };
  info.mutable_uptime_current_epoch()->set_seconds(seconds(source.uptime()));
  info.mutable_uptime_all_epochs()->set_seconds(seconds(source.uptime_all_epochs()));
  info.set_hot_restart_version("disabled");
  source.fill_command_line(*info.mutable_command_line_options());
  // The text given on the command line may hold what /config_dump does not show.
  if (!info.command_line_options().config_yaml().empty())
    info.mutable_command_line_options()->set_config_yaml("[redacted]");
  *info.mutable_node() = source.bootstrap().node();
  redact(*info.mutable_node());
  answer_json(info, Defaults::kPrint, response);
  if (response.status != 200) return;
  response.body.resize(response.body.find_last_of('}'));
  while (response.body.ends_with('\n')) response.body.pop_back();
  response.body += ",\n \"weir\": " + source.weir_info() + "\n}\n";
}

uint64_t resident_bytes() {
  FILE* file = fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long total = 0, resident = 0;
  int found = fscanf(file, "%lu %lu", &total, &resident);
  fclose(file);
  return found == 2 ? uint64_t{resident} * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

void memory(AdminResponse& response) {
  struct mallinfo2 heap = mallinfo2();
  envoy::admin::v3::Memory memory;
  memory.set_allocated(heap.uordblks + heap.hblkhd);
  memory.set_heap_size(heap.arena + heap.hblkhd);
  memory.set_pageheap_free(heap.fordblks);
  memory.set_total_physical_bytes(resident_bytes());
  answer_json(memory, Defaults::kPrint, response);
}

void logging(const AdminRequest& request, AdminResponse& response) {
  if (request.has("level")) {
    log::Level level;
    std::string wanted(*request.get("level"));
    if (!request.is_post())
      return response.fail(405, "changing the level wants a POST: curl -X POST .../logging?level=" + wanted + "\n");
    if (!log::parse_level(wanted, level)) {
      return response.fail(
          400, "level: \"" + wanted + "\" is not one of trace, debug, info, warning, error, critical, off\n");
    }
    log::set_level(level);
  } else if (!request.parameters.empty()) {
    return response.fail(
        400, request.parameters[0].first +
                 ": not a parameter here; levels of single components are not supported by weir yet, use level=\n");
  }
  auto level = static_cast<log::Level>(log::current_level.load(std::memory_order_relaxed));
  response.body = "active loggers:\n  weir: " + std::string(log::level_name(level)) + "\n";
}

}  // namespace

void add_server_endpoints(AdminServer& server, AdminSource& source) {
  server.add("/ready", {.help = "200 and LIVE if the server takes traffic, else 503 and its state", .any_host = true},
             [&source](const AdminRequest&, AdminResponse& response) { ready(source, response); });
  server.add("/server_info", {.help = "version, state, uptime, command line and node, as JSON"},
             [&source](const AdminRequest&, AdminResponse& response) { server_info(source, response); });
  server.add("/memory", {.help = "bytes of memory in use, as JSON"},
             [](const AdminRequest&, AdminResponse& response) { memory(response); });
  server.add("/logging",
             {.access = Access::kReadOrChange,
              .help = "the log level; POST changes it",
              .parameters = {{"level=LEVEL", "trace, debug, info, warning, error, critical, off"}}},
             [](const AdminRequest& request, AdminResponse& response) { logging(request, response); });
  server.add("/hot_restart_version", {.help = "the version of the hot restart protocol"},
             [](const AdminRequest&, AdminResponse& response) { response.body = "disabled\n"; });
  server.add("/quitquitquit", {.access = Access::kChange, .help = "shut the server down"},
             [&source](const AdminRequest&, AdminResponse& response) {
               response.body = "OK\n";
               response.close = true;
               source.shutdown();
             });
  server.add("/healthcheck/fail", {.access = Access::kChange, .help = "answer health checks with failure from now on"},
             [&source](const AdminRequest&, AdminResponse& response) {
               source.fail_health_check(true);
               response.body = "OK\n";
             });
  server.add("/healthcheck/ok", {.access = Access::kChange, .help = "answer health checks with success again"},
             [&source](const AdminRequest&, AdminResponse& response) {
               source.fail_health_check(false);
               response.body = "OK\n";
             });
  server.add("/reopen_logs", {.access = Access::kChange, .help = "open all log files anew, for rotation"},
             [&source](const AdminRequest&, AdminResponse& response) {
               source.reopen_logs();
               response.body = "OK\n";
             });
}

}  // namespace weir::admin
