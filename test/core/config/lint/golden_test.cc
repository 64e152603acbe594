// What weir lint prints, whole: for every rule test/golden/lint has <rule>.yaml, which breaks it and no other,
// <rule>.txt, what is said of that with its place, and <rule>.ok.yaml, a near miss of which nothing is said.
// WEIR_UPDATE_GOLDEN=1 writes the .txt files anew; read the difference.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "test/core/config/lint/lint_helper.h"

namespace weir::config::lint {
namespace {

std::string contents(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

Diagnostics lint_file(const std::string& name) {
  Diagnostics diagnostics;
  envoy::config::bootstrap::v3::Bootstrap message;
  PositionIndex positions;
  load_bootstrap({name, "", {}}, message, positions, diagnostics);
  EXPECT_TRUE(diagnostics.items().empty()) << diagnostics.text();
  LintOptions options;
  options.now = std::chrono::sys_days(std::chrono::year(2026) / 12 / 20);
  check(message, positions, diagnostics, options);
  return diagnostics;
}

TEST(LintGolden, EveryRule) {
  // So that messages name the file alone, and certificates are found.
  std::filesystem::current_path(std::filesystem::path(WEIR_LINT_GOLDEN_DIR));
  for (const Rule& rule : rules()) {
    const std::string name = rule.id;
    const Diagnostics hit = lint_file(name + ".yaml");
    for (const Diagnostic& item : hit.items()) {
      EXPECT_EQ(item.rule, name);
      EXPECT_GT(item.line, 0) << item.message;
    }
    if (std::getenv("WEIR_UPDATE_GOLDEN") != nullptr) {
      std::ofstream(name + ".txt", std::ios::binary) << hit.text();
    } else {
      EXPECT_EQ(hit.text(), contents(name + ".txt"));
    }
    EXPECT_FALSE(hit.items().empty()) << name;
    EXPECT_EQ(lint_file(name + ".ok.yaml").text(), "");
  }
}

TEST(LintGolden, TheReadmeHasEveryRule) {
  const std::string readme = contents(std::filesystem::path(WEIR_LINT_GOLDEN_DIR) / WEIR_LINT_README);
  for (const Rule& rule : rules()) {
    const std::string row = "| `" + std::string(rule.id) + "` | " +
                            (rule.severity == Severity::kError ? "error" : "warning") + " | " + rule.summary + " | " +
                            rule.reference + " |\n";
    EXPECT_NE(readme.find(row), std::string::npos) << row;
  }
}

}  // namespace
}  // namespace weir::config::lint
