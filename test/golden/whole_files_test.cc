// What `weir --mode validate` says about whole bootstraps, with the plugins of this build: <name>.{yaml,json} and
// <name>.txt. config/whole holds mistakes that only the whole shows (names, order, what a plugin refuses); shapes holds
// bootstraps as people write them, with what weir does not do yet. WEIR_UPDATE_GOLDEN=1 writes the .txt files anew;
// read the difference.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/config/proto_loader.h"
#include "core/filter/registry.h"
#include "core/server/configuration.h"
#include "core/stream/log_writer.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"

namespace weir::server {
namespace {

std::string contents(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string validated(const std::string& path) {
  filter::RegistryBuilder builder;
  register_built_in_plugins(builder);
  const filter::Registry registry = builder.build();
  config::Diagnostics diagnostics;
  config::PositionIndex positions;
  envoy::config::bootstrap::v3::Bootstrap bootstrap;
  config::load_bootstrap({path, "", {}}, bootstrap, positions, diagnostics);
  Options options;
  options.config_path = path;
  find_faults(bootstrap, positions, options, registry, diagnostics);
  return diagnostics.text();
}

void compare(const std::string& folder, int at_least) {
  std::filesystem::current_path(std::filesystem::path(WEIR_GOLDEN_DIR) /
                                folder);  // so that messages name the file alone
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(".")) {
    const std::filesystem::path& path = entry.path();
    if (path.extension() != ".yaml" && path.extension() != ".json") {
      continue;
    }
    ++files;
    const std::string said = validated(path.filename().string());
    std::filesystem::path expected = path;
    expected.replace_extension(".txt");
    if (std::getenv("WEIR_UPDATE_GOLDEN") != nullptr) {
      std::ofstream(expected, std::ios::binary) << said;
    } else {
      EXPECT_EQ(said, contents(expected)) << folder << "/" << path.filename();
    }
  }
  EXPECT_GE(files, at_least);
}

TEST(WholeFiles, Mistakes) { compare("config/whole", 1); }
TEST(WholeFiles, Shapes) { compare("shapes", 1); }

}  // namespace
}  // namespace weir::server
