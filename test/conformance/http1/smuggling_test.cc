// Runs every line of the corpus: the expected verdict, and the same events however the bytes are cut.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "core/http/chars.h"
#include "test/core/http/h1/transcript.h"

namespace weir::http::h1::test {
namespace {

struct Case {
  int line = 0;
  bool response = false;
  bool eof = false;
  std::string verdict;  // accept, incomplete, or an error name
  size_t complete = 0;  // messages before that
  Settings settings;
  RequestKind kind;
  bool check_body = false;
  std::string body;
  std::string bytes;
};

std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out.push_back(text[i]);
      continue;
    }
    char c = text[++i];
    switch (c) {
      case 'r':
        out.push_back('\r');
        break;
      case 'n':
        out.push_back('\n');
        break;
      case 't':
        out.push_back('\t');
        break;
      case 's':
        out.push_back(' ');
        break;
      case 'p':
        out.push_back('|');
        break;
      case 'x':
        out.push_back(static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])));
        i += 2;
        break;
      case '{': {
        // \{N c}: the character c, N times.
        size_t end = text.find('}', i);
        std::istringstream spec{std::string(text.substr(i + 1, end - i - 1))};
        size_t count = 0;
        std::string what;
        spec >> count >> what;
        for (size_t k = 0; k < count; ++k) out += what == "\\s" ? " " : unescape(what);
        i = end;
        break;
      }
      default:
        out.push_back(c);
    }
  }
  return out;
}

void apply_flag(std::string_view flag, Case& row) {
  Limits& limits = row.settings.limits;
  Options& options = row.settings.options;
  if (flag.starts_with("body=")) {
    row.check_body = true;
    row.body = unescape(flag.substr(5));
  } else if (flag == "response")
    row.response = true;
  else if (flag == "eof")
    row.eof = true;
  else if (flag == "head")
    row.kind.is_head = true;
  else if (flag == "connect")
    row.kind.is_connect = true;
  else if (flag == "upgrade")
    row.kind.is_upgrade = true;
  else if (flag == "http10")
    options.accept_http_10 = true;
  else if (flag == "noabsolute")
    options.allow_absolute_url = false;
  else if (flag == "knownmethods")
    options.allow_custom_methods = false;
  else if (flag == "small")
    limits = {.max_head_bytes = 200, .max_header_count = 4, .max_trailer_bytes = 40, .max_chunk_extension_bytes = 20};
  else
    ADD_FAILURE() << "line " << row.line << ": unknown flag " << flag;
}

std::vector<Case> read_corpus(const char* name) {
  std::ifstream file(std::string(WEIR_CORPUS_DIR) + "/" + name);
  EXPECT_TRUE(file) << name;
  std::vector<Case> cases;
  std::string text;
  for (int number = 1; std::getline(file, text); ++number) {
    if (text.empty() || text[0] == '#') continue;
    size_t first = text.find('|');
    size_t second = text.find('|', first + 1);
    if (second == std::string::npos) {
      ADD_FAILURE() << "line " << number << ": not VERDICT | FLAGS | BYTES";
      continue;
    }
    Case row;
    row.line = number;
    std::istringstream verdict(text.substr(0, first));
    verdict >> row.verdict >> row.complete;
    std::istringstream flags(text.substr(first + 1, second - first - 1));
    for (std::string flag; flags >> flag;) apply_flag(flag, row);
    row.bytes = unescape(trim_spaces(std::string_view(text).substr(second + 1)));
    cases.push_back(std::move(row));
  }
  return cases;
}

Outcome run(const Case& row, const std::vector<size_t>& cuts) {
  if (row.response) return run_client(row.bytes, cuts, row.settings, row.kind, row.eof);
  return run_server(row.bytes, cuts, row.settings);
}

class Smuggling : public testing::TestWithParam<const char*> {};

TEST_P(Smuggling, VerdictAndCuts) {
  uint64_t seed = std::random_device{}();
  if (const char* given = std::getenv("WEIR_SEED")) seed = std::strtoull(given, nullptr, 10);
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::vector<Case> cases = read_corpus(GetParam());
  EXPECT_GE(cases.size(), 50u);
  for (const Case& row : cases) {
    SCOPED_TRACE(std::string(GetParam()) + ":" + std::to_string(row.line));
    Outcome whole = run(row, {});
    if (row.verdict == "accept") {
      EXPECT_EQ(error_name(whole.error), "http1.none") << whole.text;
      EXPECT_EQ(whole.left, "");
      EXPECT_TRUE(whole.idle) << whole.text;
    } else if (row.verdict == "incomplete") {
      EXPECT_EQ(error_name(whole.error), "http1.none") << whole.text;
      EXPECT_FALSE(whole.idle) << whole.text;
    } else {
      EXPECT_EQ(error_name(whole.error), row.verdict) << whole.text;
      EXPECT_TRUE(row.response || (whole.suggested >= 400 && whole.suggested <= 505));
    }
    EXPECT_EQ(whole.complete, row.complete) << whole.text;
    if (row.check_body) {
      EXPECT_EQ(whole.bodies, row.body) << whole.text;
    }

    auto check = [&](const std::vector<size_t>& cuts) {
      Outcome cut = run(row, cuts);
      ASSERT_EQ(cut.text, whole.text);
      if (whole.error == ParseError::kNone) {
        ASSERT_EQ(cut.left, whole.left);
      }
    };
    check(every_byte(row.bytes));
    for (size_t at = 1; at < row.bytes.size() && at < 600; ++at) check({at});
    for (int i = 0; i < 20; ++i) check(random_cuts(row.bytes, random));
  }
}

INSTANTIATE_TEST_SUITE_P(Corpus, Smuggling, testing::Values("smuggling.txt", "responses.txt"), [](const auto& info) {
  return std::string(info.param).substr(0, std::string_view(info.param).find('.'));
});

}  // namespace
}  // namespace weir::http::h1::test
