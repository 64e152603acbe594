// The command line: published flags, and weir's own sub-commands.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/log.h"
#include "core/base/status.h"

namespace weir::server {

enum class Mode : uint8_t { kServe, kValidate, kInitOnly, kVersion, kHelp, kListExtensions };

// What is legal and probably not meant (core/config/lint): not looked for, said, or refused.
enum class LintMode : uint8_t { kOff, kWarn, kError };

struct Options {
  Mode mode = Mode::kServe;
  std::string config_path;
  std::string config_yaml;
  uint32_t concurrency = 0;  // workers; 0: one per processor this process may use
  log::Level log_level = log::Level::kInfo;
  std::string log_path;
  std::string admin_address_path;
  std::string service_cluster, service_node, service_zone;
  uint64_t drain_seconds = 600;
  uint64_t shutdown_deadline_seconds = 25;
  uint64_t file_flush_interval_ms = 10'000;
  uint32_t restart_epoch = 0;
  uint32_t base_id = 0;
  LintMode lint = LintMode::kWarn;
  bool json = false;  // diagnostics as JSON
  bool allow_unknown_static_fields = false;
  bool passthrough_unknown_extensions = false;
};

// Errors name the argument, what is wrong with it and what is allowed.
Result<Options> parse_options(const std::vector<std::string>& arguments);
std::string help_text();
std::string version_text();

}  // namespace weir::server
