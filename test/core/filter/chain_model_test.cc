// Random chains, messages, pieces, pauses and limits against the promise: what goes in comes out, in order, once; every
// filter sees all of it; and when something answers or aborts, the client gets a whole answer or a cut one.
#include <gtest/gtest.h>

#include "core/base/random.h"
#include "test/support/filter_harness.h"
#include "test/support/pass_through.h"
#include "test/support/seed.h"

namespace weir::test {
namespace {

std::string random_text(Random& random, size_t size) {
  std::string text(size, ' ');
  for (char& c : text) c = static_cast<char>('a' + random.below(26));
  return text;
}

struct Script {
  std::string body;
  bool length_known = false;
  bool trailers = false;
};

Script random_script(Random& random) {
  Script script;
  if (random.below(4) != 0) script.body = random_text(random, random.below(random.below(3) == 0 ? 20'000 : 200));
  script.trailers = random.below(3) == 0;
  script.length_known = !script.trailers && random.below(2) == 0;
  return script;
}

Headers with_length(Headers headers, const Script& script) {
  if (script.length_known) headers.emplace_back("content-length", std::to_string(script.body.size()));
  return headers;
}

template <class Data>
void send_body(Random& random, const Script& script, Data&& data) {
  std::string_view rest = script.body;
  while (!rest.empty()) {
    size_t size = 1 + random.below(static_cast<uint32_t>(random.below(3) == 0 ? 3 : rest.size()));
    size = std::min(size, rest.size());
    data(rest.substr(0, size), !script.trailers && size == rest.size());
    rest.remove_prefix(size);
  }
  if (script.body.empty() && !script.trailers) data("", true);
}

// How often a filter gave bytes by itself.
uint64_t run_one(uint64_t seed, bool with_answers) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  std::vector<std::shared_ptr<ChaosConfig>> chaos;
  std::vector<filter::HttpFilterEntry> filters;
  for (uint32_t i = 0, count = 1 + random.below(5); i < count; ++i) {
    if (random.below(4) == 0) {
      filters.push_back(five_pass_through_filters()[random.below(5)]);
      continue;
    }
    chaos.push_back(std::make_shared<ChaosConfig>());
    ChaosConfig& config = *chaos.back();
    config.seed = random.next();
    config.pause_percent = random.below(90);
    config.split_percent = random.below(100);
    config.keep_bodies = true;
    if (with_answers) {
      config.answer_per_mille = random.below(100);
      config.abort_per_mille = random.below(50);
    }
    filters.push_back(chaos_entry(chaos.back(), "chaos" + std::to_string(i)));
  }
  Script request = random_script(random);
  Script response = random_script(random);
  uint32_t buffer_limit = random.below(2) == 0 ? 1024 * 1024 : 1 + random.below(2000);
  bool leaves_early = with_answers && random.below(10) == 0;
  {
    FilterHarness harness(filters, {.buffer_limit = buffer_limit});
    if (random.below(2) == 0) harness.respond_early();
    bool nothing = request.body.empty() && !request.trailers;
    harness.send_headers(with_length({{":method", "POST"}, {":path", "/"}}, request), nothing);
    if (!nothing) send_body(random, request, [&](std::string_view data, bool end) { harness.send_data(data, end); });
    if (request.trailers) harness.send_trailers({{"x-end", "q"}});
    nothing = response.body.empty() && !response.trailers;
    harness.respond_headers(with_length({{":status", "200"}}, response), nothing);
    if (!nothing)
      send_body(random, response, [&](std::string_view data, bool end) { harness.respond_data(data, end); });
    if (response.trailers) harness.respond_trailers({{"x-end", "p"}});
    if (leaves_early) {
      harness.run(Duration(random.below(20'000'000)));
      harness.disconnect();
    } else {
      harness.run(20s);
      EXPECT_TRUE(harness.response().ended || harness.aborted());
    }
    bool original = harness.response().header(":status") == "200";
    if (harness.response().ended && original) {
      EXPECT_EQ(harness.response().body, response.body);
      EXPECT_EQ(harness.response().has_trailers, response.trailers);
    } else if (original) {
      EXPECT_EQ(harness.response().body, response.body.substr(0, harness.response().body.size()));
    } else if (harness.response().ended) {
      EXPECT_EQ(harness.response().header(":status"), "418");
      EXPECT_EQ(harness.response().body, "chaos\n");
    }
    EXPECT_EQ(harness.request().body, request.body.substr(0, harness.request().body.size()));
    if (!with_answers && harness.request().ended) {
      EXPECT_EQ(harness.request().body, request.body);
      EXPECT_EQ(harness.request().has_trailers, request.trailers);
    }
    for (const auto& one : chaos) {
      const ChaosConfig::Record& record = *one->record;
      EXPECT_EQ(record.request_body, request.body.substr(0, record.request_body.size()));
      if (!with_answers) {
        EXPECT_EQ(record.response_body, response.body);
      }
    }
  }
  uint64_t injected = 0;
  for (const auto& one : chaos) {
    EXPECT_EQ(one->record->violations, std::vector<std::string>{});
    EXPECT_EQ(one->record->live, 0u);
    injected += one->record->injected;
  }
  return injected;
}

TEST(ChainModel, WhatGoesInComesOut) {
  uint64_t injected = 0;
  for_each_seed(3000, [&](uint64_t seed) { injected += run_one(seed, false); });
  EXPECT_GT(injected, 0u);
}

TEST(ChainModel, AnswersAndAborts) {
  for_each_seed(3000, [](uint64_t seed) { run_one(seed, true); });
}

}  // namespace
}  // namespace weir::test
