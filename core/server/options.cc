#include "core/server/options.h"

#include <charconv>
#include <functional>
#include <map>

namespace weir::server {
namespace {

constexpr std::string_view kVersion = "0.1.0";

Status read_number(std::string_view flag, std::string_view text, uint64_t& value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return invalid(std::string(flag) + ": \"" + std::string(text) + "\" is not a whole number");
  }
  return absl::OkStatus();
}

}  // namespace

Result<Options> parse_options(const std::vector<std::string>& arguments) {
  Options options;
  using Setter = std::function<Status(std::string_view)>;
  auto text = [](std::string& to) {
    return [&to](std::string_view value) {
      to = std::string(value);
      return absl::OkStatus();
    };
  };
  auto number = [](std::string_view flag, uint64_t& to) {
    return [flag, &to](std::string_view value) { return read_number(flag, value, to); };
  };
  auto small = [](std::string_view flag, uint32_t& to) {
    return [flag, &to](std::string_view value) {
      uint64_t wide = 0;
      WEIR_RETURN_IF_ERROR(read_number(flag, value, wide));
      if (wide > UINT32_MAX) return invalid(std::string(flag) + ": " + std::string(value) + " is too large");
      to = static_cast<uint32_t>(wide);
      return Status();
    };
  };
  auto ignored = [](std::string_view) { return absl::OkStatus(); };
  const std::map<std::string_view, Setter> with_value = {
      {"-c", text(options.config_path)},
      {"--config-path", text(options.config_path)},
      {"--config-yaml", text(options.config_yaml)},
      {"--concurrency", small("--concurrency", options.concurrency)},
      {"--mode",
       [&](std::string_view value) {
         if (value == "serve") {
           options.mode = Mode::kServe;
         } else if (value == "validate") {
           options.mode = Mode::kValidate;
         } else if (value == "init_only") {
           options.mode = Mode::kInitOnly;
         } else {
           return invalid("--mode: \"" + std::string(value) + "\" is not one of serve, validate, init_only");
         }
         return Status();
       }},
      {"-l",
       [&](std::string_view value) {
         if (!log::parse_level(value, options.log_level)) {
           return invalid("--log-level: \"" + std::string(value) +
                          "\" is not one of trace, debug, info, warning, error, critical, off");
         }
         return Status();
       }},
      {"--log-path", text(options.log_path)},
      {"--admin-address-path", text(options.admin_address_path)},
      {"--service-cluster", text(options.service_cluster)},
      {"--service-node", text(options.service_node)},
      {"--service-zone", text(options.service_zone)},
      {"--drain-time-s", number("--drain-time-s", options.drain_seconds)},
      {"--shutdown-deadline-s", number("--shutdown-deadline-s", options.shutdown_deadline_seconds)},
      {"--file-flush-interval-msec", number("--file-flush-interval-msec", options.file_flush_interval_ms)},
      {"--restart-epoch", small("--restart-epoch", options.restart_epoch)},
      {"--base-id", small("--base-id", options.base_id)},
      {"--unknown-extensions",
       [&](std::string_view value) {
         if (value != "reject" && value != "passthrough") {
           return invalid("--unknown-extensions: \"" + std::string(value) + "\" is not one of reject, passthrough");
         }
         options.passthrough_unknown_extensions = value == "passthrough";
         return Status();
       }},
      {"--lint",
       [&](std::string_view value) {
         if (value == "off") {
           options.lint = LintMode::kOff;
         } else if (value == "warn") {
           options.lint = LintMode::kWarn;
         } else if (value == "error") {
           options.lint = LintMode::kError;
         } else {
           return invalid("--lint: \"" + std::string(value) + "\" is not one of off, warn, error");
         }
         return Status();
       }},
      {"--parent-shutdown-time-s", ignored},
      {"--drain-strategy", ignored},
  };
  const std::map<std::string_view, std::function<void()>> without_value = {
      {"--version", [&] { options.mode = Mode::kVersion; }},
      {"-h", [&] { options.mode = Mode::kHelp; }},
      {"--help", [&] { options.mode = Mode::kHelp; }},
      {"--list-extensions", [&] { options.mode = Mode::kListExtensions; }},
      {"--json", [&] { options.json = true; }},
      {"--allow-unknown-static-fields", [&] { options.allow_unknown_static_fields = true; }},
      {"--disable-hot-restart", [] {}},
      {"--reject-unknown-dynamic-fields", [] {}},
      {"--ignore-unknown-dynamic-fields", [] {}},
  };
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string_view argument = arguments[i];
    std::string_view value;
    bool attached = false;
    if (size_t equals = argument.find('='); argument.starts_with("--") && equals != std::string_view::npos) {
      value = argument.substr(equals + 1);
      argument = argument.substr(0, equals);
      attached = true;
    }
    if (argument == "--log-level") argument = "-l";
    if (auto flag = without_value.find(argument); flag != without_value.end()) {
      if (attached) return invalid(std::string(argument) + " takes no value");
      flag->second();
      continue;
    }
    auto flag = with_value.find(argument);
    if (flag == with_value.end())
      return invalid("unknown argument " + std::string(argument) + "; weir --help lists them");
    if (!attached) {
      if (i + 1 == arguments.size()) return invalid(std::string(argument) + " needs a value");
      value = arguments[++i];
    }
    WEIR_RETURN_IF_ERROR(flag->second(value));
  }
  return options;
}

std::string version_text() { return "weir " + std::string(kVersion); }

std::string help_text() {
  return version_text() + R"(: an L4/L7 proxy configured in the xDS v3 format

  weir -c edge.yaml                       serve
  weir --mode validate -c edge.yaml       say everything that is wrong with a file, and start nothing
  weir -c edge.yaml --concurrency 2 -l debug

Commands (each has its own --help)
  weir lint -c FILE                       say what is legal in a file and probably not meant
  weir diff OLD NEW                       say what a reload would change, and what it would drain

Configuration
  -c, --config-path FILE                  bootstrap, YAML or JSON ("-": standard input)
  --config-yaml TEXT                      merged over the file
  --mode serve|validate|init_only         init_only: build everything, bind, and exit
  --lint off|warn|error                   what weir lint finds: not looked for, said at start (default), refused
  --json                                  findings as JSON
  --allow-unknown-static-fields           unknown fields are warnings
  --unknown-extensions reject|passthrough

Process
  --concurrency N                         worker threads (default: one per usable processor)
  --drain-time-s N                        how long a removed listener's connections may last (default 600)
  --shutdown-deadline-s N                 how long SIGTERM waits for requests to end (default 25)
  --service-cluster, --service-node, --service-zone NAME
  --base-id N, --restart-epoch N, --disable-hot-restart, --parent-shutdown-time-s N, --drain-strategy S
                                          accepted; restart hand-over is not built yet

Logs
  -l, --log-level LEVEL                   trace, debug, info, warning, error, critical, off (default info)
  --log-path FILE                         default: standard error
  --file-flush-interval-msec N            of access logs (default 10000)
  --admin-address-path FILE               the admin's address is written there

  --list-extensions, --version, --help

Signals: SIGTERM, SIGINT drain and stop (twice: at once); SIGHUP reads the configuration again; SIGUSR1 reopens logs.
Exit codes: 0 clean, 1 bad configuration, 2 bad arguments, 3 could not bind, 4 drained but the deadline was hit.
)";
}

}  // namespace weir::server
