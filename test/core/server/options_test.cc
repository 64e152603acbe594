#include "core/server/options.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace weir::server {
namespace {

Options parsed(std::vector<std::string> arguments) {
  auto options = parse_options(arguments);
  EXPECT_TRUE(options.ok()) << options.status();
  return options.ok() ? *options : Options();
}

std::string error(std::vector<std::string> arguments) { return message_of(parse_options(arguments).status()); }

TEST(OptionsTest, Values) {
  Options options = parsed({"-c",
                            "a.yaml",
                            "--concurrency=3",
                            "-l",
                            "debug",
                            "--drain-time-s",
                            "7",
                            "--drain-strategy",
                            "immediate",
                            "--service-node",
                            "n",
                            "--service-cluster=c",
                            "--service-zone",
                            "z",
                            "--stats-tag",
                            "pod:a:b",
                            "--stats-tag",
                            "env:prod",
                            "--log-format",
                            "%v",
                            "--log-format-escaped",
                            "--unknown-extensions",
                            "passthrough",
                            "--mode",
                            "init_only"});
  EXPECT_EQ(options.config_path, "a.yaml");
  EXPECT_EQ(options.concurrency, 3u);
  EXPECT_EQ(options.log_level, log::Level::kDebug);
  EXPECT_EQ(options.drain_seconds, 7u);
  EXPECT_EQ(options.drain_strategy, DrainStrategy::kImmediate);
  EXPECT_EQ(options.service_node + options.service_cluster + options.service_zone, "ncz");
  ASSERT_EQ(options.stats_tags.size(), 2u);
  EXPECT_EQ(options.stats_tags[0].name, "pod");
  EXPECT_EQ(options.stats_tags[0].value, "a:b");
  EXPECT_EQ(options.log_format, "%v");
  EXPECT_TRUE(options.log_format_escaped);
  EXPECT_TRUE(options.passthrough_unknown_extensions);
  EXPECT_EQ(options.mode, Mode::kInitOnly);
  EXPECT_TRUE(options.without_effect.empty());
  EXPECT_EQ(parsed({"--hot-restart-version"}).mode, Mode::kHotRestartVersion);
}

TEST(OptionsTest, ErrorsSayWhatIsAllowed) {
  EXPECT_EQ(error({"--drain-time"}), "unknown argument --drain-time; did you mean --drain-time-s?");
  EXPECT_EQ(error({"--completely-else"}), "unknown argument --completely-else; weir --help lists all");
  EXPECT_EQ(error({"a.yaml"}), "unknown argument a.yaml; a configuration is given with -c FILE; weir --help lists all");
  EXPECT_EQ(error({"-c"}), "-c needs a value");
  EXPECT_EQ(error({"--json=1"}), "--json takes no value");
  EXPECT_EQ(error({"--mode", "dance"}), "--mode: \"dance\" is not one of serve, validate, init_only");
  EXPECT_EQ(error({"--drain-strategy", "slow"}), "--drain-strategy: \"slow\" is not one of gradual, immediate");
  EXPECT_EQ(error({"--unknown-extensions", "x"}), "--unknown-extensions: \"x\" is not one of reject, passthrough");
  EXPECT_EQ(error({"--concurrency", "-1"}), "--concurrency: \"-1\" is not a whole number");
  EXPECT_EQ(error({"--concurrency", "4096"}), "--concurrency: 4096 is too large; at most 255");
  EXPECT_EQ(error({"--drain-time-s", "99999999999999999999"}),
            "--drain-time-s: 99999999999999999999 is too large; at most 1000000000");
  EXPECT_EQ(error({"--log-level", "loud"}),
            "--log-level: \"loud\" is not one of trace, debug, info, warning, error, critical, off");
  EXPECT_EQ(error({"--log-format", "%k"}).substr(0, 36), "--log-format: %k is not one of %a %A");
  EXPECT_EQ(error({"--stats-tag", "pod"}), "--stats-tag: \"pod\" is not name:value");
  EXPECT_EQ(error({"--stats-tag", "le:x"}),
            "--stats-tag: \"le\" is a label that Prometheus gives a meaning; take another name");
  EXPECT_EQ(error({"--stats-tag", "po-d:x"}), "--stats-tag: \"po-d\": a name has letters, digits and underscores only");
  EXPECT_EQ(error({"--stats-tag", "pod:a.b"}),
            "--stats-tag: \"a.b\": a value has no dots, which separate the parts of a statistic's name");
  EXPECT_EQ(error({"--stats-tag", "a:b", "--stats-tag", "a:c"}), "--stats-tag: \"a\" is given twice");
  EXPECT_EQ(error({"--shutdown-delay-s", "25"}),
            "--shutdown-delay-s: 25 leaves no time for draining; --shutdown-deadline-s is 25");
}

TEST(OptionsTest, ComponentLevels) {
  Options options = parsed({"--component-log-level", "net:debug,upstream:err,misc:error"});
  ASSERT_EQ(options.component_levels.size(), 2u);
  EXPECT_EQ(options.component_levels[0], std::pair(log::component_index("net"), log::Level::kDebug));
  EXPECT_EQ(options.component_levels[1], std::pair(log::component_index("upstream"), log::Level::kError));
  // Components of other proxies are no reason not to start.
  ASSERT_EQ(options.without_effect.size(), 1u);
  EXPECT_EQ(options.without_effect[0].find("--component-log-level misc:error: weir has no such component; it has "),
            0u);
  EXPECT_EQ(error({"--component-log-level", "net"}),
            "--component-log-level: \"net\" is not component:level; write net:debug");
  EXPECT_EQ(error({"--component-log-level", "net:loud"}),
            "--component-log-level: \"loud\" is not one of trace, debug, info, warning, error, critical, off");
}

TEST(OptionsTest, WhatIsNotBuiltYetIsRefusedOrSaid) {
  // The published defaults ask for nothing.
  EXPECT_TRUE(
      parsed({"--restart-epoch", "0", "--base-id", "0", "--parent-shutdown-time-s", "900", "--disable-hot-restart"})
          .without_effect.empty());
  Options options = parsed({"--base-id", "1", "--parent-shutdown-time-s", "60", "--reject-unknown-dynamic-fields",
                            "--ignore-unknown-dynamic-fields", "--enable-fine-grain-logging"});
  ASSERT_EQ(options.without_effect.size(), 3u);
  for (const char* flag :
       {"--reject-unknown-dynamic-fields: ", "--ignore-unknown-dynamic-fields: ", "--enable-fine-grain-logging: "}) {
    bool said = std::any_of(options.without_effect.begin(), options.without_effect.end(),
                            [&](const std::string& line) { return line.starts_with(flag); });
    EXPECT_TRUE(said) << flag;
  }
}

TEST(OptionsTest, Restarts) {
  const Options defaults = parsed({});
  EXPECT_TRUE(defaults.hot_restart);
  EXPECT_FALSE(defaults.restart);
  EXPECT_EQ(defaults.socket_path, "@weir_restart_" + std::to_string(getuid()));
  EXPECT_EQ(defaults.socket_mode, 0600u);
  EXPECT_TRUE(parsed({"--restart"}).restart);
  EXPECT_FALSE(parsed({"--restart-epoch", "0"}).restart);
  const Options third = parsed({"--restart-epoch", "2", "--base-id", "7", "--socket-path", "/run/weir", "--socket-mode",
                                "660", "--parent-shutdown-time-s", "60"});
  EXPECT_TRUE(third.restart);
  EXPECT_TRUE(third.restart_address_given);
  EXPECT_EQ(third.restart_epoch, 2u);
  EXPECT_EQ(third.socket_mode, 0660u);
  EXPECT_EQ(third.parent_shutdown_seconds, 60u);
  EXPECT_FALSE(parsed({"--disable-hot-restart"}).hot_restart);
  EXPECT_EQ(error({"--socket-mode", "888"}), "--socket-mode: \"888\" is no mode of a file, like 600");
  EXPECT_EQ(error({"--socket-path", "weir"}),
            "--socket-path: \"weir\" is neither a path that begins with / nor an abstract name like @weir");
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"--restart", "--disable-hot-restart"},
                                                {"--restart", "--use-dynamic-base-id"},
                                                {"--restart", "--mode", "init_only"},
                                                {"--restart", "--restart-epoch", "1"},
                                                {"--use-dynamic-base-id", "--base-id", "1"}})
    EXPECT_NE(error(wrong), "");
}

TEST(OptionsTest, HelpNamesEveryFlagAndFitsTwoScreens) {
  std::string help = help_text();
  for (const char* flag : {"--config-path",
                           "--config-yaml",
                           "--mode",
                           "--concurrency",
                           "--log-level",
                           "--component-log-level",
                           "--log-path",
                           "--log-format",
                           "--log-format-escaped",
                           "--service-cluster",
                           "--service-node",
                           "--service-zone",
                           "--drain-time-s",
                           "--drain-strategy",
                           "--parent-shutdown-time-s",
                           "--restart-epoch",
                           "--base-id",
                           "--disable-hot-restart",
                           "--admin-address-path",
                           "--stats-tag",
                           "--file-flush-interval-msec",
                           "--version",
                           "--shutdown-delay-s",
                           "--shutdown-deadline-s",
                           "--unknown-extensions",
                           "--allow-unknown-static-fields",
                           "--reject-unknown-dynamic-fields",
                           "--ignore-unknown-dynamic-fields",
                           "--json",
                           "--list-extensions",
                           "--hot-restart-version",
                           "--enable-fine-grain-logging"}) {
    EXPECT_NE(help.find(flag), std::string::npos) << flag;
  }
  EXPECT_LE(std::count(help.begin(), help.end(), '\n'), 80);
  size_t width = 0;
  for (size_t at = 0, end; (end = help.find('\n', at)) != std::string::npos; at = end + 1)
    width = std::max(width, end - at);
  EXPECT_LE(width, 120u);
}

}  // namespace
}  // namespace weir::server
