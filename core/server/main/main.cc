// The weir binary.
#include <csignal>
#include <cstdio>

#include "core/base/log.h"
#include "core/config/diagnostics.h"
#include "core/config/lint/lint.h"
#include "core/config/proto_loader.h"
#include "core/filter/registry.h"
#include "core/server/configuration.h"
#include "core/server/main/commands.h"
#include "core/server/main/numbered_slots.h"
#include "core/server/options.h"
#include "core/server/server.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"

namespace weir::server {
namespace {

int validate(const Options& options, const filter::Registry& registry) {
  stats::Store store;
  config::Diagnostics diagnostics;
  config::PositionIndex positions;
  envoy::config::bootstrap::v3::Bootstrap bootstrap;
  config::BootstrapSource source;
  source.path = options.config_path;
  source.overlay = options.config_yaml;
  if (options.allow_unknown_static_fields) source.options.unknown_fields = config::OnUnknown::kWarn;
  config::load_bootstrap(source, bootstrap, positions, diagnostics);
  NumberedSlots slots;
  Configuration configuration = translate_bootstrap(bootstrap, positions, registry, store, slots, diagnostics);
  if (options.lint != LintMode::kOff) {
    config::lint::LintOptions lint;
    lint.now = system_clock().wall_now();
    lint.warnings_are_errors = options.lint == LintMode::kError;
    lint.report_errors = false;  // translating has found them
    config::lint::check(bootstrap, positions, diagnostics, lint);
  }
  if (options.json) {
    printf("%s", diagnostics.json().c_str());
  } else {
    std::string text = diagnostics.text();
    fprintf(stderr, "%s", text.c_str());
    if (!diagnostics.has_errors()) {
      printf("configuration '%s' OK\n", options.config_path.empty() ? "--config-yaml" : options.config_path.c_str());
    }
  }
  return diagnostics.has_errors() ? 1 : 0;
}

filter::Registry all_plugins() {
  filter::RegistryBuilder builder;
  register_built_in_plugins(builder);
  return builder.build();
}

int run(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (is_command(arguments)) return run_command(arguments, all_plugins());
  auto parsed = parse_options(arguments);
  if (!parsed.ok()) {
    fprintf(stderr, "weir: %s\n", message_of(parsed.status()).c_str());
    return 2;
  }
  const Options& options = *parsed;
  const filter::Registry registry = all_plugins();
  switch (options.mode) {
    case Mode::kVersion:
      printf("%s\n", version_text().c_str());
      return 0;
    case Mode::kHelp:
      printf("%s", help_text().c_str());
      return 0;
    case Mode::kListExtensions:
      for (const auto& plugin : registry.list()) {
        printf("%-16s %-48s %s\n", std::string(plugin.kind).c_str(), std::string(plugin.name).c_str(),
               std::string(plugin.type).c_str());
      }
      return 0;
    default:
      break;
  }
  if (options.config_path.empty() && options.config_yaml.empty()) {
    fprintf(stderr, "weir: no configuration; give one with -c FILE or --config-yaml TEXT (weir --help)\n");
    return 2;
  }
  log::set_level(options.log_level);
  if (!log::set_path(options.log_path)) {
    fprintf(stderr, "weir: --log-path: cannot open %s\n", options.log_path.c_str());
    return 2;
  }
  if (options.mode == Mode::kValidate) return validate(options, registry);
  signal(SIGPIPE, SIG_IGN);
  Server server(options, registry);
  if (int code = server.start(); code != 0) return code;
  return server.run();
}

}  // namespace
}  // namespace weir::server

int main(int argc, char** argv) { return weir::server::run(argc, argv); }
