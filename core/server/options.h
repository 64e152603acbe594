// The command line: published flags, and weir's own.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/base/log.h"
#include "core/base/status.h"
#include "core/stats/tags.h"

namespace weir::server {

enum class Mode : uint8_t { kServe, kValidate, kInitOnly, kVersion, kHelp, kListExtensions, kHotRestartVersion };
// How the connections that are to end are told so: spread over the drain time, or all when it begins.
enum class DrainStrategy : uint8_t { kGradual, kImmediate };

struct Options {
  Mode mode = Mode::kServe;
  std::string config_path;
  std::string config_yaml;
  uint32_t concurrency = 0;  // workers; 0: one per processor this process may use
  log::Level log_level = log::Level::kInfo;
  std::string component_log_level;  // as given
  std::vector<std::pair<size_t, log::Level>> component_levels;
  std::string log_format;  // empty: the default
  bool log_format_escaped = false;
  std::string log_path;
  std::string admin_address_path;
  std::string pid_file;
  std::string user, group;                                  // to become once everything is bound; empty: as it is
  std::string service_cluster, service_node, service_zone;  // empty: what the bootstrap says
  std::vector<stats::Tag> stats_tags;
  uint64_t drain_seconds = 600;
  DrainStrategy drain_strategy = DrainStrategy::kGradual;
  uint64_t shutdown_delay_seconds = 0;
  uint64_t shutdown_deadline_seconds = 25;
  uint64_t file_flush_interval_ms = 10'000;
  // Restarts: where the process waits for a successor, whether it is one, and how the one before it ends.
  bool hot_restart = true;  // false: nobody takes over from it
  bool restart = false;     // takes over from the running process, if there is one
  bool restart_epoch_given = false;
  uint32_t restart_epoch = 0;
  uint32_t base_id = 0;
  bool dynamic_base_id = false;  // one that nobody uses
  std::string base_id_path;      // the number is written there
  std::string socket_path;       // never empty
  bool restart_address_given = false;
  uint32_t socket_mode = 0600;
  uint64_t parent_shutdown_seconds = 900;
  uint64_t restart_timeout_seconds = 60;
  bool skip_restart_on_no_parent = false;
  bool skip_parent_stats = false;
  std::vector<std::string> arguments;    // of the command line, the program's name first
  bool lint = true;                      // say what is legal and probably not meant (core/config/lint)
  std::vector<std::string> lint_errors;  // rules of weir lint: with what they find nothing is started
  bool json = false;                     // diagnostics as JSON
  bool allow_unknown_static_fields = false;
  bool reject_unknown_dynamic_fields = false;
  bool ignore_unknown_dynamic_fields = false;
  bool passthrough_unknown_extensions = false;
  // Flags that are accepted and change nothing, each with the reason: to be logged once at start.
  std::vector<std::string> without_effect;
};

// Errors name the argument, what is wrong with it and what is allowed.
Result<Options> parse_options(const std::vector<std::string>& arguments);
std::string help_text();

}  // namespace weir::server
