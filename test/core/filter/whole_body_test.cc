// Whole bodies: declared in the descriptor or asked for in the headers hook, with and without an end, and their limits.
#include <gtest/gtest.h>

#include "test/core/filter/scripted_filter.h"

namespace weir::test {
namespace {

enum class Asks { kDeclared, kInHook };

std::shared_ptr<Script> whole_request(Asks asks, uint32_t limit) {
  auto script = make_script();
  (asks == Asks::kDeclared ? script->whole_request : script->buffer_request) = limit;
  return script;
}
std::shared_ptr<Script> whole_response(Asks asks, uint32_t limit) {
  auto script = make_script();
  (asks == Asks::kDeclared ? script->whole_response : script->buffer_response) = limit;
  return script;
}

class WholeBody : public ::testing::TestWithParam<Asks> {};

TEST_P(WholeBody, DataHookRunsOnceWithEverything) {
  auto script = whole_request(GetParam(), 100);
  FilterHarness harness({scripted(script)});
  harness.send_headers({{":method", "POST"}});
  harness.send_data("abc");
  harness.send_data("def");
  harness.run(20ms);
  EXPECT_FALSE(harness.request().has_headers);  // nothing passes before the end is there
  harness.send_data("ghi", true);
  harness.run(20ms);
  EXPECT_EQ(script->record->events, "qH qD9.");
  EXPECT_EQ(harness.request().body, "abcdefghi");
  EXPECT_TRUE(harness.request().ended);
}

TEST_P(WholeBody, TrailersEndTheBody) {
  auto script = whole_request(GetParam(), 100);
  FilterHarness harness({scripted(script)});
  harness.send_headers({{":method", "POST"}});
  harness.send_data("abc");
  harness.send_trailers({{"x-end", "1"}});
  harness.run(20ms);
  EXPECT_EQ(script->record->events, "qH qD3 qT.");
  EXPECT_EQ(harness.request().body, "abc");
  EXPECT_EQ(harness.request().trailer("x-end"), "1");
}

TEST_P(WholeBody, NoBodyIsNoWait) {
  auto script = whole_request(GetParam(), 100);
  FilterHarness harness({scripted(script)});
  harness.send_headers({{":method", "GET"}}, true);
  harness.run(5ms);
  EXPECT_EQ(script->record->events, "qH.");
  EXPECT_TRUE(harness.request().ended);
}

TEST_P(WholeBody, RequestOfTheLimitPassesAndOneByteMoreIs413) {
  for (size_t size : {100, 101}) {
    auto script = whole_request(GetParam(), 100);
    FilterHarness harness({scripted(script)});
    harness.send_headers({{":method", "POST"}});
    harness.send_data(std::string(60, 'a'));
    harness.send_data(std::string(size - 60, 'b'), true);
    harness.respond_headers({{":status", "200"}}, true);
    harness.run(20ms);
    EXPECT_EQ(harness.response().header(":status"), size == 100 ? "200" : "413");
    EXPECT_EQ(harness.request().has_headers, size == 100);
    if (size == 101) {
      EXPECT_EQ(harness.details(), "request_payload_too_large");
    }
  }
}

TEST_P(WholeBody, ResponseBeyondTheLimitIs500) {
  for (size_t size : {100, 101}) {
    auto script = whole_response(GetParam(), 100);
    FilterHarness harness({scripted(script)});
    harness.send_headers({{":method", "GET"}}, true);
    harness.respond_headers({{":status", "200"}});
    harness.respond_data(std::string(60, 'a'));
    harness.respond_data(std::string(size - 60, 'b'), true);
    harness.run(20ms);
    EXPECT_EQ(harness.response().header(":status"), size == 100 ? "200" : "500");
    EXPECT_TRUE(harness.response().ended);
    if (size == 100) {
      EXPECT_EQ(script->record->events.substr(0, 15), "qH. pH pD100. C");
    }
  }
}

TEST_P(WholeBody, MayPauseInHeadersAndInData) {
  auto script = whole_request(GetParam(), 100);
  script->modes = {{filter::kRequestHeaders, Mode::kLater}, {filter::kRequestData, Mode::kLater}};
  FilterHarness harness({scripted(script)});
  harness.send_headers({{":method", "POST"}});
  harness.send_data("abc");
  harness.send_data("def", true);
  harness.run(50ms);
  EXPECT_EQ(script->record->events, "qH qD6.");
  EXPECT_EQ(harness.request().body, "abcdef");
}

TEST_P(WholeBody, TwoInARow) {
  auto one = whole_request(GetParam(), 100);
  auto two = whole_request(GetParam(), 50);
  FilterHarness harness({scripted(one), scripted(two)});
  harness.send_headers({{":method", "POST"}});
  harness.send_data("abc");
  harness.send_data("def", true);
  harness.run(20ms);
  EXPECT_EQ(one->record->events, "qH qD6.");
  EXPECT_EQ(two->record->events, "qH qD6.");
  EXPECT_TRUE(harness.request().ended);
}

// A body that a filter collects is bounded by that filter's limit, not by the chain's buffer: another filter's pauses
// must not make it count, or the request would wait for itself.
TEST_P(WholeBody, LargerThanTheBufferLimitBesideAPausingFilter) {
  for (bool pausing_first : {true, false}) {
    auto pausing = make_script({{filter::kRequestHeaders, Mode::kLater}, {filter::kRequestData, Mode::kLater}});
    auto whole = whole_request(GetParam(), 100'000);
    auto entries = pausing_first ? std::vector{scripted(pausing), scripted(whole)}
                                 : std::vector{scripted(whole), scripted(pausing)};
    FilterHarness harness(entries, {.buffer_limit = 1000});
    harness.send_headers({{":method", "POST"}});
    for (int i = 0; i < 50; ++i) harness.send_data(std::string(200, 'x'), i == 49);
    harness.run();
    EXPECT_EQ(harness.request().body.size(), 10'000u) << pausing_first;
    EXPECT_TRUE(harness.request().ended);
    EXPECT_FALSE(harness.request_blocked());
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, WholeBody, ::testing::Values(Asks::kDeclared, Asks::kInHook));

// --- The start of a body will do ---

std::shared_ptr<Script> start_of_request(uint32_t limit, Mode mode = Mode::kContinue) {
  auto script = make_script();
  script->buffer_request = limit;
  script->start_will_do = true;
  script->modes[filter::kRequestData] = mode;
  return script;
}

TEST(StartOfBody, GoesOnOnceThereIsEnough) {
  auto script = start_of_request(5);
  FilterHarness harness({scripted(script)});
  harness.send_headers({{":method", "POST"}});
  harness.send_data("abcd");
  harness.run(20ms);
  EXPECT_EQ(script->record->events, "qH");
  EXPECT_FALSE(harness.request().has_headers);
  harness.send_data("efg");
  harness.run(20ms);
  EXPECT_EQ(script->record->events, "qH qD7");
  EXPECT_EQ(harness.request().body, "abcdefg");
  EXPECT_FALSE(harness.request().ended);
  harness.send_data("h");
  harness.send_data("i", true);
  harness.run(20ms);
  EXPECT_EQ(script->record->events, "qH qD7 qD1 qD1.");
  EXPECT_EQ(harness.request().body, "abcdefghi");
  EXPECT_TRUE(harness.request().ended);
}

TEST(StartOfBody, OfAShortOneIsAllOfIt) {
  auto script = start_of_request(5);
  FilterHarness harness({scripted(script)});
  harness.send_headers({{":method", "POST"}});
  harness.send_data("abc");
  harness.send_trailers({{"x-end", "1"}});
  harness.run(20ms);
  EXPECT_EQ(script->record->events, "qH qD3 qT.");
  EXPECT_EQ(harness.request().body, "abc");
  EXPECT_EQ(harness.request().trailer("x-end"), "1");
}

TEST(StartOfBody, HeadersWaitWhileItsHookPauses) {
  auto script = start_of_request(2, Mode::kNever);
  FilterHarness harness({scripted(script)}, {.buffer_limit = 100});
  harness.send_headers({{":method", "POST"}});
  harness.send_data("abc");
  harness.run(20ms);
  EXPECT_EQ(script->record->events, "qH qD3");
  EXPECT_FALSE(harness.request().has_headers);
  EXPECT_FALSE(harness.request_blocked());
  // What comes meanwhile is bounded as behind any pause.
  harness.send_data(std::string(200, 'x'));
  harness.run(20ms);
  EXPECT_TRUE(harness.request_blocked());
  EXPECT_EQ(script->record->events, "qH qD3");
}

}  // namespace
}  // namespace weir::test
