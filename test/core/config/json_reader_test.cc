// JSON that is no YAML, and what is not JSON.
#include "core/config/json_reader.h"

#include <gtest/gtest.h>

#include "envoy/config/core/v3/base.pb.h"
#include "test/core/config/load_helper.h"

namespace weir::config {
namespace {

using envoy::config::core::v3::Node;

TEST(JsonReader, WhatYamlWouldNotTake) {
  Loaded<Node> a("{\n\t\"id\":\"\\ud83d\\ude00\\/\\u00fc\",\n\t\"cluster\"\n:\"x\"\n}\n");
  EXPECT_TRUE(a.ok) << a.said();
  EXPECT_EQ(a.message.id(), "\xF0\x9F\x98\x80/\xC3\xBC");
  EXPECT_EQ(a.message.cluster(), "x");
  const std::string key(3000, 'k');
  Loaded<Node> b("{\"metadata\": {\"" + key + "\": 1}}");
  EXPECT_TRUE(b.ok) << b.said();
  EXPECT_EQ(b.message.metadata().fields().count(key), 1U);
}

TEST(JsonReader, FlowYamlIsStillYaml) {
  Loaded<Node> a("{id: a, cluster: 'b', }");
  EXPECT_TRUE(a.ok) << a.said();
  EXPECT_EQ(a.message.cluster(), "b");
}

TEST(JsonReader, IsJson) {
  for (const char* text : {"{}", " [1, -0.5e+3, \"a\\n\", true, false, null, {\"a\": []}] ", "\"x\"", "0"}) {
    EXPECT_TRUE(is_json(text)) << text;
  }
  for (const char* text : {"{",
                           "{a: 1}",
                           "{\"a\" 1}",
                           "{\"a\": 1,}",
                           "[1,]",
                           "[1 2]",
                           "01",
                           "1.",
                           "+1",
                           "'a'",
                           "tru",
                           "truee",
                           "\"a",
                           "\"\\x\"",
                           "\"\\ud800\"",
                           "\"\n\"",
                           "{} {}",
                           "]",
                           "// a\n{}",
                           "{\"a\": 1 # b\n}",
                           "[\"\\ud800\\u0041\"]"}) {
    EXPECT_FALSE(is_json(text)) << text;
  }
}

TEST(JsonReader, Places) {
  const auto said = [](const char* text) {
    Loaded<Node> a(text, {}, "a.json");
    return a.said();
  };
  EXPECT_EQ(said("{\"id\": \"a\",\n \"cluster\" \"b\"}"),
            "a.json:2:12: error: ':' was expected after the key\n1 error\n");
  EXPECT_EQ(said("{\"id\": \"a\"\n \"cluster\": \"b\"}"), "a.json:2:2: error: ',' or '}' was expected\n1 error\n");
  EXPECT_EQ(said("{\"id\": \"a\""), "a.json:1:11: error: the file ends before the last '{' is closed\n1 error\n");
  EXPECT_EQ(said("{\"id\": \"a"), "a.json:1:8: error: a text without its closing '\"'\n1 error\n");
  EXPECT_EQ(said("{} x"), "a.json:1:4: error: something follows the end of the configuration\n1 error\n");
  EXPECT_EQ(said("{\"id\": 5, \"cluster\": [1]}"),
            "a.json:1:22: error: cluster: a text is expected here, not a list\n1 error\n");
  EXPECT_EQ(said(" "), "a.json:1:1: error: the file is empty; write {} if that is meant\n1 error\n");
}

}  // namespace
}  // namespace weir::config
