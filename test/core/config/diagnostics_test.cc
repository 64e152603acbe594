// How findings are shown, and which of them are only consequences of others.
#include "core/config/diagnostics.h"

#include <gtest/gtest.h>

#include "test/core/config/load_helper.h"

namespace weir::config {
namespace {

TEST(Diagnostics, LongPathsLoseTheirMiddle) {
  EXPECT_EQ(short_path(""), "");
  EXPECT_EQ(short_path("node.id"), "node.id");
  EXPECT_EQ(short_path("static_resources.clusters[3].name"), "clusters[3].name");
  EXPECT_EQ(short_path("static_resources.clusters[3].load_assignment.endpoints[0].priority"),
            "clusters[3].load_assignment.endpoints[0].priority");
  EXPECT_EQ(
      short_path("static_resources.listeners[0].filter_chains[0].filters[2].typed_config.route_config.virtual_hosts"
                 "[0].routes[2].route.cluster"),
      "listeners[0]...routes[2].route.cluster");
  // Dots of keys are no steps.
  EXPECT_EQ(short_path("static_resources.clusters[0].metadata.filter_metadata[\"envoy.lb.x\"].a"),
            "clusters[0].metadata.filter_metadata[\"envoy.lb.x\"].a");
}

TEST(Diagnostics, Quoted) {
  EXPECT_EQ(shown("word"), "word");
  EXPECT_EQ(in_quotes("word"), "\"word\"");
  EXPECT_EQ(shown("two words"), "\"two words\"");
  EXPECT_EQ(in_quotes(std::string(80, 'x')), "\"" + std::string(60, 'x') + "\"...");
}

Diagnostic error_at(std::string path) {
  Diagnostic out;
  out.path = std::move(path);
  out.message = "later";
  return out;
}

// An error that comes behind many warnings is why the file is refused.
TEST(Diagnostics, WarningsDoNotCrowdOutErrors) {
  Diagnostics all;
  Diagnostic warning = error_at("node");
  warning.severity = Severity::kWarning;
  for (size_t i = 0; i < Diagnostics::kKept + 100; ++i) all.add(warning);
  all.add(error_at("admin"));
  EXPECT_NE(all.text().find("error: admin: later\n"), std::string::npos);
  EXPECT_NE(all.text().find("(100 more are not shown)\n1 error, 1100 warnings\n"), std::string::npos) << all.text();
  EXPECT_EQ(all.nack_text(), "admin: later");
  const std::string json = all.json();
  EXPECT_NE(json.find("\"path\": \"admin\", \"severity\": \"error\""), std::string::npos);
  EXPECT_NE(json.find("{\"severity\": \"warning\", \"message\": \"0 errors and 100 warnings more are not listed\"}"),
            std::string::npos);
  for (size_t i = 0; i < Diagnostics::kKept; ++i) all.add(error_at("admin"));
  EXPECT_EQ(all.errors(), Diagnostics::kKept + 1);
  EXPECT_EQ(all.items().size(), 2 * Diagnostics::kKept);
}

TEST(Diagnostics, ConsequencesAreDropped) {
  Loaded<> loaded(R"(
node: {id: [x], clustr: a}
admin: text
static_resources:
  clusters:
  - {name: a, connect_timeout: 5}
)");
  Diagnostics& all = loaded.diagnostics;
  ASSERT_EQ(all.errors(), 4U) << loaded.said();
  const size_t before = all.items().size();
  for (const char* follows : {"node.id", "node.cluster", "admin.address", "admin.address.socket_address",
                              "static_resources.clusters[0].connect_timeout"}) {
    all.add(error_at(follows));
  }
  for (const char* stays : {"static_resources.clusters[0].name", "static_resources.clusters[0].load_assignment.x",
                            "static_resources.listeners", "stats_flush_interval"}) {
    all.add(error_at(stays));
  }
  all.drop_consequences(before, loaded.index);
  EXPECT_EQ(all.errors(), 4U + 3U) << loaded.said();
  // What is in the file is right or wrong by itself; what is missing may have been misspelt beside it.
  EXPECT_EQ(all.items().at(before).path, "static_resources.clusters[0].name");
  EXPECT_EQ(all.items().at(before + 1).path, "static_resources.clusters[0].load_assignment.x");
  EXPECT_EQ(all.items().at(before + 2).path, "static_resources.listeners");
}

TEST(Diagnostics, WhatIsInsideOfAMisspeltMessageIsNotMissed) {
  Loaded<> loaded(R"(
static_resources:
  listeners:
  - {name: a, addres: {socket_address: {address: 127.0.0.1}}}
  - null
  - {name: c}
)");
  Diagnostics& all = loaded.diagnostics;
  const size_t before = all.items().size();
  for (const char* path :
       {"static_resources.listeners[0].address.socket_address.port_value",
        "static_resources.listeners[1].address.socket_address", "static_resources.listeners[2].address.socket_address"})
    all.add(error_at(path));
  all.drop_consequences(before, loaded.index);
  ASSERT_EQ(all.items().size(), before + 1) << loaded.said();
  EXPECT_EQ(all.items().back().path, "static_resources.listeners[2].address.socket_address");
}

TEST(Diagnostics, WithoutErrorsNothingFollows) {
  Loaded<> loaded("{}");
  loaded.diagnostics.add(error_at("node.id"));
  loaded.diagnostics.drop_consequences(0, loaded.index);
  EXPECT_EQ(loaded.diagnostics.errors(), 1U);
}

TEST(Diagnostics, UnreadableTexts) {
  EXPECT_TRUE(Loaded<>("node: {id: a").diagnostics.unreadable());
  EXPECT_TRUE(Loaded<>("").diagnostics.unreadable());
  EXPECT_FALSE(Loaded<>("nodee: 1").diagnostics.unreadable());
}

}  // namespace
}  // namespace weir::config
