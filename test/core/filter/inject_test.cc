// Bytes that a filter adds: ahead of trailers, while it is paused, to a message without a body.
#include <gtest/gtest.h>

#include "test/core/filter/function_filter.h"
#include "test/core/filter/scripted_filter.h"

namespace weir::test {
namespace {

using filter::Action;

Slices bytes_of(filter::Stream& stream, std::string_view text) {
  Slices bytes;
  bytes.append_copy(text, stream.lane().blocks());
  return bytes;
}

// Keeps every body and lets go of it at its end, reversed.
std::shared_ptr<Functions> reverser(std::string& request, std::string& response) {
  auto functions = std::make_shared<Functions>();
  auto keep = [](std::string& kept) {
    return [&kept](filter::Stream& stream, Slices& data, bool end) {
      std::string piece = data.to_string();
      kept.insert(kept.begin(), piece.rbegin(), piece.rend());
      data = bytes_of(stream, end ? kept : "");
      return Action::kContinue;
    };
  };
  auto flush = [](std::string& kept) {
    return [&kept](filter::Stream& stream, http::HeaderMap&) {
      Slices bytes = bytes_of(stream, kept);
      stream.inject_data(bytes);
      EXPECT_TRUE(bytes.empty());
      return Action::kContinue;
    };
  };
  functions->request_data = keep(request);
  functions->request_trailers = flush(request);
  functions->response_data = keep(response);
  functions->response_trailers = flush(response);
  return functions;
}

void exchange(FilterHarness& harness, bool trailers) {
  harness.send_headers({{":method", "POST"}});
  harness.send_data("abc");
  harness.send_data("def", !trailers);
  if (trailers) harness.send_trailers({{"x-end", "q"}});
  harness.respond_headers({{":status", "200"}});
  harness.respond_data("uvw");
  harness.respond_data("xyz", !trailers);
  if (trailers) harness.respond_trailers({{"x-end", "p"}});
  harness.run();
}

TEST(Inject, AheadOfTheTrailers) {
  for (bool trailers : {true, false}) {
    std::string request, response;
    auto around = make_script();
    FilterHarness harness({scripted(around), functions_entry(reverser(request, response)), scripted(around)});
    exchange(harness, trailers);
    EXPECT_EQ(harness.request().body, "fedcba");
    EXPECT_EQ(harness.request().has_trailers, trailers);
    EXPECT_EQ(harness.response().body, "zyxwvu");
    EXPECT_EQ(harness.response().has_trailers, trailers);
  }
}

TEST(Inject, AheadOfTheTrailersUnderChaos) {
  for (bool trailers : {true, false}) {
    std::string request, response;
    run_under_chaos({functions_entry(reverser(request, response))}, [&](FilterHarness& harness) {
      request.clear();
      response.clear();
      exchange(harness, trailers);
      EXPECT_EQ(harness.request().body, "fedcba");
      EXPECT_EQ(harness.request().has_trailers, trailers);
      EXPECT_EQ(harness.response().body, "zyxwvu");
      EXPECT_EQ(harness.response().has_trailers, trailers);
    });
  }
}

// The following filters see the bytes as data, pause as they like, collect them, and see the trailers last.
TEST(Inject, FollowingFiltersSeeThemAsData) {
  auto injecting = std::make_shared<Functions>();
  injecting->request_trailers = [](filter::Stream& stream, http::HeaderMap&) {
    Slices bytes = bytes_of(stream, "tail");
    stream.inject_data(bytes);
    return Action::kContinue;
  };
  for (Mode mode : {Mode::kContinue, Mode::kInline, Mode::kLater}) {
    for (uint32_t whole : {0u, 100u}) {
      auto after = make_script({{filter::kRequestData, mode}, {filter::kRequestTrailers, mode}});
      after->whole_request = whole;
      FilterHarness harness({functions_entry(injecting), scripted(after)});
      harness.send_headers({{":method", "POST"}});
      harness.send_trailers({{"x-end", "q"}});
      harness.run();
      EXPECT_EQ(harness.request().body, "tail");
      EXPECT_EQ(harness.request().trailer("x-end"), "q");
      EXPECT_EQ(after->record->events, "qH qD4 qT.");
    }
  }
}

// Injected and paused: the bytes wait with the trailers, count as waiting, and go first.
TEST(Inject, WaitWithTheTrailersOfAPausedFilter) {
  filter::Resume resume;
  auto injecting = std::make_shared<Functions>();
  injecting->request_trailers = [&](filter::Stream& stream, http::HeaderMap&) {
    for (std::string_view piece : {"one", "two"}) {
      Slices bytes = bytes_of(stream, piece);
      stream.inject_data(bytes);
    }
    resume = stream.resume_handle();
    return Action::kPause;
  };
  FilterHarness harness({functions_entry(injecting)}, {.buffer_limit = 5});
  harness.send_headers({{":method", "POST"}});
  harness.send_data("body ");
  harness.send_trailers({{"x-end", "q"}});
  harness.run(5ms);
  EXPECT_EQ(harness.request().body, "body ");
  EXPECT_FALSE(harness.request().has_trailers);
  EXPECT_TRUE(harness.request_blocked());
  resume.resume();
  EXPECT_EQ(harness.request().body, "body onetwo");
  EXPECT_TRUE(harness.request().has_trailers);
  EXPECT_FALSE(harness.request_blocked());
}

TEST(Inject, AnswerInsteadOfTrailersDropsThem) {
  auto injecting = std::make_shared<Functions>();
  injecting->request_trailers = [](filter::Stream& stream, http::HeaderMap&) {
    Slices bytes = bytes_of(stream, "tail");
    stream.inject_data(bytes);
    stream.reply_local(403, "no");
    bytes = bytes_of(stream, "more");
    stream.inject_data(bytes);
    EXPECT_TRUE(bytes.empty());
    return Action::kDone;
  };
  FilterHarness harness({functions_entry(injecting)});
  harness.send_headers({{":method", "POST"}});
  harness.send_trailers({{"x-end", "q"}});
  harness.run();
  EXPECT_EQ(harness.request().body, "");
  EXPECT_EQ(harness.response().header(":status"), "403");
}

// A filter that works on a body elsewhere keeps the piece, pauses, and gives its result through the handle.
TEST(Inject, WhilePausedInADataHook) {
  for (bool last : {true, false}) {
    filter::Resume resume;
    auto slow = std::make_shared<Functions>();
    slow->request_data = [&](filter::Stream& stream, Slices& data, bool end) {
      if (end != last) return Action::kContinue;
      data = bytes_of(stream, "left,");
      resume = stream.resume_handle();
      return Action::kPause;
    };
    FilterHarness harness({functions_entry(slow)});
    harness.send_headers({{":method", "POST"}});
    harness.send_data("a,");
    harness.send_data("b", true);
    harness.run(5ms);
    Slices result = bytes_of(harness.stream(), "result,");
    resume.inject_data(result);
    EXPECT_TRUE(result.empty());
    EXPECT_FALSE(harness.request().ended);
    resume.resume();
    EXPECT_EQ(harness.request().body, last ? "a,left,result," : "left,result,b");
    EXPECT_TRUE(harness.request().ended);
  }
}

// A message that ends with its headers gets a body from a filter that pauses there; following filters see one like any.
TEST(Inject, BodyForAMessageWithoutOne) {
  filter::Resume resume;
  auto giving = std::make_shared<Functions>();
  giving->request_headers = [&](filter::Stream& stream, http::HeaderMap&, bool) {
    resume = stream.resume_handle();
    return Action::kPause;
  };
  auto after = make_script();
  after->whole_request = 100;
  FilterHarness harness({functions_entry(giving), scripted(after)});
  harness.send_headers({{":method", "GET"}}, true);
  harness.run(5ms);
  Slices body = bytes_of(harness.stream(), "body");
  resume.inject_data(body);
  resume.resume();
  EXPECT_EQ(after->record->events, "qH qD4.");
  EXPECT_EQ(harness.request().body, "body");
  EXPECT_TRUE(harness.request().ended);
}

// A handle whose pause is gone with what waited does nothing.
TEST(Inject, AfterTheStreamWasAnswered) {
  for (bool response : {false, true}) {
    filter::Resume resume;
    auto slow = std::make_shared<Functions>();
    auto pause = [&](filter::Stream& stream, http::HeaderMap&, bool) {
      resume = stream.resume_handle();
      return Action::kPause;
    };
    (response ? slow->response_headers : slow->request_headers) = pause;
    auto front = make_script({{filter::kResponseHeaders, Mode::kLater}});
    FilterHarness harness({scripted(front), functions_entry(slow)});
    harness.send_headers({{":method", "GET"}}, true);
    harness.respond_headers({{":status", "200"}});
    harness.run(1ms);
    harness.stream().reply_local(504, "too_slow", "too slow\n");
    Slices bytes = bytes_of(harness.stream(), "late");
    resume.inject_data(bytes);
    resume.resume();
    harness.run();
    EXPECT_EQ(harness.response().body, "too slow\n");
  }
}

// A filter that lets a body through in parts while it stays paused.
TEST(Inject, PassedOnWhilePaused) {
  for (bool trailers : {true, false}) {
    auto functions = std::make_shared<Functions>();
    filter::Resume paused;
    functions->response_data = [&](filter::Stream& stream, Slices&, bool) {
      paused = stream.resume_handle();
      return Action::kPause;
    };
    auto pass_on = [&](FilterHarness& harness, std::string_view text) {
      Slices bytes;
      bytes.append_copy(text, harness.lane().lane().blocks());
      paused.pass_on(bytes);
      EXPECT_TRUE(bytes.empty());
    };
    auto around = make_script();
    FilterHarness harness({scripted(around), functions_entry(functions), scripted(around)});
    harness.send_headers({{":method", "GET"}}, true);
    harness.run(5ms);
    harness.respond_headers({{":status", "200"}});
    harness.respond_data("abc", !trailers);
    if (trailers) harness.respond_trailers({{"x-end", "p"}});
    harness.run(5ms);
    EXPECT_EQ(harness.response().body, "");
    pass_on(harness, "d");  // behind what the hook left
    EXPECT_EQ(harness.response().body, "abcd");
    pass_on(harness, "");
    pass_on(harness, "ef");
    EXPECT_EQ(harness.response().body, "abcdef");
    EXPECT_FALSE(harness.response().ended);
    paused.resume();
    harness.run(5ms);
    EXPECT_TRUE(harness.response().ended);
    EXPECT_EQ(harness.response().body, "abcdef");
    EXPECT_EQ(harness.response().has_trailers, trailers);
    EXPECT_EQ(harness.violations(), std::vector<std::string>{});
  }
}

}  // namespace
}  // namespace weir::test
