// What is common to all rules: severities, limits, what is left out, and that no file brings it down.
#include <cctype>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "test/core/config/lint/lint_helper.h"

namespace weir::config::lint {
namespace {

const std::string kBad = bootstrap(listener("{match: {prefix: /}, route: {cluster: nowhere}}", "", "127.0.0.1"), one(),
                                   "admin: {address: {socket_address: {address: 0.0.0.0, port_value: 1}}}\n");

TEST(Lint, TheTableIsWellFormed) {
  std::set<std::string> ids;
  for (const Rule& rule : rules()) {
    EXPECT_TRUE(ids.insert(rule.id).second) << rule.id;
    for (const char c : std::string(rule.id)) EXPECT_TRUE(std::islower(c) || c == '-') << rule.id;
    EXPECT_TRUE(is_rule(rule.id));
    EXPECT_FALSE(std::string(rule.summary).empty());
    EXPECT_FALSE(std::string(rule.reference).empty());
  }
  EXPECT_FALSE(is_rule("no-such-rule"));
  EXPECT_GE(rules().size(), 25u);
}

TEST(Lint, FindingsHaveTheirPlaceAndTheirRule) {
  auto linted = lint_text(kBad);
  ASSERT_EQ(linted.count("admin-exposed"), 1u);
  for (const Diagnostic& item : linted.diagnostics.items()) {
    EXPECT_EQ(item.file, "edge.yaml");
    EXPECT_GT(item.line, 0);
    EXPECT_FALSE(item.hint.empty());
    EXPECT_NE(item.message.find("[" + item.rule + "]"), std::string::npos);
  }
  EXPECT_NE(linted.diagnostics.json().find("\"rule\": \"admin-exposed\""), std::string::npos);
}

TEST(Lint, Severities) {
  EXPECT_EQ(lint_text(kBad).diagnostics.errors(), 1u);  // the unknown cluster
  EXPECT_EQ(lint_text(kBad, {.report_errors = false}).diagnostics.errors(), 0u);
  EXPECT_EQ(lint_text(kBad, {.ignored = {"admin-exposed"}}).count("admin-exposed"), 0u);
}

TEST(Lint, OneOfAKindMayComeOften) {
  std::string clusters;
  for (int i = 0; i < 50; ++i) clusters += (i > 0 ? ", " : "") + cluster("c" + std::to_string(i), {"127.0.0.1"});
  auto linted = lint_text(bootstrap("", clusters));
  const auto said = linted.of("unused-cluster");
  ASSERT_EQ(said.size(), 21u);
  EXPECT_EQ(said.back(), "static_resources.clusters[19]: and 30 more of this kind [unused-cluster]");
}

// At start only a few are wanted.
TEST(Lint, OfAllNoMoreThanWanted) {
  std::string clusters;
  for (int i = 0; i < 50; ++i) clusters += (i > 0 ? ", " : "") + cluster("c" + std::to_string(i), {});
  const std::string text =
      bootstrap("", clusters, "admin: {address: {socket_address: {address: 0.0.0.0, port_value: 1}}}\n");
  const auto few = lint_text(text, {.of_one_rule = 3, .in_all = 10}).of();
  ASSERT_EQ(few.size(), 5u);  // the admin interface, three of the clusters, and how many more
  EXPECT_EQ(few.back(), "static_resources.clusters[2]: and 47 more of this kind [unused-cluster]");
  const auto fewer = lint_text(text, {.of_one_rule = 3, .in_all = 2}).of();
  ASSERT_EQ(fewer.size(), 3u);
  EXPECT_EQ(fewer.back(), ": and 49 more findings; weir lint -c FILE shows them");
}

// What seems to be unused may be what a misspelt name meant.
TEST(Lint, InAWrongFileNothingIsCalledUnused) {
  const auto linted = lint_text(bootstrap(listener("{match: {prefix: /}, route: {cluster: onee}}"), one()));
  EXPECT_EQ(linted.count("unknown-cluster"), 1u);
  EXPECT_EQ(linted.count("unused-cluster"), 0u);
}

TEST(Lint, WhatIsSaidAlreadyIsNotSaidAgain) {
  Diagnostics diagnostics;
  envoy::config::bootstrap::v3::Bootstrap message;
  PositionIndex positions;
  ASSERT_TRUE(load_message(kBad, "edge.yaml", message, positions, diagnostics));
  Diagnostic wrong;
  wrong.path = "admin.address";
  wrong.message = "is wrong anyway";
  diagnostics.add(wrong);
  check(message, positions, diagnostics, {.now = kNow});
  for (const Diagnostic& item : diagnostics.items()) EXPECT_NE(item.rule, "admin-exposed");
}

// Everything that the tests of the loader have, broken or not.
TEST(Lint, NoFileBringsItDown) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(WEIR_CONFIG_GOLDEN_DIR)) {
    if (entry.path().extension() == ".txt") continue;
    std::ifstream in(entry.path(), std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    Diagnostics diagnostics;
    envoy::config::bootstrap::v3::Bootstrap message;
    PositionIndex positions;
    load_message(text.str(), entry.path().filename().string(), message, positions, diagnostics);
    check(message, positions, diagnostics, {.now = kNow});
    ++files;
  }
  EXPECT_GE(files, 60);
}

}  // namespace
}  // namespace weir::config::lint
