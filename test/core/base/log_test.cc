#include "core/base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "core/base/log_format.h"

namespace weir::log {
namespace {

std::string formatted(std::string_view pattern, std::string_view text = "a \"b\"\nc\x01", bool colour = false,
                      bool escape = false) {
  auto format = LineFormat::compile(pattern, escape);
  if (!format.ok()) return "error: " + message_of(format.status());
  Line line;
  line.time = {1'700'000'000, 7'008'009};  // 2023-11-14 22:13:20
  line.level = "warning";
  line.component = "net";
  line.text = text;
  line.file = "core/net/x.cc";
  line.source_line = 7;
  line.function = "f";
  line.thread = 42;
  line.colour = colour;
  std::string out;
  format->append(line, out);
  return out;
}

TEST(LogFormatTest, Flags) {
  EXPECT_EQ(formatted(LineFormat::kDefault, "hello"), "[2023-11-14 22:13:20.007][42][warning][net] hello");
  EXPECT_EQ(formatted("%D %H-%M-%S %e %f %F %z %E"), "11/14/23 22-13-20 007 007008 007008009 +00:00 1700000000");
  EXPECT_EQ(formatted("%a %A %b %B %h %d %y %C"), "Tue Tuesday Nov November Nov 14 23 23");
  EXPECT_EQ(formatted("%c|%x|%X|%I %p|%r|%R"), "Tue Nov 14 22:13:20 2023|11/14/23|22:13:20|10 PM|10:13:20 PM|22:13");
  EXPECT_EQ(formatted("%g:%# %s %! %@"), "core/net/x.cc:7 x.cc f x.cc:7");
  EXPECT_EQ(formatted("%L %P 100%%"), "W " + std::to_string(getpid()) + " 100%");
  EXPECT_EQ(formatted("%v"), "a \"b\"\nc\x01");
  EXPECT_EQ(formatted("%_"), "a \"b\"\\nc\\x01");
  EXPECT_EQ(formatted("{\"text\": \"%j\"}"), "{\"text\": \"a \\\"b\\\"\\nc\\u0001\"}");
  EXPECT_EQ(formatted("%v", "a\nb", false, true), "a\\nb");
  EXPECT_EQ(formatted("%^%l%$", "", false), "warning");
  EXPECT_EQ(formatted("%^%l%$", "", true), "\033[33;1mwarning\033[0m");
  EXPECT_EQ(formatted(""), "");
}

TEST(LogFormatTest, ErrorsNameTheFlag) {
  EXPECT_EQ(formatted("%v %"), "error: ends with a single %; %% prints a percent sign");
  EXPECT_EQ(formatted("%8l").substr(0, 32), "error: %8 is not one of %a %A %b");
}

class LogTest : public testing::Test {
 protected:
  LogTest() {
    int fd = mkstemp(path_);
    close(fd);
    EXPECT_TRUE(set_path(path_));
  }
  ~LogTest() override {
    set_path("");
    set_level(Level::kInfo);
    EXPECT_TRUE(set_format(LineFormat::kDefault, false).ok());
    unlink(path_);
  }
  std::string lines() {
    std::stringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  char path_[32] = "/tmp/weir-log-test-XXXXXX";
};

TEST_F(LogTest, EachComponentHasALevel) {
  ASSERT_TRUE(set_format("%l %n %v", false).ok());
  int evaluated = 0;
  WEIR_LOG(kDebug, "net", "not shown %d", ++evaluated);
  set_component_level(component_index("net"), Level::kDebug);
  set_component_level(component_index("server"), Level::kError);
  WEIR_LOG(kDebug, "net", "shown %d", ++evaluated);
  WEIR_LOG(kWarning, "server", "not shown %d", ++evaluated);
  WEIR_LOG(kInfo, "log", "shown, too");
  set_level(Level::kOff);
  WEIR_LOG(kCritical, "net", "not shown");
  EXPECT_EQ(lines(), "debug net shown 1\ninfo log shown, too\n");
  EXPECT_EQ(evaluated, 1);
}

TEST_F(LogTest, LinesKnowTheirPlace) {
  ASSERT_TRUE(set_format("%g:%# %! %v", false).ok());
  WEIR_LOG(kInfo, "log", "here");
  const std::string line = std::to_string(__LINE__ - 1);
  write(Level::kInfo, "plugin", {}, "there");
  EXPECT_EQ(lines(), "test/core/base/log_test.cc:" + line + " TestBody here\n:  there\n");
}

TEST_F(LogTest, NamesOfLevels) {
  Level level;
  for (const char* name : {"trace", "debug", "info", "warning", "error", "critical", "off"}) {
    ASSERT_TRUE(parse_level(name, level));
    EXPECT_EQ(level_name(level), name);
  }
  EXPECT_TRUE(parse_level("warn", level) && level == Level::kWarning);
  EXPECT_FALSE(parse_level("loud", level));
}

TEST_F(LogTest, ALongTextIsCutAndStaysOneLine) {
  ASSERT_TRUE(set_format("%v", false).ok());
  WEIR_LOG(kInfo, "log", "%s", std::string(10'000, 'x').c_str());
  EXPECT_EQ(lines(), std::string(4095, 'x') + "\n");
}

// Nobody reads: the first line that finds no room waits for a moment, all others cost nothing, and the number is told.
TEST_F(LogTest, AReaderThatStandsStill) {
  const std::string path = "/tmp/weir-log-test-" + std::to_string(getpid());
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const int reader = open(path.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  ASSERT_TRUE(set_path(path));
  const auto take = [reader] {
    std::string all;
    char piece[65536];
    ssize_t size;
    while ((size = read(reader, piece, sizeof piece)) > 0) all.append(piece, static_cast<size_t>(size));
    return all;
  };
  constexpr int kLines = 5000;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kLines; ++i) write(Level::kInfo, "log", {}, "line %d", i);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  const std::string first = take();
  EXPECT_TRUE(first.ends_with('\n'));
  const auto come = std::count(first.begin(), first.end(), '\n');
  EXPECT_GT(come, 500);
  write(Level::kInfo, "log", {}, "there again");
  const std::string second = take();
  EXPECT_NE(second.find("[warning][log] nobody has read the log for a while: " + std::to_string(kLines - come) +
                        " lines are lost\n"),
            std::string::npos)
      << second;
  EXPECT_TRUE(second.ends_with("there again\n")) << second;
  write(Level::kInfo, "log", {}, "%s", std::string(4090, 'x').c_str());  // one piece in any case
  EXPECT_EQ(take().size(), 4096u);
  set_path("");
  close(reader);
  unlink(path.c_str());
}

}  // namespace
}  // namespace weir::log
