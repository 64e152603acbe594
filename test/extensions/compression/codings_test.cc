// Every coding against itself. Against other implementations: test/integration/compression_test.py.
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "core/http/content_coding.h"
#include "envoy/extensions/compression/brotli/compressor/v3/brotli.pb.h"
#include "envoy/extensions/compression/brotli/decompressor/v3/brotli.pb.h"
#include "envoy/extensions/compression/gzip/compressor/v3/gzip.pb.h"
#include "envoy/extensions/compression/gzip/decompressor/v3/gzip.pb.h"
#include "envoy/extensions/compression/zstd/compressor/v3/zstd.pb.h"
#include "envoy/extensions/compression/zstd/decompressor/v3/zstd.pb.h"
#include "test/support/plugin_scope.h"
#include "test/support/seed.h"

namespace weir::test {
namespace {

namespace compression = envoy::extensions::compression;
using http::CodingResult;
using http::ContentCoder;
using http::ContentCoding;
using http::Flush;

std::shared_ptr<const ContentCoding> coding_of(const google::protobuf::Message& proto) {
  static PluginScope plugins;
  return std::static_pointer_cast<const ContentCoding>(plugins.extension(proto));
}

struct Pair {
  const char* name;
  std::shared_ptr<const ContentCoding> compressor, decompressor;
};

std::vector<Pair> pairs() {
  return {
      {"gzip", coding_of(compression::gzip::compressor::v3::Gzip()),
       coding_of(compression::gzip::decompressor::v3::Gzip())},
      {"br", coding_of(compression::brotli::compressor::v3::Brotli()),
       coding_of(compression::brotli::decompressor::v3::Brotli())},
      {"zstd", coding_of(compression::zstd::compressor::v3::Zstd()),
       coding_of(compression::zstd::decompressor::v3::Zstd())},
  };
}

struct Outcome {
  CodingResult result = CodingResult::kOk;
  std::string text;
};

// Feeds `text` in pieces of `piece` bytes; the last one with kEnd.
Outcome run(ContentCoder& coder, std::string_view text, size_t piece, Flush each = Flush::kNone) {
  static BlockPool pool;
  Outcome outcome;
  bool end = false;
  while (!end && outcome.result == CodingResult::kOk) {
    Slices in, out;
    std::string_view now = text.substr(0, piece);
    text.remove_prefix(now.size());
    end = text.empty();
    in.append_copy(now, pool);
    outcome.result = coder.process(in, end ? Flush::kEnd : each, out, pool);
    outcome.text += out.to_string();
  }
  return outcome;
}

std::string words(size_t bytes, std::mt19937_64& random) {
  static constexpr std::string_view kWords[] = {"weir ",      "{\"id\":", "},\n",     "proxy",
                                                "0123456789", " the ",    "\"name\":"};
  std::string text;
  while (text.size() < bytes) text += kWords[random() % std::size(kWords)];
  text.resize(bytes);
  return text;
}

// Of two bytes each: what context modelling is for.
std::string cyrillic(size_t letters, std::mt19937_64& random) {
  std::string text;
  for (size_t i = 0; i < letters; ++i) text += {'\xd0', static_cast<char>(0x90 + random() % 48)};
  return text;
}

TEST(Codings, ThereAndBackInAnyPieces) {
  for_each_seed(3, [](uint64_t seed) {
    std::mt19937_64 random(seed);
    for (const Pair& pair : pairs()) {
      EXPECT_EQ(pair.compressor->encoding(), pair.name);
      auto compressor = pair.compressor->make_coder();
      auto decompressor = pair.decompressor->make_coder();
      for (size_t size : {0u, 1u, 100u, 16384u, 300000u}) {
        std::string text = words(size, random);
        for (size_t piece : {size_t{1000}, size_t{1 + random() % 70000}, size + 1}) {
          Flush each = random() % 2 == 0 ? Flush::kNone : Flush::kSync;
          Outcome coded = run(*compressor, text, piece, each);
          ASSERT_EQ(coded.result, CodingResult::kOk);
          Outcome plain = run(*decompressor, coded.text, 1 + random() % 5000, Flush::kSync);
          EXPECT_EQ(plain.result, CodingResult::kOk) << pair.name << " " << size;
          EXPECT_EQ(plain.text == text, true) << pair.name << " " << size;
          compressor->reset();
          decompressor->reset();
        }
      }
    }
  });
}

// What a sync flush is for: the peer can use all that went in so far.
TEST(Codings, SyncFlushGivesEverything) {
  BlockPool pool;
  for (const Pair& pair : pairs()) {
    auto compressor = pair.compressor->make_coder();
    auto decompressor = pair.decompressor->make_coder();
    for (const char* event : {"data: one\n\n", "data: two\n\n", "data: three\n\n"}) {
      Slices in, coded, plain;
      in.append_copy(event, pool);
      ASSERT_EQ(compressor->process(in, Flush::kSync, coded, pool), CodingResult::kOk);
      ASSERT_EQ(decompressor->process(coded, Flush::kSync, plain, pool), CodingResult::kOk);
      EXPECT_EQ(plain.to_string(), event) << pair.name;
    }
  }
}

TEST(Codings, BrokenBodiesAreRefused) {
  for_each_seed(3, [](uint64_t seed) {
    std::mt19937_64 random(seed);
    for (const Pair& pair : pairs()) {
      auto compressor = pair.compressor->make_coder();
      std::string coded = run(*compressor, words(20000, random), 20000).text;
      auto decompressor = pair.decompressor->make_coder();
      EXPECT_EQ(run(*decompressor, coded.substr(0, coded.size() / 2), 100).result, CodingResult::kInvalid) << pair.name;
      decompressor->reset();
      EXPECT_EQ(run(*decompressor, "this is no coded body at all", 100).result, CodingResult::kInvalid) << pair.name;
      decompressor->reset();
      EXPECT_EQ(run(*decompressor, "", 1).result, CodingResult::kInvalid) << pair.name;
      // Anything may come: no crash, and it ends.
      for (int i = 0; i < 200; ++i) {
        std::string noise = coded;
        for (int j = 0; j < 5; ++j) noise[random() % noise.size()] = static_cast<char>(random());
        decompressor->reset();
        run(*decompressor, noise, 1 + random() % 3000);
      }
    }
  });
}

TEST(Codings, BombsAreRefused) {
  std::string zeros(64 << 20, '\0');
  for (const Pair& pair : pairs()) {
    auto compressor = pair.compressor->make_coder();
    std::string coded = run(*compressor, zeros, 1 << 20).text;
    ASSERT_LT(coded.size(), zeros.size() / 100) << pair.name;
    auto decompressor = pair.decompressor->make_coder();
    Outcome outcome = run(*decompressor, coded, 100);
    EXPECT_EQ(outcome.result, CodingResult::kTooLarge) << pair.name;
    EXPECT_LT(outcome.text.size(), 4u << 20) << pair.name;
  }
}

template <class Proto>
std::shared_ptr<const ContentCoding> coding_of(const std::string& text) {
  Proto proto;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &proto)) << text;
  return coding_of(proto);
}

// A setting shows in the coded bytes, which mean the same.
template <class Proto>
void expect_other_bytes(const std::string& base, std::initializer_list<const char*> changes,
                        const ContentCoding& back) {
  std::mt19937_64 random(7);
  std::string text = words(300000, random) + cyrillic(50000, random);
  std::string usual = run(*coding_of<Proto>(base)->make_coder(), text, 1000).text;
  for (const char* change : changes) {
    std::string coded = run(*coding_of<Proto>(base + change)->make_coder(), text, 1000).text;
    EXPECT_EQ(coded == usual, false) << change;
    EXPECT_EQ(run(*back.make_coder(), coded, 1000).text == text, true) << change;
  }
}

// field: gzip.compressor.v3.Gzip.memory_level, Gzip.compression_level, Gzip.compression_strategy
// field: gzip.compressor.v3.Gzip.window_bits
TEST(Codings, GzipSettings) {
  expect_other_bytes<compression::gzip::compressor::v3::Gzip>(
      "",
      {"memory_level { value: 1 }", "compression_level: BEST_SPEED", "compression_level: BEST_COMPRESSION",
       "compression_strategy: HUFFMAN_ONLY", "window_bits { value: 15 }"},
      *pairs()[0].decompressor);
}

// field: Brotli.quality, Brotli.encoder_mode, Brotli.window_bits, Brotli.input_block_bits
// field: Brotli.disable_literal_context_modeling
TEST(Codings, BrotliSettings) {
  using Brotli = compression::brotli::compressor::v3::Brotli;
  expect_other_bytes<Brotli>("", {"quality { value: 7 }", "window_bits { value: 10 }"}, *pairs()[1].decompressor);
  // The library heeds these from quality 5 on.
  expect_other_bytes<Brotli>(
      "quality { value: 5 } ",
      {"encoder_mode: FONT", "input_block_bits { value: 16 }", "disable_literal_context_modeling: true"},
      *pairs()[1].decompressor);
}

// field: Zstd.compression_level, Zstd.enable_checksum, Zstd.strategy
TEST(Codings, ZstdSettings) {
  expect_other_bytes<compression::zstd::compressor::v3::Zstd>(
      "", {"compression_level { value: 12 }", "enable_checksum: true", "strategy: FAST"}, *pairs()[2].decompressor);
}

TEST(Codings, ZstdLevelsThatTheLibraryLacks) {
  PluginScope plugins;
  compression::zstd::compressor::v3::Zstd proto;
  proto.mutable_compression_level()->set_value(23);
  plugins.extension(proto);
  ASSERT_EQ(plugins.error_texts().size(), 1u);
  EXPECT_EQ(plugins.error_texts()[0], "compression_level: 23 is more than the highest level, 22");
}

// field: gzip.decompressor.v3.Gzip.window_bits, Gzip.max_inflate_ratio
TEST(Codings, GunzipSettings) {
  using Gunzip = compression::gzip::decompressor::v3::Gzip;
  std::mt19937_64 random(7);
  auto wide = coding_of<compression::gzip::compressor::v3::Gzip>("window_bits { value: 15 }");
  std::string far = run(*wide->make_coder(), words(300000, random), 300000).text;
  EXPECT_EQ(run(*coding_of<Gunzip>("")->make_coder(), far, 1000).result, CodingResult::kOk);
  EXPECT_EQ(run(*coding_of<Gunzip>("window_bits { value: 9 }")->make_coder(), far, 1000).result,
            CodingResult::kInvalid);
  std::string zeros = run(*wide->make_coder(), std::string(1 << 20, '\0'), 1 << 20).text;
  EXPECT_EQ(run(*coding_of<Gunzip>("max_inflate_ratio { value: 1032 }")->make_coder(), zeros, 1000).result,
            CodingResult::kOk);
  EXPECT_EQ(run(*coding_of<Gunzip>("")->make_coder(), zeros, 1000).result, CodingResult::kTooLarge);
}

TEST(Codings, GzipOfSeveralMembers) {
  auto gzip = pairs()[0];
  auto compressor = gzip.compressor->make_coder();
  std::string first = run(*compressor, "one ", 10).text;
  compressor->reset();
  std::string second = run(*compressor, "two", 10).text;
  auto decompressor = gzip.decompressor->make_coder();
  Outcome outcome = run(*decompressor, first + second, 7);
  EXPECT_EQ(outcome.result, CodingResult::kOk);
  EXPECT_EQ(outcome.text, "one two");
}

TEST(Codings, WhatFollowsTheEndIsIgnored) {
  std::mt19937_64 random(7);
  const std::string text = words(20000, random);
  for (const Pair& pair : pairs()) {
    if (pair.compressor->encoding() == "zstd") continue;  // has frames of its own for that (RFC 8878 3.1.2)
    const std::string coded = run(*pair.compressor->make_coder(), text, 20000).text;
    auto decompressor = pair.decompressor->make_coder();
    for (const std::string& more : {std::string(8, '\0'), std::string("junk"), "x" + coded}) {
      for (size_t piece : {size_t{1}, coded.size(), 2 * coded.size() + 1}) {
        Outcome outcome = run(*decompressor, coded + more, piece);
        EXPECT_EQ(outcome.result, CodingResult::kOk) << pair.name;
        EXPECT_EQ(outcome.text == text, true) << pair.name;
        decompressor->reset();
      }
    }
  }
}

TEST(Codings, WhatCodersHold) {
  constexpr uint64_t kKiB = 1024, kNothing = 0, kAll = uint64_t{1} << 40;
  const auto all = pairs();
  EXPECT_EQ(all[0].compressor->state_bytes(kNothing), 32 * kKiB);
  EXPECT_EQ(all[0].compressor->state_bytes(kAll), 32 * kKiB);
  // Tables, and what comes of the body, up to twice the window.
  const ContentCoding& brotli = *all[1].compressor;
  EXPECT_GT(brotli.state_bytes(kNothing), 200 * kKiB);
  EXPECT_LT(brotli.state_bytes(kNothing), 500 * kKiB);
  EXPECT_EQ(brotli.state_bytes(1000), brotli.state_bytes(kNothing) + 1000);
  EXPECT_EQ(brotli.state_bytes(kAll), brotli.state_bytes(kNothing) + 512 * kKiB);
  const auto best =
      coding_of<compression::brotli::compressor::v3::Brotli>("quality { value: 11 } window_bits { value: 24 }");
  EXPECT_LT(best->state_bytes(10 * kKiB), 4096 * kKiB);
  EXPECT_GT(best->state_bytes(kAll), 160 * 1024 * kKiB);
  const ContentCoding& zstd = *all[2].compressor;
  EXPECT_GT(zstd.state_bytes(kNothing), 500 * kKiB);
  EXPECT_LT(zstd.state_bytes(kNothing), 2048 * kKiB);
  EXPECT_EQ(zstd.state_bytes(kAll), zstd.state_bytes(kNothing) + 1024 * kKiB);
}

TEST(Codings, PoolLendsTheSameCoderAgain) {
  http::CoderPool pool(pairs()[0].compressor);
  BlockPool blocks;
  std::string first;
  for (int i = 0; i < 3; ++i) {
    http::CoderPool::Lent coder = pool.take(1);
    Slices in, out;
    in.append_copy("the same text", blocks);
    coder->process(in, i == 1 ? Flush::kSync : Flush::kEnd, out, blocks);  // the second is given back unfinished
    if (i == 0) first = out.to_string();
    if (i == 2) {
      EXPECT_EQ(out.to_string(), first);
    }
  }
}

}  // namespace
}  // namespace weir::test
