// Answers and aborts from every hook and from timers, before and after the response has begun.
#include <gtest/gtest.h>

#include "test/core/filter/function_filter.h"
#include "test/core/filter/scripted_filter.h"

namespace weir::test {
namespace {

using filter::Hook;

constexpr Hook kHooks[] = {filter::kRequestHeaders,  filter::kRequestData,  filter::kRequestTrailers,
                           filter::kResponseHeaders, filter::kResponseData, filter::kResponseTrailers};

void exchange(FilterHarness& harness) {
  harness.send_headers({{":method", "POST"}});
  harness.send_data("hello");
  harness.send_trailers({{"x-end", "q"}});
  harness.respond_headers({{":status", "200"}});
  harness.respond_data("world");
  harness.respond_trailers({{"x-end", "p"}});
  harness.run();
}

TEST(LocalReply, FromEveryHook) {
  for (Hook hook : kHooks) {
    for (Mode mode : {Mode::kReply, Mode::kReplyLater}) {
      for (size_t place : {0, 1, 2}) {
        SCOPED_TRACE("hook " + std::to_string(hook) + ", mode " + std::to_string(static_cast<int>(mode)) + ", place " +
                     std::to_string(place));
        std::vector<std::shared_ptr<Script>> scripts = {make_script(), make_script(), make_script()};
        scripts[place]->modes[hook] = mode;
        {
          FilterHarness harness({scripted(scripts[0]), scripted(scripts[1]), scripted(scripts[2])});
          exchange(harness);
          bool committed = hook == filter::kResponseData || hook == filter::kResponseTrailers;
          if (committed) {
            EXPECT_TRUE(harness.aborted());
            EXPECT_EQ(harness.response().header(":status"), "200");
            EXPECT_FALSE(harness.response().ended);
          } else {
            EXPECT_FALSE(harness.aborted());
            EXPECT_EQ(harness.response().header(":status"), "403");
            EXPECT_EQ(harness.response().body, mode == Mode::kReply ? "now\n" : "later\n");
            EXPECT_TRUE(harness.response().ended);
            EXPECT_FALSE(harness.response().has_trailers);
          }
          EXPECT_EQ(harness.details(), mode == Mode::kReply ? "scripted" : "scripted_later");
        }
        for (size_t i = 0; i < 3; ++i) {
          const Script::Record& record = *scripts[i]->record;
          EXPECT_EQ(record.completed, 1);
          EXPECT_EQ(record.destroyed, 1);
          // A filter that never saw the request sees nothing of the answer.
          if (record.events.find("qH") == std::string::npos) {
            EXPECT_EQ(record.events, "C");
          }
          // Response headers at most once, whatever was answered.
          size_t first = record.events.find("pH");
          if (first != std::string::npos) {
            EXPECT_EQ(record.events.find("pH", first + 1), std::string::npos) << record.events;
          }
        }
        // The hook that answers is the filter's last one but on_complete; further towards the upstream nobody sees
        // the answer.
        static const std::map<Hook, std::string> kLast = {
            {filter::kRequestHeaders, "qH C"},  {filter::kRequestData, "qD5 C"},  {filter::kRequestTrailers, "qT. C"},
            {filter::kResponseHeaders, "pH C"}, {filter::kResponseData, "pD5 C"}, {filter::kResponseTrailers, "pT. C"}};
        EXPECT_TRUE(scripts[place]->record->events.ends_with(kLast.at(hook))) << scripts[place]->record->events;
        if (hook < filter::kResponseHeaders) {
          for (size_t i = place + 1; i < 3; ++i) {
            EXPECT_EQ(scripts[i]->record->events.find("pH"), std::string::npos) << scripts[i]->record->events;
          }
          for (size_t i = 0; i < place; ++i) {
            EXPECT_NE(scripts[i]->record->events.find(mode == Mode::kReply ? "pH pD4. C" : "pH pD6. C"),
                      std::string::npos)
                << scripts[i]->record->events;
          }
        }
      }
    }
  }
}

TEST(LocalReply, AbortFromEveryHook) {
  for (Hook hook : kHooks) {
    for (Mode mode : {Mode::kAbort, Mode::kAbortLater}) {
      SCOPED_TRACE("hook " + std::to_string(hook));
      auto script = make_script({{hook, mode}});
      auto other = make_script();
      {
        FilterHarness harness({scripted(other), scripted(script)});
        exchange(harness);
        EXPECT_TRUE(harness.aborted());
        EXPECT_FALSE(harness.response().ended);
      }
      EXPECT_EQ(script->record->completed, 1);
      EXPECT_EQ(other->record->completed, 1);
    }
  }
}

// The answer runs back from the filter that gave it, through the filters before it.
TEST(LocalReply, RunsThroughTheFiltersEntered) {
  auto before = make_script();
  auto answering = make_script({{filter::kRequestHeaders, Mode::kReply}});
  auto after = make_script();
  FilterHarness harness({scripted(before), scripted(answering), scripted(after)});
  harness.send_headers({{":method", "GET"}}, true);
  harness.run();
  EXPECT_EQ(before->record->events, "qH. pH pD4. C");
  EXPECT_EQ(answering->record->events, "qH. C");
  EXPECT_EQ(after->record->events, "C");
  EXPECT_EQ(harness.response().header("content-length"), "4");
  EXPECT_EQ(harness.response().header("content-type"), "text/plain");
}

// An answer that no filter gives (deadlines, limits) is seen by every filter entered, also by one that waits.
TEST(LocalReply, OfNobodyRunsThroughAllThatWereEntered) {
  auto before = make_script();
  auto waiting = make_script({{filter::kRequestHeaders, Mode::kNever}});
  auto after = make_script();
  FilterHarness harness({scripted(before), scripted(waiting), scripted(after)});
  harness.send_headers({{":method", "GET"}}, true);
  harness.run(1ms);
  harness.stream().reply_local(504, "too_slow", "too slow\n");
  harness.run();
  EXPECT_EQ(before->record->events, "qH. pH pD9. C");
  EXPECT_EQ(waiting->record->events, "qH. pH pD9. C");
  EXPECT_EQ(after->record->events, "C");

  auto collecting = make_script();
  collecting->whole_request = 3;
  FilterHarness too_large({scripted(collecting)});
  too_large.send_headers({{":method", "POST"}});
  too_large.send_data("four", true);
  too_large.run();
  EXPECT_EQ(collecting->record->events, "qH pH pD23. C");
}

// The filter that answers from a timer need not be the one at which the request waits.
TEST(LocalReply, OfAFilterThatTheRequestHasPassed) {
  auto before = make_script();
  auto answering = make_script({{filter::kRequestData, Mode::kReplyLater}});
  auto waiting = make_script({{filter::kRequestHeaders, Mode::kNever}});
  FilterHarness harness({scripted(before), scripted(answering), scripted(waiting)});
  harness.send_headers({{":method", "POST"}});
  harness.send_data("x", true);
  harness.run();
  EXPECT_EQ(harness.response().header(":status"), "403");
  EXPECT_EQ(before->record->events, "qH qD1. pH pD6. C");
  EXPECT_EQ(answering->record->events, "qH qD1. C");
  EXPECT_EQ(waiting->record->events, "qH C");
}

// A response waits at one filter, and another one answers in its place: none sees two heads, none beyond the answering
// one sees the answer, all between it and the client do.
TEST(LocalReply, InPlaceOfAResponseThatWaitsElsewhere) {
  for (size_t answers : {0, 1, 2, 3}) {
    SCOPED_TRACE(answers);
    std::vector<std::shared_ptr<Script>> scripts = {make_script(), make_script(), make_script(), make_script()};
    scripts[2]->modes[filter::kResponseHeaders] = Mode::kNever;
    scripts[answers]->modes[filter::kRequestData] = Mode::kReplyLater;
    FilterHarness harness({scripted(scripts[0]), scripted(scripts[1]), scripted(scripts[2]), scripted(scripts[3])});
    harness.respond_early();
    harness.send_headers({{":method", "POST"}});
    harness.send_data("x", true);
    harness.respond_headers({{":status", "200"}});
    harness.run();
    EXPECT_EQ(harness.response().header(":status"), "403");
    EXPECT_EQ(harness.response().body, "later\n");
    for (size_t i = 0; i < 4; ++i) {
      std::string events = scripts[i]->record->events;
      std::string seen = i >= 2 ? "pH" : i < answers ? "pH pD6." : "";
      std::string wanted = i > answers ? "qH" : "qH qD1.";
      EXPECT_EQ(events, wanted + (seen.empty() ? "" : " " + seen) + " C") << i;
    }
  }
}

// What ends the stream while an answer waits for the hook to return is the last word.
TEST(LocalReply, EndedBeforeItIsSent) {
  for (bool leaves : {false, true}) {
    SCOPED_TRACE(leaves);
    auto before = make_script();
    FilterHarness* running = nullptr;
    auto unsure = std::make_shared<Functions>();
    unsure->request_headers = [&](filter::Stream& stream, http::HeaderMap&, bool) {
      stream.reply_local(403, "first", "first\n");
      leaves ? running->client_leaves() : void(stream.abort("second"));
      return filter::Action::kDone;
    };
    FilterHarness harness({scripted(before), functions_entry(unsure)});
    running = &harness;
    harness.send_headers({{":method", "GET"}}, true);
    harness.run();
    EXPECT_EQ(harness.aborted(), !leaves);
    EXPECT_FALSE(harness.response().has_headers);
    EXPECT_EQ(before->record->events, "qH. C");
  }
}

TEST(LocalReply, PausedAnswerIsSentLater) {
  auto slow = make_script({{filter::kResponseHeaders, Mode::kLater}, {filter::kResponseData, Mode::kLater}});
  auto answering = make_script({{filter::kRequestData, Mode::kReply}});
  FilterHarness harness({scripted(slow), scripted(answering)});
  harness.send_headers({{":method", "POST"}});
  harness.send_data("x");
  harness.send_data("y", true);  // of an answered request: dropped
  harness.run();
  EXPECT_EQ(harness.response().header(":status"), "403");
  EXPECT_EQ(harness.response().body, "now\n");
  EXPECT_EQ(slow->record->events, "qH qD1 pH pD4. C");
}

// A filter may answer instead of an answer: what the client gets is the second one, whole and alone.
TEST(LocalReply, AnsweredAgainInAResponseHook) {
  for (Mode pace : {Mode::kContinue, Mode::kLater}) {
    for (Mode again : {Mode::kReply, Mode::kReplyLater}) {
      auto slow = make_script({{filter::kResponseHeaders, pace}});
      auto second = make_script({{filter::kResponseHeaders, again}});
      auto first = make_script({{filter::kRequestHeaders, Mode::kReplyLater}});
      FilterHarness harness({scripted(slow), scripted(second), scripted(first)});
      harness.send_headers({{":method", "GET"}}, true);
      harness.run();
      EXPECT_EQ(harness.response().header(":status"), "403");
      EXPECT_EQ(harness.response().body, again == Mode::kReply ? "now\n" : "later\n");
      EXPECT_EQ(harness.response().header("content-length"), std::to_string(harness.response().body.size()));
      EXPECT_EQ(slow->record->events, again == Mode::kReply ? "qH. pH pD4. C" : "qH. pH pD6. C");
    }
  }
}

// The answer to a paused original response takes its place, also for filters that hold it.
TEST(LocalReply, ReplacesAResponseThatWaits) {
  auto holding = make_script({{filter::kResponseHeaders, Mode::kLater}});
  auto front = make_script();
  FilterHarness harness({scripted(front), scripted(holding)});
  harness.send_headers({{":method", "GET"}}, true);
  harness.respond_headers({{":status", "200"}});
  harness.respond_data("original");
  harness.run(1ms);
  harness.stream().reply_local(504, "too_slow", "too slow\n");
  harness.run();
  EXPECT_EQ(harness.response().header(":status"), "504");
  EXPECT_EQ(harness.response().body, "too slow\n");
  EXPECT_EQ(front->record->events, "qH. pH pD9. C");
}

// What was held back, by whomever, moves again once there is an answer, to be dropped.
TEST(LocalReply, LetsBothFlowsGo) {
  auto slow = make_script({{filter::kRequestData, Mode::kNever}, {filter::kResponseData, Mode::kNever}});
  auto waits = make_script({{filter::kResponseHeaders, Mode::kNever}});  // one with the response, one with the answer
  FilterHarness harness({scripted(waits), scripted(waits), scripted(slow)}, {.buffer_limit = 10});
  harness.respond_early();
  harness.send_headers({{":method", "POST"}});
  harness.send_data(std::string(20, 'x'));
  harness.send_data(std::string(20, 'x'), true);
  harness.respond_headers({{":status", "200"}});
  harness.respond_data(std::string(20, 'y'));
  harness.respond_data(std::string(20, 'y'), true);
  harness.run(1ms);
  harness.stream().request_flow().block(filter::FlowReason::kFilter);
  EXPECT_TRUE(harness.request_blocked());
  EXPECT_EQ(harness.stream().response_flow().reasons_text(), "chain_buffer");
  EXPECT_EQ(harness.unsent(), 2u);
  harness.stream().reply_local(504, "too_slow", "too slow\n");
  EXPECT_FALSE(harness.request_blocked());
  EXPECT_FALSE(harness.stream().response_flow().blocked());
  harness.stream().request_flow().block(filter::FlowReason::kUpstreamFull);
  EXPECT_FALSE(harness.request_blocked());
  harness.run(1ms);
  EXPECT_EQ(harness.unsent(), 0u);
}

TEST(LocalReply, UpstreamAbort) {
  auto script = make_script();
  FilterHarness harness({scripted(script)});
  harness.send_headers({{":method", "GET"}}, true);
  harness.respond_headers({{":status", "200"}});
  harness.respond_data("part");
  harness.respond_abort();
  harness.run();
  EXPECT_TRUE(harness.aborted());
  EXPECT_EQ(harness.response().body, "part");
  EXPECT_FALSE(harness.response().ended);
}

TEST(LocalReply, TimersAfterTheEndAreHarmless) {
  for (Hook hook : kHooks) {
    for (Mode mode : {Mode::kLater, Mode::kReplyLater, Mode::kAbortLater}) {
      auto script = make_script({{hook, mode}});
      FilterHarness harness({scripted(script)});
      harness.send_headers({{":method", "POST"}});
      harness.send_data("hello");
      harness.send_trailers({{"x-end", "q"}});
      harness.respond_headers({{":status", "200"}});
      harness.respond_data("world");
      harness.respond_trailers({{"x-end", "p"}});
      harness.run(1ms);
      // The stream is over, but lives until the end of the turn in which its timers fire.
      if (!harness.completed()) harness.stream().complete();
      harness.lane().clock().advance(10ms);
      harness.turn();
    }
  }
}

}  // namespace
}  // namespace weir::test
