// Every coding against itself, and against streams that another implementation made (gzip(1), zstd(1), python3-brotli).
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
