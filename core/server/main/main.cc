// The weir binary.
#include <csignal>
#include <cstdio>

#include "core/base/log.h"
#include "core/config/diagnostics.h"
#include "core/config/proto_loader.h"
#include "core/filter/registry.h"
#include "core/server/configuration.h"
#include "core/server/options.h"
#include "core/server/server.h"
#include "core/stream/log_writer.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"

namespace weir::server {
namespace {

int validate(const Options& options, const filter::Registry& registry) {
  config::Diagnostics diagnostics;
  config::PositionIndex positions;
  envoy::config::bootstrap::v3::Bootstrap bootstrap;
  config::BootstrapSource source;
  source.path = options.config_path;
  source.overlay = options.config_yaml;
  if (options.allow_unknown_static_fields) source.options.unknown_fields = config::OnUnknown::kWarn;
  config::load_bootstrap(source, bootstrap, positions, diagnostics);
  stats::Store store;
  check_configuration(bootstrap, positions, registry, store, diagnostics);
  stream::LogWriter::process().stop(1s);
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

int run(int argc, char** argv) {
  auto parsed = parse_options(std::vector<std::string>(argv + 1, argv + argc));
  if (!parsed.ok()) {
    fprintf(stderr, "weir: %s\n", message_of(parsed.status()).c_str());
    return 2;
  }
  const Options& options = *parsed;
  filter::RegistryBuilder builder;
  register_built_in_plugins(builder);
  filter::Registry registry = builder.build();
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
