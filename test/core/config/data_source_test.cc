#include "core/config/data_source.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "envoy/config/core/v3/base.pb.h"

namespace weir::config {
namespace {

using envoy::config::core::v3::DataSource;

class DataSourceTest : public testing::Test {
 protected:
  DataSourceTest() {
    char name[] = "/tmp/weir-source-XXXXXX";
    root_ = mkdtemp(name);
  }
  ~DataSourceTest() override { std::filesystem::remove_all(root_); }

  std::string file(const std::string& name, const std::string& content) {
    std::string path = root_ / name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  static DataSource from_file(const std::string& path) {
    DataSource source;
    source.set_filename(path);
    return source;
  }
  // "=content", or "field: message".
  static std::string read(const DataSource& source, SourceLimit limit = {16}) {
    SourceFault fault;
    auto content = read_data_source(source, limit, fault);
    return content.has_value() ? "=" + *content : fault.field + ": " + fault.message;
  }

  std::filesystem::path root_;
};

TEST_F(DataSourceTest, TextBytesFilesVariables) {
  DataSource source;
  source.set_inline_string("text");
  EXPECT_EQ(read(source), "=text");
  source.set_inline_bytes(std::string("\0\xFF", 2));
  EXPECT_EQ(read(source), "=" + std::string("\0\xFF", 2));
  EXPECT_EQ(read(from_file(file("a", std::string("a\0b", 3)))), "=" + std::string("a\0b", 3));
  EXPECT_EQ(read(from_file(file("empty", ""))), "=");
  setenv("WEIR_TEST_SOURCE", "value", 1);
  source.set_environment_variable("WEIR_TEST_SOURCE");
  EXPECT_EQ(read(source), "=value");
}

TEST_F(DataSourceTest, WhatCannotBeReadIsSaidWithItsReason) {
  EXPECT_EQ(read(from_file("/no/such")), "filename: cannot read /no/such: No such file or directory");
  // A key must not be in what is said about it.
  for (const char* content : {"-----BEGIN PRIVATE KEY-----\nMIG\n", "a\nb"})
    EXPECT_EQ(read(from_file(content)),
              "filename: is what stands in a file, and not its name; use inline_string for that");
  EXPECT_EQ(read(from_file(root_)), "filename: cannot read " + root_.string() + ": it is a directory");
  std::string pipe = root_ / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(read(from_file(pipe)), "filename: cannot read " + pipe + ": it is not a regular file");
  if (geteuid() != 0) {  // root may read everything
    std::string secret = file("secret", "x");
    chmod(secret.c_str(), 0);
    EXPECT_EQ(read(from_file(secret)), "filename: cannot read " + secret + ": Permission denied");
  }
  DataSource source;
  EXPECT_EQ(read(source), ": one of filename, inline_string, inline_bytes, environment_variable is required");
  unsetenv("WEIR_TEST_SOURCE");
  source.set_environment_variable("WEIR_TEST_SOURCE");
  EXPECT_EQ(read(source), "environment_variable: \"WEIR_TEST_SOURCE\" is not set");
}

TEST_F(DataSourceTest, ANameIsNotCutAtANulByte) {
  const std::string path = file("a", "x");
  EXPECT_NE(read(from_file(path + std::string("\0.new", 5))).find("there is a NUL byte in this name"),
            std::string::npos);
  setenv("WEIR_TEST_SOURCE", "value", 1);
  DataSource source;
  source.set_environment_variable(std::string("WEIR_TEST_SOURCE\0x", 18));
  EXPECT_NE(read(source).find("is not set"), std::string::npos);
}

TEST_F(DataSourceTest, TheLimitHoldsForEverySource) {
  std::string exact(16, 'x');
  EXPECT_EQ(read(from_file(file("exact", exact))), "=" + exact);
  std::string path = file("more", exact + "y");
  EXPECT_EQ(read(from_file(path)), "filename: " + path + " has 17 bytes; at most 16 are allowed");
  EXPECT_EQ(read(from_file(path), {16, "max_body of the table"}),
            "filename: " + path + " has 17 bytes; at most 16 are allowed (max_body of the table)");
  DataSource source;
  source.set_inline_string(exact + "y");
  EXPECT_EQ(read(source), "inline_string: 17 bytes; at most 16 are allowed");
  source.set_environment_variable("WEIR_TEST_SOURCE");
  setenv("WEIR_TEST_SOURCE", (exact + "y").c_str(), 1);
  EXPECT_EQ(read(source), "environment_variable: 17 bytes; at most 16 are allowed");
  // A file that says nothing of its size.
  EXPECT_EQ(read(from_file("/proc/self/status")),
            "filename: /proc/self/status has too many bytes; at most 16 are allowed");
}

TEST_F(DataSourceTest, TheDigestTellsWhatWasReadApart) {
  DataSource one = from_file("one"), two = from_file("two"), inline_text;
  inline_text.set_inline_string("x");
  SourcesRead a, b, swapped;
  a.add(one, "1");
  a.add(two, "2");
  b.add(two, "2");
  b.add(one, "1");
  EXPECT_EQ(a.digest(), b.digest());
  swapped.add(one, "2");
  swapped.add(two, "1");
  EXPECT_NE(a.digest(), swapped.digest());

  uint64_t mark = a.digest();
  a.add(inline_text, "x");  // part of the message: compared with it
  EXPECT_EQ(a.digest(), mark);
  a.add(one, "3");
  SourcesRead other;
  other.add(one, "3");
  EXPECT_EQ(a.take_since(mark), other.digest());
  EXPECT_EQ(a.digest(), mark);
}

// field: DataSource.watched_directory, WatchedDirectory.path
TEST_F(DataSourceTest, DirectoriesToWatch) {
  SourcesRead sources;
  DataSource source = from_file("/etc/a/body");
  sources.add(source, "1");
  EXPECT_TRUE(sources.directories().empty());
  source.mutable_watched_directory()->set_path("/etc/a");
  sources.add(source, "1");
  EXPECT_EQ(sources.directories(), std::set<std::string>{"/etc/a"});
}

}  // namespace
}  // namespace weir::config
