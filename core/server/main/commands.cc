#include "core/server/main/commands.h"

#include <algorithm>
#include <cstdio>
#include <initializer_list>

#include "core/base/time.h"
#include "core/config/lint/lint.h"
#include "core/config/proto_loader.h"
#include "core/server/change_report.h"
#include "core/server/numbered_slots.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"

namespace weir::server {
namespace {

constexpr std::string_view kDiffUsage =
    "usage: weir diff OLD NEW [--json]\n"
    "Says what a reload from one configuration to the other would change, and what it would drain.\n"
    "  --config-yaml TEXT           merged over both\n"
    "  --unknown-extensions HOW, --allow-unknown-static-fields, --lint-error RULE,...\n"
    "                               as the weir has them that is to reload\n";

constexpr std::string_view kLintUsage =
    "usage: weir lint -c FILE [--json] [--ignore RULE,...]\n"
    "       weir lint --rules\n"
    "Says what is legal in a configuration and probably not meant; weir --mode validate says whether weir can run it.\n"
    "  -c, --config-path FILE       YAML or JSON (\"-\": standard input)\n"
    "  --config-yaml TEXT           merged over the file\n"
    "  --ignore RULE,...            leave rules out\n"
    "  --rules                      what is looked for, and why\n"
    "  --json                       findings as JSON\n"
    "Exit code 0: nothing found; 1: something; 2: bad arguments.\n";

int bad_arguments(const std::string& message, std::string_view usage) {
  fprintf(stderr, "weir: %s\n%.*s", message.c_str(), static_cast<int>(usage.size()), usage.data());
  return 2;
}

void print_rules() {
  for (const config::lint::Rule& rule : config::lint::rules()) {
    printf("%-29s %-8s %s\n%-38s see %s\n", rule.id, rule.severity == config::Severity::kError ? "error" : "warning",
           rule.summary, "", rule.reference);
  }
}

// "a,b" to the list; false and a message if one of them is no rule. `flag`: what says it.
bool read_rules(const char* flag, std::string_view text, std::vector<std::string>& out, std::string& error) {
  while (!text.empty()) {
    const std::string one(text.substr(0, text.find(',')));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    if (!config::lint::is_rule(one)) {
      error = std::string(flag) + ": \"" + one + "\" is not a rule (weir lint --rules lists them)";
      return false;
    }
    out.push_back(one);
  }
  return true;
}

// The argument at `i`, taken apart if it is one of `with_value`, whose value stands behind '=' or is the next argument.
// False: it lacks one.
bool take_argument(const std::vector<std::string>& arguments, std::initializer_list<std::string_view> with_value,
                   size_t& i, std::string& argument, std::string& value) {
  argument = arguments[i];
  const size_t equals = argument.starts_with("--") ? argument.find('=') : std::string::npos;
  const std::string name = argument.substr(0, equals);
  if (std::find(with_value.begin(), with_value.end(), name) == with_value.end()) return true;
  const bool beside = equals == std::string::npos;
  if (beside && i + 1 == arguments.size()) return false;
  value = beside ? arguments[++i] : argument.substr(equals + 1);
  argument = name;
  return true;
}

int lint(const std::vector<std::string>& arguments) {
  config::BootstrapSource source;
  config::lint::LintOptions options;
  bool json = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string argument, value;
    if (!take_argument(arguments, {"-c", "--config-path", "--config-yaml", "--ignore"}, i, argument, value))
      return bad_arguments("lint: " + argument + " needs a value", kLintUsage);
    std::string error;
    if (argument == "-c" || argument == "--config-path") {
      source.path = value;
    } else if (argument == "--config-yaml") {
      source.overlay = value;
    } else if (argument == "--ignore") {
      if (!read_rules("lint: --ignore", value, options.ignored, error)) return bad_arguments(error, kLintUsage);
    } else if (argument == "--json") {
      json = true;
      options.of_one_rule = SIZE_MAX;  // who reads it counts for itself
    } else if (argument == "--allow-unknown-static-fields") {
      source.options.unknown_fields = config::OnUnknown::kWarn;
    } else if (argument == "--rules") {
      print_rules();
      return 0;
    } else if (argument == "-h" || argument == "--help") {
      printf("%s", std::string(kLintUsage).c_str());
      return 0;
    } else if (source.path.empty() && !argument.starts_with("-")) {
      source.path = argument;
    } else {
      return bad_arguments("lint: unknown argument " + argument, kLintUsage);
    }
  }
  if (source.path.empty() && source.overlay.empty()) return bad_arguments("lint: no configuration", kLintUsage);
  // What weir does not know may be right for others; --mode validate is strict about it.
  source.options.unknown_types = config::OnUnknown::kWarn;
  envoy::config::bootstrap::v3::Bootstrap bootstrap;
  config::PositionIndex positions;
  config::Diagnostics diagnostics;
  config::load_bootstrap(source, bootstrap, positions, diagnostics);
  options.now = system_clock().wall_now();
  config::lint::check(bootstrap, positions, diagnostics, options);
  const bool found = diagnostics.errors() + diagnostics.warnings() > 0;
  if (json) {
    printf("%s", diagnostics.json().c_str());
  } else if (found) {
    printf("%s", diagnostics.text().c_str());
  } else {
    printf("%s: nothing found\n", source.path.empty() ? "--config-yaml" : source.path.c_str());
  }
  return found ? 1 : 0;
}

// One side of a comparison.
struct Side {
  Side(const Options& of_both, const std::string& path) : options(of_both) { options.config_path = path; }
  // False: what is wrong was printed.
  bool load(const filter::Registry& registry, bool json) {
    NumberedSlots slots;
    configuration = load_configuration(options, registry, store, slots, bootstrap, diagnostics);
    if (!diagnostics.has_errors() && !options.lint_errors.empty()) {
      config::PositionIndex positions;
      envoy::config::bootstrap::v3::Bootstrap again;
      read_bootstrap(options, again, positions, diagnostics);
      find_forbidden(again, positions, options, diagnostics);
    }
    if (diagnostics.has_errors()) {
      fprintf(stderr, "%s", json ? diagnostics.json().c_str() : diagnostics.text().c_str());
      return false;
    }
    inventory = inventory_of(configuration, bootstrap);
    return true;
  }

  stats::Store store;
  Options options;
  config::Diagnostics diagnostics;
  envoy::config::bootstrap::v3::Bootstrap bootstrap;
  Configuration configuration;
  Inventory inventory;
};

int diff(const std::vector<std::string>& arguments, const filter::Registry& registry) {
  std::vector<std::string> files;
  bool json = false;
  Options options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string argument, value, error;
    if (!take_argument(arguments, {"--unknown-extensions", "--config-yaml", "--lint-error"}, i, argument, value))
      return bad_arguments("diff: " + argument + " needs a value", kDiffUsage);
    if (argument == "--json") {
      json = true;
    } else if (argument == "--allow-unknown-static-fields") {
      options.allow_unknown_static_fields = true;
    } else if (argument == "--unknown-extensions") {
      if (value != "reject" && value != "passthrough")
        return bad_arguments("diff: --unknown-extensions: \"" + value + "\" is not one of reject, passthrough",
                             kDiffUsage);
      options.passthrough_unknown_extensions = value == "passthrough";
    } else if (argument == "--config-yaml") {
      options.config_yaml = value;
    } else if (argument == "--lint-error") {
      if (!read_rules("diff: --lint-error", value, options.lint_errors, error)) return bad_arguments(error, kDiffUsage);
    } else if (argument == "-h" || argument == "--help") {
      printf("%s", std::string(kDiffUsage).c_str());
      return 0;
    } else if (argument.starts_with("-") && argument != "-") {
      return bad_arguments("diff: unknown argument " + argument, kDiffUsage);
    } else {
      files.push_back(argument);
    }
  }
  if (files.size() != 2) return bad_arguments("diff: wants two files, OLD and NEW", kDiffUsage);
  Side before(options, files[0]), after(options, files[1]);
  const bool both = before.load(registry, json) & after.load(registry, json);
  if (!both) return 1;
  ChangeReport report(plan_changes(before.inventory, after.inventory), before.inventory, before.bootstrap,
                      after.inventory, after.bootstrap);
  printf("%s", json ? report.json().c_str() : report.text().c_str());
  return report.refused() ? 1 : 0;
}

}  // namespace

bool is_command(const std::vector<std::string>& arguments) {
  return !arguments.empty() && (arguments.front() == "lint" || arguments.front() == "diff");
}

int run_command(const std::vector<std::string>& arguments, const filter::Registry& registry) {
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  return arguments.front() == "lint" ? lint(rest) : diff(rest, registry);
}

}  // namespace weir::server
