// The bootstrap as the command line names it, and all that is wrong with it or probably not meant.
#include <algorithm>
#include <filesystem>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "core/config/lint/lint.h"
#include "core/config/proto_loader.h"
#include "core/server/configuration.h"
#include "core/server/numbered_slots.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/core/v3/base.pb.h"

namespace weir::server {

using config::Diagnostics;

namespace {

void override_node(const Options& options, envoy::config::bootstrap::v3::Bootstrap& bootstrap) {
  if (!options.service_node.empty()) bootstrap.mutable_node()->set_id(options.service_node);
  if (!options.service_cluster.empty()) bootstrap.mutable_node()->set_cluster(options.service_cluster);
  if (!options.service_zone.empty()) bootstrap.mutable_node()->mutable_locality()->set_zone(options.service_zone);
}

void translate_for_faults(const envoy::config::bootstrap::v3::Bootstrap& bootstrap,
                          const config::PositionIndex& positions, const Options& options,
                          const filter::Registry& registry, Diagnostics& diagnostics) {
  stats::Store store;
  NumberedSlots slots;
  translate_bootstrap(bootstrap, positions, options, registry, store, slots, diagnostics);
}

// What the bootstrap would be wrong about if it held the fields that others exclude, instead of those.
void find_faults_of_excluded(const config::PositionIndex& positions, const Options& options,
                             const filter::Registry& registry, Diagnostics& diagnostics) {
  if (positions.excluded().empty() || diagnostics.unreadable()) return;
  // A pipe gives its content once.
  std::error_code ignored;
  if (!options.config_path.empty() && !std::filesystem::is_regular_file(options.config_path, ignored)) return;
  envoy::config::bootstrap::v3::Bootstrap bootstrap;
  config::PositionIndex places;
  Diagnostics found;
  read_bootstrap(options, bootstrap, places, found, config::Alternative::kLast);
  translate_for_faults(bootstrap, places, options, registry, found);
  std::set<std::pair<std::string_view, std::string_view>> known;
  for (const config::Diagnostic& item : diagnostics.items()) known.emplace(item.path, item.message);
  std::vector<const config::Diagnostic*> fresh;
  for (const config::Diagnostic& item : found.items()) {
    const auto holds = [&](const std::string& path) {
      return item.path.starts_with(path) &&
             (item.path.size() == path.size() || item.path[path.size()] == '.' || item.path[path.size()] == '[');
    };
    if (std::any_of(positions.excluded().begin(), positions.excluded().end(), holds) &&
        !known.contains({item.path, item.message}))
      fresh.push_back(&item);
  }
  for (const config::Diagnostic* item : fresh) diagnostics.add(*item);
}

}  // namespace

void find_faults(const envoy::config::bootstrap::v3::Bootstrap& bootstrap, const config::PositionIndex& positions,
                 const Options& options, const filter::Registry& registry, Diagnostics& diagnostics) {
  translate_for_faults(bootstrap, positions, options, registry, diagnostics);
  find_faults_of_excluded(positions, options, registry, diagnostics);
  find_forbidden(bootstrap, positions, options, diagnostics);
}

void find_forbidden(const envoy::config::bootstrap::v3::Bootstrap& bootstrap, const config::PositionIndex& positions,
                    const Options& options, Diagnostics& diagnostics) {
  if (options.lint_errors.empty() || diagnostics.unreadable()) return;
  config::lint::LintOptions lint;
  lint.now = system_clock().wall_now();
  lint.forbidden = options.lint_errors;
  config::lint::check(bootstrap, positions, diagnostics, lint);
}

void find_doubts(const envoy::config::bootstrap::v3::Bootstrap& bootstrap, const config::PositionIndex& positions,
                 const Options& options, Doubts doubts, Diagnostics& diagnostics) {
  if (!options.lint || diagnostics.unreadable()) return;
  config::lint::LintOptions lint;
  lint.now = system_clock().wall_now();
  lint.report_errors = false;  // translating has found them
  if (doubts == Doubts::kSome) {
    lint.of_one_rule = 3;
    lint.in_all = 10;
  }
  config::lint::check(bootstrap, positions, diagnostics, lint);
}

void read_bootstrap(const Options& options, envoy::config::bootstrap::v3::Bootstrap& bootstrap,
                    config::PositionIndex& positions, Diagnostics& diagnostics, config::Alternative alternative) {
  config::BootstrapSource source;
  source.path = options.config_path;
  source.overlay = options.config_yaml;
  if (options.allow_unknown_static_fields) source.options.unknown_fields = config::OnUnknown::kWarn;
  // Translating finds them, and knows which places may be left out.
  source.options.unknown_types = config::OnUnknown::kIgnore;
  source.options.alternative = alternative;
  config::load_bootstrap(source, bootstrap, positions, diagnostics);
  if (!diagnostics.unreadable()) override_node(options, bootstrap);
}

Configuration load_configuration(const Options& options, const filter::Registry& registry, stats::Store& store,
                                 SlotNames& slots, envoy::config::bootstrap::v3::Bootstrap& bootstrap,
                                 Diagnostics& diagnostics) {
  config::PositionIndex positions;
  read_bootstrap(options, bootstrap, positions, diagnostics);
  return translate_bootstrap(bootstrap, positions, options, registry, store, slots, diagnostics);
}

}  // namespace weir::server
