#include "core/server/main/commands.h"

#include <cstdio>

#include "core/config/proto_loader.h"
#include "core/server/change_report.h"
#include "core/server/numbered_slots.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"

namespace weir::server {
namespace {

constexpr std::string_view kDiffUsage =
    "usage: weir diff OLD NEW [--json]\n"
    "Says what a reload from one configuration to the other would change, and what it would drain.\n";

int bad_arguments(const std::string& message, std::string_view usage) {
  fprintf(stderr, "weir: %s\n%.*s", message.c_str(), static_cast<int>(usage.size()), usage.data());
  return 2;
}

// One side of a comparison.
struct Side {
  explicit Side(const std::string& path) { options.config_path = path; }
  // False: what is wrong was printed.
  bool load(const filter::Registry& registry, bool json) {
    NumberedSlots slots;
    configuration = load_configuration(options, registry, store, slots, bootstrap, diagnostics);
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
  for (const std::string& argument : arguments) {
    if (argument == "--json") {
      json = true;
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
  Side before(files[0]), after(files[1]);
  const bool both = before.load(registry, json) & after.load(registry, json);
  if (!both) return 1;
  ChangeReport report(plan_changes(before.inventory, after.inventory), before.inventory, before.bootstrap,
                      after.inventory, after.bootstrap);
  printf("%s", json ? report.json().c_str() : report.text().c_str());
  return 0;
}

}  // namespace

bool is_command(const std::vector<std::string>& arguments) {
  return !arguments.empty() && (arguments.front() == "diff");
}

int run_command(const std::vector<std::string>& arguments, const filter::Registry& registry) {
  return diff({arguments.begin() + 1, arguments.end()}, registry);
}

}  // namespace weir::server
