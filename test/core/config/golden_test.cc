// Broken files and what is said about them: test/golden/config/<name>.{yaml,json} and <name>.txt.
// WEIR_UPDATE_GOLDEN=1 writes the .txt files anew; read the difference.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <vector>

#include "core/config/rules.h"
#include "test/core/config/load_helper.h"

namespace weir::config {
namespace {

std::string contents(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

TEST(Golden, BrokenFiles) {
  const bool update = std::getenv("WEIR_UPDATE_GOLDEN") != nullptr;
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(WEIR_CONFIG_GOLDEN_DIR)) {
    const std::filesystem::path& path = entry.path();
    if (path.extension() != ".yaml" && path.extension() != ".json") {
      continue;
    }
    ++files;
    Loaded<> loaded(contents(path), {}, path.filename().string());
    validate(loaded.message, loaded.index, loaded.diagnostics);
    std::filesystem::path expected = path;
    expected.replace_extension(".txt");
    if (update) {
      std::ofstream(expected, std::ios::binary) << loaded.said();
    } else {
      EXPECT_EQ(loaded.said(), contents(expected)) << path;
    }
  }
  EXPECT_GE(files, 60);
}

// Whatever the bytes are: no crash, and a text that is refused says why.
TEST(Golden, DamagedFiles) {
  const char* seed_text = std::getenv("WEIR_TEST_SEED");
  const unsigned seed =
      seed_text != nullptr ? static_cast<unsigned>(std::strtoul(seed_text, nullptr, 10)) : std::random_device()();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(WEIR_CONFIG_GOLDEN_DIR)) {
    if (entry.path().extension() != ".txt") {
      files.push_back(contents(entry.path()));
    }
  }
  std::sort(files.begin(), files.end());
  LoadOptions options;
  options.alias_budget = 2000;
  for (int round = 0; round < 3000; ++round) {
    std::string text = files[random() % files.size()];
    for (unsigned i = 1 + random() % 4; i > 0 && !text.empty(); --i) {
      const size_t at = random() % text.size();
      switch (random() % 5) {
        case 0:
          text[at] = "{}[]:,-&*!|>'\"%@#?\n\t <~\\\0\xFF"[random() % 26];
          break;
        case 1:
          text.erase(at, random() % 20);
          break;
        case 2:
          text.insert(at, text, random() % text.size(), random() % 40);
          break;
        case 3:
          text.insert(at, 1, "{}[]:,-&*!|>'\"%@#?\n\t <~"[random() % 23]);
          break;
        default:
          text.resize(at);
      }
    }
    for (const char* name : {"a.yaml", "a.json"}) {
      Loaded<> loaded(text, options, name);
      validate(loaded.message, loaded.index, loaded.diagnostics);
      ASSERT_EQ(loaded.ok || loaded.diagnostics.has_errors(), true) << text;
      for (const Diagnostic& item : loaded.diagnostics.items()) {
        ASSERT_GT(item.line, 0) << text << item.message;
        ASSERT_FALSE(item.message.empty());
      }
      (void)loaded.diagnostics.json();
    }
  }
}

}  // namespace
}  // namespace weir::config
