// Every hook pauses and resumes in every way, over every shape of message: what was sent arrives, in order and once.
#include <gtest/gtest.h>

#include "test/core/filter/function_filter.h"
#include "test/core/filter/scripted_filter.h"

namespace weir::test {
namespace {

using filter::Hook;

struct Shape {
  const char* name;
  std::vector<std::string> pieces;
  bool trailers;
};

const std::vector<Shape> kShapes = {
    {"headers only", {}, false},
    {"headers and trailers", {}, true},
    {"one piece", {"hello"}, false},
    {"three pieces", {"one", "two", "three"}, false},
    {"two pieces and trailers", {"one", "two"}, true},
};

std::string joined(const Shape& shape) {
  std::string text;
  for (const std::string& piece : shape.pieces) text += piece;
  return text;
}

void send(FilterHarness& harness, const Shape& shape) {
  bool nothing = shape.pieces.empty() && !shape.trailers;
  harness.send_headers({{":method", "POST"}, {":path", "/"}}, nothing);
  for (size_t i = 0; i < shape.pieces.size(); ++i)
    harness.send_data(shape.pieces[i], !shape.trailers && i + 1 == shape.pieces.size());
  if (shape.trailers) harness.send_trailers({{"x-end", "q"}});
}

void respond(FilterHarness& harness, const Shape& shape) {
  bool nothing = shape.pieces.empty() && !shape.trailers;
  harness.respond_headers({{":status", "200"}}, nothing);
  for (size_t i = 0; i < shape.pieces.size(); ++i)
    harness.respond_data(shape.pieces[i], !shape.trailers && i + 1 == shape.pieces.size());
  if (shape.trailers) harness.respond_trailers({{"x-end", "p"}});
}

void expect_whole(const Message& message, const Shape& shape, const char* mark) {
  EXPECT_TRUE(message.has_headers);
  EXPECT_TRUE(message.ended);
  EXPECT_EQ(message.body, joined(shape));
  EXPECT_EQ(message.has_trailers, shape.trailers);
  if (shape.trailers) {
    EXPECT_EQ(message.trailer("x-end"), mark);
  }
}

constexpr Hook kHooks[] = {filter::kRequestHeaders,  filter::kRequestData,  filter::kRequestTrailers,
                           filter::kResponseHeaders, filter::kResponseData, filter::kResponseTrailers};

bool happens(Hook hook, const Shape& shape) {
  if (hook == filter::kRequestData || hook == filter::kResponseData) return !shape.pieces.empty();
  if (hook == filter::kRequestTrailers || hook == filter::kResponseTrailers) return shape.trailers;
  return true;
}

TEST(Pause, EveryHookEveryWayEveryShape) {
  for (const Shape& shape : kShapes) {
    for (Hook hook : kHooks) {
      for (Mode mode : {Mode::kContinue, Mode::kInline, Mode::kLater}) {
        for (size_t place : {0, 1, 2}) {
          SCOPED_TRACE(std::string(shape.name) + ", hook " + std::to_string(hook) + ", mode " +
                       std::to_string(static_cast<int>(mode)) + ", place " + std::to_string(place));
          std::vector<std::shared_ptr<Script>> scripts = {make_script(), make_script(), make_script()};
          scripts[place]->modes[hook] = mode;
          {
            FilterHarness harness({scripted(scripts[0]), scripted(scripts[1]), scripted(scripts[2])});
            send(harness, shape);
            respond(harness, shape);
            harness.run();
            expect_whole(harness.request(), shape, "q");
            expect_whole(harness.response(), shape, "p");
            EXPECT_FALSE(harness.aborted());
          }
          for (const auto& script : scripts) {
            EXPECT_EQ(script->record->completed, 1);
            EXPECT_EQ(script->record->made, 1);
            EXPECT_EQ(script->record->destroyed, 1);
          }
        }
      }
    }
  }
}

// Two filters pause at different hooks of the same message.
TEST(Pause, TwoFiltersAtAnyTwoHooks) {
  for (const Shape& shape : kShapes) {
    for (Hook first : kHooks) {
      for (Hook second : kHooks) {
        SCOPED_TRACE(std::string(shape.name) + ", hooks " + std::to_string(first) + " and " + std::to_string(second));
        auto one = make_script({{first, Mode::kLater}});
        auto two = make_script({{second, Mode::kLater}, {first, Mode::kInline}});
        FilterHarness harness({scripted(one), scripted(two)});
        send(harness, shape);
        respond(harness, shape);
        harness.run();
        expect_whole(harness.request(), shape, "q");
        expect_whole(harness.response(), shape, "p");
      }
    }
  }
}

TEST(Pause, NobodyResumes) {
  for (const Shape& shape : kShapes) {
    for (Hook hook : kHooks) {
      if (!happens(hook, shape)) continue;
      SCOPED_TRACE(std::string(shape.name) + ", hook " + std::to_string(hook));
      auto before = make_script();
      auto never = make_script({{hook, Mode::kNever}});
      {
        FilterHarness harness({scripted(before), scripted(never)});
        send(harness, shape);
        respond(harness, shape);
        harness.run(50ms);
        bool request = hook < filter::kResponseHeaders;
        const Message& stuck = request ? harness.request() : harness.response();
        EXPECT_FALSE(stuck.ended);
        EXPECT_EQ(stuck.has_headers, hook != filter::kRequestHeaders && hook != filter::kResponseHeaders);
        if (hook == filter::kRequestTrailers || hook == filter::kResponseTrailers) {
          EXPECT_EQ(stuck.body, joined(shape));
        } else {
          EXPECT_EQ(stuck.body, "");
        }
      }  // the client leaves while everything waits
      EXPECT_EQ(never->record->completed, 1);
      EXPECT_EQ(never->record->destroyed, 1);
      EXPECT_EQ(before->record->completed, 1);
    }
  }
}

TEST(Pause, EventsOfOneHookAreInOrder) {
  auto script = make_script({{filter::kRequestHeaders, Mode::kLater}, {filter::kRequestData, Mode::kLater}});
  FilterHarness harness({scripted(script)});
  send(harness, kShapes[4]);
  harness.run();
  // While the first piece is held the second one waits; while the headers are held both join.
  EXPECT_EQ(script->record->events, "qH qD6 qT.");
  EXPECT_TRUE(harness.request().ended);
}

// A hook of a later filter lets an earlier one go on: what that one held must not overtake what the hook is looking at,
// and no hook runs inside another of the same direction.
TEST(Pause, ResumedFromWithinAHookOfALaterFilter) {
  std::string seen;
  filter::Resume first_resume, second_resume;
  bool inside = false;
  auto first = std::make_shared<Functions>();
  first->request_data = [&](filter::Stream& stream, Slices& data, bool) {
    if (data.to_string() != "three") return filter::Action::kContinue;
    first_resume = stream.resume_handle();
    return filter::Action::kPause;
  };
  auto second = std::make_shared<Functions>();
  second->request_data = [&](filter::Stream& stream, Slices& data, bool) {
    EXPECT_FALSE(std::exchange(inside, true));
    seen += data.to_string() + " ";
    if (seen == "one ") {
      second_resume = stream.resume_handle();
      inside = false;
      return filter::Action::kPause;
    }
    first_resume.resume();
    inside = false;
    return filter::Action::kContinue;
  };
  FilterHarness harness({functions_entry(first), functions_entry(second)});
  harness.send_headers({{":method", "POST"}});
  for (const char* piece : {"one", "two", "three"}) harness.send_data(piece, piece[0] == 't' && piece[1] == 'h');
  harness.run(5ms);
  EXPECT_EQ(harness.request().body, "");
  second_resume.resume();
  EXPECT_EQ(harness.request().body, "onetwothree");
  EXPECT_EQ(seen, "one two three ");
  EXPECT_TRUE(harness.request().ended);
}

TEST(Pause, ResumedFromWithinAHookOfTheOtherDirection) {
  filter::Resume request_resume;
  auto filter = std::make_shared<Functions>();
  filter->request_data = [&](filter::Stream& stream, Slices&, bool) {
    request_resume = stream.resume_handle();
    return filter::Action::kPause;
  };
  filter->response_headers = [&](filter::Stream&, http::HeaderMap&, bool) {
    request_resume.resume();
    return filter::Action::kContinue;
  };
  FilterHarness harness({functions_entry(filter)});
  harness.respond_early();
  harness.send_headers({{":method", "POST"}});
  harness.send_data("late", true);
  harness.respond_headers({{":status", "200"}}, true);
  harness.run();
  EXPECT_EQ(harness.request().body, "late");
  EXPECT_EQ(harness.response().header(":status"), "200");
}

// The same, and a hook that this leads to resumes the very pause that the outer hook is about to return.
TEST(Pause, ResumedBeforeItBeganFromWithinAnInnerHook) {
  filter::Resume request_resume, response_resume;
  auto first = std::make_shared<Functions>();
  first->request_data = [&](filter::Stream& stream, Slices&, bool) {
    request_resume = stream.resume_handle();
    return filter::Action::kPause;
  };
  first->response_headers = [&](filter::Stream& stream, http::HeaderMap&, bool) {
    response_resume = stream.resume_handle();
    request_resume.resume();
    return filter::Action::kPause;
  };
  auto second = std::make_shared<Functions>();
  second->request_data = [&](filter::Stream&, Slices&, bool) {
    response_resume.resume();
    return filter::Action::kContinue;
  };
  FilterHarness harness({functions_entry(first), functions_entry(second)});
  harness.respond_early();
  harness.send_headers({{":method", "POST"}});
  harness.send_data("late", true);
  harness.respond_headers({{":status", "200"}}, true);
  harness.run();
  EXPECT_EQ(harness.request().body, "late");
  EXPECT_TRUE(harness.response().ended);
}

// A disabled filter is not made, sees nothing and stops nothing.
TEST(Pause, DisabledFilterIsNotThere) {
  auto off = make_script({{filter::kRequestHeaders, Mode::kNever}, {filter::kResponseHeaders, Mode::kNever}});
  auto on = make_script();
  FilterHarness harness({scripted(on), scripted(off), scripted(on)}, {.enabled = filter::filter_bit(0) | filter::filter_bit(2)});
  send(harness, kShapes[3]);
  respond(harness, kShapes[3]);
  harness.run();
  expect_whole(harness.request(), kShapes[3], "q");
  expect_whole(harness.response(), kShapes[3], "p");
  EXPECT_EQ(off->record->made, 0);
  EXPECT_EQ(on->record->made, 2);
}

TEST(Pause, HeldBytesBlockTheSourceAndLetItGoAgain) {
  auto script = make_script({{filter::kRequestData, Mode::kNever}});
  FilterHarness harness({scripted(script)}, {.buffer_limit = 1000});
  harness.send_headers({{":method", "POST"}});
  for (int i = 0; i < 20; ++i) harness.send_data(std::string(100, 'x'), i == 19);
  harness.run(20ms);
  EXPECT_TRUE(harness.request_blocked());
  EXPECT_EQ(harness.unsent(), 9u);  // the limit and one more
}

TEST(Pause, FlowGoesOnAfterResume) {
  for (Hook hook : {filter::kRequestHeaders, filter::kRequestData}) {
    auto script = make_script({{hook, Mode::kLater}});
    for (bool trailers : {false, true}) {
      FilterHarness harness({scripted(script)}, {.buffer_limit = 1000});
      harness.send_headers({{":method", "POST"}});
      for (int i = 0; i < 11; ++i) harness.send_data(std::string(100, 'x'), i == 10 && !trailers);
      if (trailers) harness.stream().make_request_trailers();
      harness.run(1ms);
      EXPECT_TRUE(harness.request_blocked());
      if (trailers) harness.stream().request_trailers_arrived();  // they came with the last bytes
      harness.run();
      EXPECT_FALSE(harness.request_blocked());
      EXPECT_EQ(harness.request().body.size(), 1100u);
      EXPECT_TRUE(harness.request().ended);
    }
  }
}

TEST(Pause, InformationalResponsesPassBy) {
  auto script = make_script({{filter::kResponseHeaders, Mode::kLater}});
  FilterHarness harness({scripted(script)});
  harness.send_headers({{":method", "GET"}}, true);
  harness.respond_headers({{":status", "103"}});
  harness.respond_headers({{":status", "200"}}, true);
  harness.run();
  EXPECT_EQ(harness.informational(), std::vector<int>{103});
  EXPECT_EQ(harness.response().header(":status"), "200");
}

}  // namespace
}  // namespace weir::test
