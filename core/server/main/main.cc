// The weir binary.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "core/base/assert.h"
#include "core/base/log.h"
#include "core/base/log_format.h"
#include "core/config/diagnostics.h"
#include "core/filter/registry.h"
#include "core/server/configuration.h"
#include "core/server/main/build_version.h"
#include "core/server/options.h"
#include "core/server/server.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"

namespace weir::server {
namespace {

// Slots of a configuration that will never be published.
class NumberedSlots final : public SlotNames {
 public:
  event::SlotId intern(event::SlotKind kind, std::string_view name) override {
    auto& names = names_[static_cast<size_t>(kind)];
    auto [it, fresh] = names.try_emplace(std::string(name), static_cast<uint32_t>(names.size()));
    return {kind, it->second};
  }

 private:
  std::map<std::string, uint32_t> names_[event::kSlotKinds];
};

int validate(const Options& options, const filter::Registry& registry) {
  stats::Store store;
  config::Diagnostics diagnostics;
  envoy::config::bootstrap::v3::Bootstrap bootstrap;
  NumberedSlots slots;
  Configuration configuration = load_configuration(options, registry, store, slots, bootstrap, diagnostics);
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
      printf("disabled\n");
      return 0;
    case Mode::kListExtensions:
      for (const auto& plugin : registry.list()) {
        printf("%-16s %-48s %s\n", std::string(plugin.kind).c_str(), std::string(plugin.name).c_str(),
               std::string(plugin.type).c_str());
      }
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
  auto parsed = parse_options(std::vector<std::string>(argv + 1, argv + argc));
  if (!parsed.ok()) {
    fprintf(stderr, "weir: %s\n", message_of(parsed.status()).c_str());
    return 2;
  }
  const Options& options = *parsed;
  filter::RegistryBuilder builder;
  register_built_in_plugins(builder);
  filter::Registry registry = builder.build();
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
  signal(SIGPIPE, SIG_IGN);
  Server server(options, registry, build_version());
  if (int code = server.start(); code != 0) return code;
  return server.run();
}

}  // namespace
}  // namespace weir::server

int main(int argc, char** argv) { return weir::server::run(argc, argv); }
