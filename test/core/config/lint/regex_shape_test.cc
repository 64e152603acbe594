#include "core/config/lint/regex_shape.h"

#include <gtest/gtest.h>

namespace weir::config::lint {
namespace {

TEST(RegexShape, PlainerMatchersAreSeen) {
  struct Row {
    const char* regex;
    Shape shape;
    const char* text;
    const char* literal_prefix;
  };
  const Row rows[] = {
      {"/api/.*", Shape::kPrefix, "/api/", "/api/"},
      {"^/api/.*$", Shape::kPrefix, "/api/", "/api/"},
      {"/api/(.*)", Shape::kPrefix, "/api/", "/api/"},
      {"/api(/.*)?", Shape::kSegments, "/api", "/api"},
      {"^/api(?:/.*)?$", Shape::kSegments, "/api", "/api"},
      {"/health", Shape::kExact, "/health", "/health"},
      {"/v1\\.0/x\\-y", Shape::kExact, "/v1.0/x-y", "/v1.0/x-y"},
      {".*\\.example", Shape::kSuffix, ".example", ""},
      {".*admin.*", Shape::kContains, "admin", ""},
      {".*", Shape::kAnything, "", ""},
      // And what they would not say.
      {"", Shape::kOther, "", ""},
      {"/v1.0", Shape::kOther, "", "/v1"},
      {"/api/.+", Shape::kOther, "", "/api/"},
      {"/api/(/.*)?", Shape::kOther, "", "/api/"},
      {".*/api(/.*)?", Shape::kOther, "", ""},
      {"/a|/b", Shape::kOther, "", ""},
      {"/x/(a|b)", Shape::kOther, "", ""},
      {"/a/.*|/b", Shape::kOther, "", ""},
      {"/img/[0-9]+", Shape::kOther, "", "/img/"},
      {"/ab*", Shape::kOther, "", "/a"},
      {"/ab{2}", Shape::kOther, "", "/a"},
      {"/a\\d", Shape::kOther, "", "/a"},
      {"(?i)/api", Shape::kOther, "", ""},
      {"/a.*b", Shape::kOther, "", "/a"},
      {"/a\\", Shape::kOther, "", "/a"},
  };
  for (const Row& row : rows) {
    const RegexShape shape = shape_of(row.regex);
    EXPECT_EQ(shape.shape, row.shape) << row.regex;
    EXPECT_EQ(shape.text, row.text) << row.regex;
    EXPECT_EQ(shape.literal_prefix, row.literal_prefix) << row.regex;
  }
}

}  // namespace
}  // namespace weir::config::lint
