// The place of one character of a value in the text that it was read from: for every kind of value, every character of
// it that libyaml gives, against what stands in the text there.
#include "core/config/source_lines.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "envoy/config/core/v3/base.pb.h"
#include "test/core/config/load_helper.h"

namespace weir::config {
namespace {

using envoy::config::core::v3::Node;

// What stands in the text where byte `offset` of the id should stand; empty: it is not known.
std::string there(const std::string& text, size_t offset) {
  Loaded<Node> loaded(text, {}, text.starts_with('{') && text.ends_with("}") ? "a.json" : "a.yaml");
  EXPECT_TRUE(loaded.ok) << loaded.said();
  const Position start = loaded.index.find("id");
  const auto place = SourceLines("a.yaml", text)
                         .inside({static_cast<uint32_t>(start.line), static_cast<uint32_t>(start.column)}, offset);
  if (!place) return "";
  size_t at = 0;
  for (uint32_t line = 1; line < place->line; ++line) at = text.find('\n', at) + 1;
  for (uint32_t column = 1; column < place->column; ++column) {
    for (++at; at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;) ++at;
  }
  return text.substr(at);
}

// The value holds one X; that is found.
void expect_found(const std::string& text) {
  Loaded<Node> loaded(text, {}, text.starts_with('{') && text.ends_with("}") ? "a.json" : "a.yaml");
  const size_t offset = loaded.message.id().find('X');
  ASSERT_NE(offset, std::string::npos) << text;
  EXPECT_EQ(there(text, offset).substr(0, 1), "X") << text << "\n" << there(text, offset);
}

TEST(SourceLines, EveryWayToWriteAText) {
  for (const char* text : {
           "id: abXcd",
           "id: X",
           "id:   X # comment",
           "id: \xC3\xA4\xE2\x82\xACX",
           "id: 'ab''cXd'",
           "id: 'X'",
           "id: \"ab\\tcXd\"",
           "id: \"\\x41\\u20AC\\U0001F600\\\"X\"",
           "id: \"\\_\\L\\NX\"",
           "id: 'ab\n  cX'",
           "id: \"ab\n\n\n  cX\"",
           "id: \"ab\\\n    cX\"",
           "id: |\n  ab\n  cX\n",
           "id: |-\n    X\n",
           "id: |\n\n  ab\n\n    cX\ncluster: c",
           "id: >\n  ab\n  cd\n\n  eX\n",
           "id: >-\n  aX\n",
           "id: &a abX",
           "id: &a !!str 'abX'",
           "cluster: c\n\nid: abX\n",
           "{id: abX}\n",
           "{cluster: 'c', id: 'abX'}\n",
           "{\"id\": \"ab\\n\\u20ac\\ud83d\\ude00X\"}",
       }) {
    expect_found(text);
  }
}

TEST(SourceLines, WhereItIsNotKnown) {
  EXPECT_EQ(there("id: abc", 3), "");
  EXPECT_EQ(there("id: 'abc'", 3), "");
  EXPECT_EQ(there("id: |\n  abc\n", 9), "");
  EXPECT_EQ(there("id: |2\n  abc\n", 1), "");
  EXPECT_EQ(there("{cluster: &a abc, id: *a}\n", 1).substr(0, 2), "bc");  // where it stands
  // The key that a mapping begins with is no value.
  const SourceLines lines("a.yaml", "id: {a: b}\n\"c d\" : e\n");
  EXPECT_FALSE(lines.inside({1, 1}, 0));
  EXPECT_FALSE(lines.inside({1, 5}, 0));
  EXPECT_FALSE(lines.inside({2, 1}, 0));
  EXPECT_FALSE(lines.inside({9, 1}, 0));
  EXPECT_FALSE(SourceLines("/nonexistent").inside({1, 1}, 0));
  EXPECT_FALSE(SourceLines("/dev/zero").inside({1, 1}, 0));
}

// A fault that is said of a character stands there.
TEST(SourceLines, DiagnosticsPointInside) {
  const std::string path = ::testing::TempDir() + "weir_inside.yaml";
  std::ofstream(path) << "a:\n  - 'x: %FOO% %BAR%'\n";
  Diagnostics diagnostics;
  Diagnostic one;
  one.file = path;
  one.line = 2;
  one.column = 5;
  one.path = "a[0]";
  one.message = std::string("%FOO%: no (at character 4); %% prints %") + '\x1e' + "%BAR%: no (at character 10)";
  diagnostics.add(one);
  one.message = "no (at character 99)";
  diagnostics.add(one);
  std::filesystem::remove(path);
  ASSERT_EQ(diagnostics.items().size(), 3u);
  EXPECT_EQ(diagnostics.errors(), 3u);
  EXPECT_EQ(diagnostics.items()[0].column, 9);
  EXPECT_EQ(diagnostics.items()[1].column, 15);
  EXPECT_EQ(diagnostics.items()[1].message, "%BAR%: no (at character 10)");
  EXPECT_EQ(diagnostics.items()[2].column, 5);
}

}  // namespace
}  // namespace weir::config
