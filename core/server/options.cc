#include "core/server/options.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>

#include "core/base/log_format.h"
#include "core/config/lint/lint.h"
#include "core/config/suggest.h"
#include "core/lb/host.h"

namespace weir::server {
namespace {

// Far beyond any use, and still some nanoseconds of 64 bits.
constexpr uint64_t kMaxSeconds = 1'000'000'000;

Status read_number(std::string_view flag, std::string_view text, uint64_t max, uint64_t& value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc::result_out_of_range && (error != std::errc() || end != text.data() + text.size())) {
    return invalid(std::string(flag) + ": \"" + std::string(text) + "\" is not a whole number");
  }
  if (error == std::errc::result_out_of_range || value > max)
    return invalid(std::string(flag) + ": " + std::string(text) + " is too large; at most " + std::to_string(max));
  return absl::OkStatus();
}

// "a,b": rules of weir lint.
Status read_rules(std::string_view flag, std::string_view text, std::vector<std::string>& rules) {
  while (!text.empty()) {
    const std::string one(text.substr(0, text.find(',')));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    if (!config::lint::is_rule(one)) {
      return invalid(std::string(flag) + ": \"" + one +
                     "\" is not a rule, like plaintext-upstream; weir lint --rules lists them");
    }
    rules.push_back(one);
  }
  return absl::OkStatus();
}

// One of two words.
Status read_choice(std::string_view flag, std::string_view text, std::string_view no, std::string_view yes,
                   bool& value) {
  if (text != no && text != yes) {
    return invalid(std::string(flag) + ": \"" + std::string(text) + "\" is not one of " + std::string(no) + ", " +
                   std::string(yes));
  }
  value = text == yes;
  return absl::OkStatus();
}

Status read_level(std::string_view flag, std::string_view text, log::Level& level) {
  if (log::parse_level(text, level)) return absl::OkStatus();
  return invalid(std::string(flag) + ": \"" + std::string(text) +
                 "\" is not one of trace, debug, info, warning, error, critical, off");
}

// "net:debug,upstream:trace". A component of other proxies is no error: command lines are shared with them.
Status read_component_levels(std::string_view text, Options& options) {
  constexpr std::string_view kFlag = "--component-log-level";
  options.component_log_level = text;
  while (!text.empty()) {
    std::string_view one = text.substr(0, text.find(','));
    text.remove_prefix(std::min(one.size() + 1, text.size()));
    size_t colon = one.find(':');
    if (colon == std::string_view::npos || colon == 0) {
      return invalid(std::string(kFlag) + ": \"" + std::string(one) + "\" is not component:level; write net:debug");
    }
    log::Level level;
    WEIR_RETURN_IF_ERROR(read_level(kFlag, one.substr(colon + 1), level));
    size_t component = log::component_index(one.substr(0, colon));
    if (component < log::kComponentCount) {
      options.component_levels.emplace_back(component, level);
      continue;
    }
    std::string names;
    for (std::string_view name : log::kComponents) (names += names.empty() ? "" : ", ") += name;
    options.without_effect.push_back(std::string(kFlag) + " " + std::string(one) +
                                     ": weir has no such component; it has " + names);
  }
  return absl::OkStatus();
}

// "name:value": a tag of every statistic. Names and values as published.
Status read_stats_tag(std::string_view text, std::vector<stats::Tag>& tags) {
  size_t colon = text.find(':');
  std::string name(text.substr(0, colon));
  bool alphanumeric = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
  if (colon == std::string_view::npos || name.empty() || colon + 1 == text.size())
    return invalid("--stats-tag: \"" + std::string(text) + "\" is not name:value");
  if (!alphanumeric) return invalid("--stats-tag: \"" + name + "\": a name has letters, digits and underscores only");
  if (stats::is_reserved_label(name))
    return invalid("--stats-tag: \"" + name + "\" is a label that Prometheus gives a meaning; take another name");
  std::string value(text.substr(colon + 1));
  if (value.find('.') != std::string::npos)
    return invalid("--stats-tag: \"" + value +
                   "\": a value has no dots, which separate the parts of a statistic's name");
  for (const stats::Tag& tag : tags) {
    if (tag.name == name) return invalid("--stats-tag: \"" + name + "\" is given twice");
  }
  tags.push_back({std::move(name), std::move(value)});
  return absl::OkStatus();
}

struct Flag {
  bool takes_value;
  std::function<Status(std::string_view flag, std::string_view value)> set;
};
using Flags = std::map<std::string_view, Flag>;

Flags make_flags(Options& options) {
  auto text = [](std::string& to) {
    return Flag{true, [&to](std::string_view, std::string_view value) {
                  to = std::string(value);
                  return absl::OkStatus();
                }};
  };
  auto number = [](uint64_t& to, uint64_t max) {
    return Flag{
        true, [&to, max](std::string_view flag, std::string_view value) { return read_number(flag, value, max, to); }};
  };
  auto small = [](uint32_t& to, uint64_t max) {
    return Flag{true, [&to, max](std::string_view flag, std::string_view value) {
                  uint64_t wide = 0;
                  WEIR_RETURN_IF_ERROR(read_number(flag, value, max, wide));
                  to = static_cast<uint32_t>(wide);
                  return Status();
                }};
  };
  auto on = [](bool& to) {
    return Flag{false, [&to](std::string_view, std::string_view) {
                  to = true;
                  return absl::OkStatus();
                }};
  };
  auto off = [](bool& to) {
    return Flag{false, [&to](std::string_view, std::string_view) {
                  to = false;
                  return absl::OkStatus();
                }};
  };
  auto mode = [&](Mode wanted) {
    return Flag{false, [&options, wanted](std::string_view, std::string_view) {
                  options.mode = wanted;
                  return absl::OkStatus();
                }};
  };
  auto without_effect = [&](bool takes_value, std::string why) {
    return Flag{takes_value, [&options, why](std::string_view flag, std::string_view) {
                  options.without_effect.push_back(std::string(flag) + ": " + why);
                  return absl::OkStatus();
                }};
  };
  Flag config = text(options.config_path);
  Flag level{true,
             [&](std::string_view flag, std::string_view value) { return read_level(flag, value, options.log_level); }};
  return {
      {"-c", config},
      {"--config-path", config},
      {"--config-yaml", text(options.config_yaml)},
      {"--concurrency", small(options.concurrency, lb::kMaxLanes - 1)},
      {"--mode",
       {true,
        [&](std::string_view flag, std::string_view value) {
          if (value == "validate") {
            options.mode = Mode::kValidate;
            return Status();
          }
          bool init_only = false;
          if (!read_choice(flag, value, "serve", "init_only", init_only).ok())
            return invalid("--mode: \"" + std::string(value) + "\" is not one of serve, validate, init_only");
          options.mode = init_only ? Mode::kInitOnly : Mode::kServe;
          return Status();
        }}},
      {"-l", level},
      {"--log-level", level},
      {"--component-log-level",
       {true, [&](std::string_view, std::string_view value) { return read_component_levels(value, options); }}},
      {"--log-format",
       {true,
        [&](std::string_view flag, std::string_view value) {
          auto format = log::LineFormat::compile(value);
          if (!format.ok()) return invalid(std::string(flag) + ": " + message_of(format.status()));
          options.log_format = value;
          return Status();
        }}},
      {"--log-format-escaped", on(options.log_format_escaped)},
      {"--log-path", text(options.log_path)},
      {"--enable-fine-grain-logging",
       without_effect(false, "levels are per component here (--component-log-level), not per source file")},
      {"--admin-address-path", text(options.admin_address_path)},
      {"--pid-file", text(options.pid_file)},
      {"--user", text(options.user)},
      {"--group", text(options.group)},
      {"--service-cluster", text(options.service_cluster)},
      {"--service-node", text(options.service_node)},
      {"--service-zone", text(options.service_zone)},
      {"--stats-tag",
       {true, [&](std::string_view, std::string_view value) { return read_stats_tag(value, options.stats_tags); }}},
      {"--drain-time-s", number(options.drain_seconds, kMaxSeconds)},
      {"--drain-strategy",
       {true,
        [&](std::string_view flag, std::string_view value) {
          bool immediate = false;
          WEIR_RETURN_IF_ERROR(read_choice(flag, value, "gradual", "immediate", immediate));
          options.drain_strategy = immediate ? DrainStrategy::kImmediate : DrainStrategy::kGradual;
          return Status();
        }}},
      {"--shutdown-delay-s", number(options.shutdown_delay_seconds, kMaxSeconds)},
      {"--shutdown-deadline-s", number(options.shutdown_deadline_seconds, kMaxSeconds)},
      {"--file-flush-interval-msec", number(options.file_flush_interval_ms, kMaxSeconds)},
      {"--unknown-extensions",
       {true,
        [&](std::string_view flag, std::string_view value) {
          return read_choice(flag, value, "reject", "passthrough", options.passthrough_unknown_extensions);
        }}},
      {"--lint",
       {true, [&](std::string_view flag,
                  std::string_view value) { return read_choice(flag, value, "off", "warn", options.lint); }}},
      {"--lint-error",
       {true,
        [&](std::string_view flag, std::string_view value) { return read_rules(flag, value, options.lint_errors); }}},
      {"--allow-unknown-static-fields", on(options.allow_unknown_static_fields)},
      {"--reject-unknown-dynamic-fields", on(options.reject_unknown_dynamic_fields)},
      {"--ignore-unknown-dynamic-fields", on(options.ignore_unknown_dynamic_fields)},
      {"--restart", on(options.restart)},
      {"--restart-epoch",
       {true,
        [&](std::string_view flag, std::string_view value) {
          uint64_t epoch = 0;
          WEIR_RETURN_IF_ERROR(read_number(flag, value, UINT32_MAX, epoch));
          options.restart_epoch = static_cast<uint32_t>(epoch);
          options.restart_epoch_given = true;
          return Status();
        }}},
      {"--base-id",
       {true,
        [&](std::string_view flag, std::string_view value) {
          uint64_t id = 0;
          WEIR_RETURN_IF_ERROR(read_number(flag, value, UINT32_MAX, id));
          options.base_id = static_cast<uint32_t>(id);
          options.restart_address_given = options.restart_address_given || id != 0;
          return Status();
        }}},
      {"--use-dynamic-base-id", on(options.dynamic_base_id)},
      {"--base-id-path", text(options.base_id_path)},
      {"--socket-path",
       {true,
        [&](std::string_view flag, std::string_view value) {
          if (value.size() < 2 || (value[0] != '/' && value[0] != '@'))
            return invalid(std::string(flag) + ": \"" + std::string(value) +
                           "\" is neither a path that begins with / nor an abstract name like @weir");
          options.socket_path = value;
          options.restart_address_given = true;
          return Status();
        }}},
      {"--socket-mode",
       {true,
        [&](std::string_view flag, std::string_view value) {
          auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), options.socket_mode, 8);
          if (error != std::errc() || end != value.data() + value.size() || options.socket_mode > 0777)
            return invalid(std::string(flag) + ": \"" + std::string(value) + "\" is no mode of a file, like 600");
          return Status();
        }}},
      {"--parent-shutdown-time-s", number(options.parent_shutdown_seconds, kMaxSeconds)},
      {"--restart-timeout-s", number(options.restart_timeout_seconds, kMaxSeconds)},
      {"--skip-hot-restart-on-no-parent", on(options.skip_restart_on_no_parent)},
      {"--skip-hot-restart-parent-stats", on(options.skip_parent_stats)},
      {"--disable-hot-restart", off(options.hot_restart)},
      {"--hot-restart-version", mode(Mode::kHotRestartVersion)},
      {"--json", on(options.json)},
      {"--list-extensions", mode(Mode::kListExtensions)},
      {"--version", mode(Mode::kVersion)},
      {"-h", mode(Mode::kHelp)},
      {"--help", mode(Mode::kHelp)},
  };
}

Status unknown_argument(std::string_view argument, const Flags& flags) {
  std::string message = "unknown argument " + std::string(argument);
  config::NearestName nearest(argument);
  for (const auto& [name, flag] : flags) {
    if (name.starts_with("--")) nearest.offer(name);
  }
  if (argument.starts_with("--") && !nearest.best().empty())
    return invalid(message + "; did you mean " + std::string(nearest.best()) + "?");
  if (!argument.starts_with('-')) message += "; a configuration is given with -c FILE";
  return invalid(message + "; weir --help lists all");
}

Status check_restart(Options& options) {
  if (options.restart_epoch > 0) {
    if (options.restart)
      return invalid(
          "--restart-epoch: --restart finds out by itself how often the process was restarted; give one of them");
    options.restart = true;
  }
  if (options.restart && !options.hot_restart)
    return invalid(
        "--disable-hot-restart: a process that nobody takes over from cannot take over either (--restart, "
        "--restart-epoch)");
  if (options.restart && options.dynamic_base_id)
    return invalid("--use-dynamic-base-id: with --restart, give the --base-id of the process that is to end");
  if (options.restart && options.mode == Mode::kInitOnly)
    return invalid("--mode: init_only never serves, and so cannot take over (--restart, --restart-epoch)");
  if (options.dynamic_base_id && options.base_id != 0)
    return invalid("--use-dynamic-base-id: --base-id says one already");
  // Others may have processes of the same number.
  if (options.socket_path.empty()) options.socket_path = "@weir_restart_" + std::to_string(getuid());
  return absl::OkStatus();
}

// What the values mean together, or for parts that are not built yet.
Status check(Options& options) {
  WEIR_RETURN_IF_ERROR(check_restart(options));
  if (options.shutdown_delay_seconds > 0 && options.shutdown_delay_seconds >= options.shutdown_deadline_seconds) {
    return invalid("--shutdown-delay-s: " + std::to_string(options.shutdown_delay_seconds) +
                   " leaves no time for draining; --shutdown-deadline-s is " +
                   std::to_string(options.shutdown_deadline_seconds));
  }
  for (auto [given, flag] : {std::pair{options.reject_unknown_dynamic_fields, "--reject-unknown-dynamic-fields"},
                             {options.ignore_unknown_dynamic_fields, "--ignore-unknown-dynamic-fields"}}) {
    if (given)
      options.without_effect.push_back(std::string(flag) + ": weir has no dynamic sources of configuration yet");
  }
  return absl::OkStatus();
}

}  // namespace

Result<Options> parse_options(const std::vector<std::string>& arguments) {
  Options options;
  const Flags flags = make_flags(options);
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string_view argument = arguments[i];
    std::string_view value;
    bool attached = false;
    if (size_t equals = argument.find('='); argument.starts_with("--") && equals != std::string_view::npos) {
      value = argument.substr(equals + 1);
      argument = argument.substr(0, equals);
      attached = true;
    }
    auto flag = flags.find(argument);
    if (flag == flags.end()) return unknown_argument(argument, flags);
    if (attached && !flag->second.takes_value) return invalid(std::string(argument) + " takes no value");
    if (!attached && flag->second.takes_value) {
      if (i + 1 == arguments.size()) return invalid(std::string(argument) + " needs a value");
      value = arguments[++i];
    }
    WEIR_RETURN_IF_ERROR(flag->second.set(argument, value));
  }
  WEIR_RETURN_IF_ERROR(check(options));
  return options;
}

}  // namespace weir::server
