// The weir binary.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>

#include "core/base/assert.h"
#include "core/base/log.h"
#include "core/base/log_format.h"
#include "core/config/diagnostics.h"
#include "core/config/field_table.h"
#include "core/filter/registry.h"
#include "core/server/configuration.h"
#include "core/server/link.h"
#include "core/server/main/build_version.h"
#include "core/server/main/commands.h"
#include "core/server/options.h"
#include "core/server/server.h"
#include "core/stream/log_writer.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"

namespace weir::server {
namespace {

int validate(const Options& options, const filter::Registry& registry) {
  config::Diagnostics diagnostics;
  envoy::config::bootstrap::v3::Bootstrap bootstrap;
  config::PositionIndex positions;
  read_bootstrap(options, bootstrap, positions, diagnostics);
  find_faults(bootstrap, positions, options, registry, diagnostics);
  find_doubts(bootstrap, positions, options, Doubts::kAll, diagnostics);
  if (options.json) {
    printf("%s", diagnostics.json().c_str());
  } else {
    fprintf(stderr, "%s", diagnostics.text().c_str());
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

void list_extensions(const filter::Registry& registry) {
  size_t kinds = 0, names = 0;
  for (const auto& plugin : registry.list()) {
    kinds = std::max(kinds, plugin.kind.size());
    names = std::max(names, plugin.name.size());
  }
  for (const auto& plugin : registry.list()) {
    const std::string kind(plugin.kind), name(plugin.name), type(plugin.type);
    printf("%-*s  %-*s  %s", static_cast<int>(kinds), kind.c_str(), static_cast<int>(names), name.c_str(),
           type.c_str());
    if (const auto* message = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(type)) {
      config::FieldCounts fields = config::count_fields(*message);
      printf("  (%d of %d fields)", fields.implemented, fields.all);
    }
    printf("\n");
  }
}

// --version, --list-extensions and their like. -1: none of these.
int print_facts(const Options& options, const filter::Registry& registry) {
  switch (options.mode) {
    case Mode::kVersion:
      printf("weir version: %s\n", std::string(build_version()).c_str());
      return 0;
    case Mode::kHelp:
      printf("%s", help_text().c_str());
      return 0;
    case Mode::kHotRestartVersion:
      printf("%s\n", restart_version(options).c_str());
      return 0;
    case Mode::kListExtensions:
      list_extensions(registry);
      return 0;
    default:
      return -1;
  }
}

// The exit code, 0 if the log is as the command line wants it.
int set_up_log(const Options& options) {
  log::set_level(options.log_level);
  for (auto [component, level] : options.component_levels) log::set_component_level(component, level);
  // Parsing the options has compiled it before.
  std::string_view format = options.log_format.empty() ? log::LineFormat::kDefault : options.log_format;
  WEIR_CHECK(log::set_format(format, options.log_format_escaped).ok());
  // Validation touches no file.
  if (options.mode != Mode::kValidate && !log::set_path(options.log_path)) {
    fprintf(stderr, "weir: --log-path: cannot open %s: %s\n", options.log_path.c_str(), strerror(errno));
    return 2;
  }
  for (const std::string& flag : options.without_effect) WEIR_LOG(kWarning, "server", "no effect: %s", flag.c_str());
  return 0;
}

int run(int argc, char** argv) {
  // Whoever reads a message says what is wrong with it; the library would write to stderr for each that a peer sends.
  google::protobuf::SetLogHandler(nullptr);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (is_command(arguments)) return run_command(arguments, all_plugins());
  auto parsed = parse_options(arguments);
  if (!parsed.ok()) {
    fprintf(stderr, "weir: %s\n", message_of(parsed.status()).c_str());
    return 2;
  }
  parsed->arguments.assign(argv, argv + argc);
  const Options& options = *parsed;
  const filter::Registry registry = all_plugins();
  if (int code = print_facts(options, registry); code >= 0) return code;
  if (options.config_path.empty() && options.config_yaml.empty()) {
    fprintf(stderr,
            "weir: no configuration. Start it with one of\n"
            "  weir -c FILE             (YAML or JSON; config-examples/ has some to begin with)\n"
            "  weir --config-yaml TEXT\n"
            "weir --help lists all flags.\n");
    return 2;
  }
  if (int code = set_up_log(options); code != 0) return code;
  if (options.mode == Mode::kValidate) return validate(options, registry);
  Server server(options, registry, build_version());
  if (int code = server.start(); code != 0) return code;
  return server.run();
}

}  // namespace
}  // namespace weir::server

int main(int argc, char** argv) { return weir::server::run(argc, argv); }
