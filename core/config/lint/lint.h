// Says what is legal in a configuration and probably not meant: defaults that bite, routes that no request reaches,
// certificates about to expire. Looks at the whole published API, whether weir implements a part of it or not; what
// weir cannot run is `--mode validate`'s to say. README.md has the rules.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.h"
#include "core/config/diagnostics.h"
#include "core/config/position_index.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace weir::config::lint {

class Model;
class Findings;

struct Rule {
  const char* id;
  Severity severity;  // errors are what the configuration would be refused for, too
  const char* summary;
  const char* reference;  // the field of the API or the RFC that says why
  void (*check)(const Model& model, Findings& findings);
};
// In the order in which they run: what is worst comes first, for not everything may be shown.
std::span<const Rule> rules();
bool is_rule(std::string_view id);

struct LintOptions {
  WallTime now{};  // for certificates
  // Where the configuration is translated as well, that finds the errors, and says them better.
  bool report_errors = true;
  std::vector<std::string> ignored{};  // ids of rules that are left out
  // If there are any: these rules alone, and what they find is an error.
  std::vector<std::string> forbidden{};
  // How many findings are shown, of one rule and in all; one more says how many there are besides.
  size_t of_one_rule = 20;
  size_t in_all = SIZE_MAX;
};

// Adds what it finds, each with its place; nothing about a field about which there is a finding already. Reads
// certificate files. [main]
void check(const envoy::config::bootstrap::v3::Bootstrap& bootstrap, const PositionIndex& positions,
           Diagnostics& diagnostics, const LintOptions& options);

}  // namespace weir::config::lint
