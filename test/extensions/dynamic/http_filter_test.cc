// The order of a plugin's life, and each thing that it may ask for.
#include "extensions/dynamic/http_filter.h"

#include <gtest/gtest.h>

#include <thread>

#include "test/extensions/dynamic/scripted_plugin.h"

namespace weir::test {
namespace {

using Events = std::vector<std::string>;

// What the plugin does in one event; elsewhere it lets everything pass.
ScriptedPlugin::Script in(std::string_view where, std::function<uint32_t(weir_stream)> act) {
  return [where = std::string(where), act](std::string_view event, uint64_t handle, uint64_t) {
    return event == where ? act(handle) : uint32_t{WEIR_CONTINUE};
  };
}

int32_t reply(ScriptedPlugin& plugin, weir_stream stream, int32_t status,
              std::string_view body = "said by the plugin") {
  weir_header header = {text_of("x-by"), text_of("plugin")};
  weir_reply reply{sizeof(weir_reply), status, text_of(body), text_of("test.details"), &header, 1, 0};
  return plugin.api().reply(stream, &reply);
}

TEST(DynamicFilter, OrderOfLife) {
  ScriptedPlugin plugin;
  {
    FilterHarness harness({plugin.entry()});
    exchange(harness);
    EXPECT_EQ(harness.response().header(":status"), "200");
  }
  plugin.forget();
  EXPECT_EQ(plugin.events, (Events{"config_create", "create", "request_headers", "response_headers", "complete",
                                   "destroy", "config_destroy"}));
}

TEST(DynamicFilter, BodiesAndTrailersInOrder) {
  ScriptedPlugin plugin;
  FilterHarness harness({plugin.entry()});
  harness.send_headers({{":method", "POST"}, {":path", "/"}});
  harness.send_data("one");
  harness.send_trailers({{"x-end", "q"}});
  harness.respond_headers({{":status", "200"}});
  harness.respond_data("two");
  harness.respond_trailers({{"x-end", "p"}});
  harness.run();
  EXPECT_EQ(plugin.count("request_data"), 1u);
  EXPECT_EQ(plugin.count("response_trailers"), 1u);
  EXPECT_EQ(harness.request().body + harness.response().body, "onetwo");
}

TEST(DynamicFilter, BytesAheadOfTheTrailers) {
  ScriptedPlugin plugin, after;
  plugin.set_script([&](std::string_view event, uint64_t stream, uint64_t) -> uint32_t {
    if (event.ends_with("_trailers")) {
      EXPECT_EQ(plugin.api().body_append(stream, text_of("th")), WEIR_OK);
      EXPECT_EQ(plugin.api().body_append(stream, text_of("ree")), WEIR_OK);
      uint64_t total = 0;
      EXPECT_EQ(plugin.api().body_views(stream, nullptr, 0, nullptr, &total), WEIR_OK);
      EXPECT_EQ(total, 5u);
    }
    if (event == "request_trailers") {
      plugin.api().timer_arm(stream, 0, 5);
      return WEIR_PAUSE;
    }
    if (event == "timer") {
      EXPECT_EQ(plugin.api().body_append(stream, text_of("late")), WEIR_NOT_NOW);
      plugin.api().resume(stream, WEIR_REQUEST);
    }
    return WEIR_CONTINUE;
  });
  FilterHarness harness({plugin.entry(), after.entry()});
  harness.send_headers({{":method", "POST"}, {":path", "/"}});
  harness.send_data("one");
  harness.send_trailers({{"x-end", "q"}});
  harness.respond_headers({{":status", "200"}});
  harness.respond_data("two");
  harness.respond_trailers({{"x-end", "p"}});
  harness.run();
  EXPECT_EQ(harness.request().body, "onethree");
  EXPECT_EQ(harness.request().trailer("x-end"), "q");
  EXPECT_EQ(after.count("request_data"), 2u);
  EXPECT_EQ(harness.response().body, "twothree");
  EXPECT_EQ(harness.response().trailer("x-end"), "p");
}

TEST(DynamicFilter, FilterThatWasNotReachedIsNotMade) {
  ScriptedPlugin before, after;
  before.set_script(in("request_headers", [&](weir_stream stream) {
    reply(before, stream, 403);
    return WEIR_DONE;
  }));
  FilterHarness harness({before.entry(), after.entry()});
  exchange(harness);
  EXPECT_EQ(harness.response().header(":status"), "403");
  EXPECT_EQ(after.events, (Events{"config_create"}));
  // After its own answer a plugin sees the end only.
  EXPECT_EQ(before.events, (Events{"config_create", "create", "request_headers", "complete", "destroy"}));
}

TEST(DynamicFilter, ReplyGoesBackThroughEarlierFilters) {
  ScriptedPlugin before, after;
  before.set_script(in("response_headers", [&](weir_stream stream) {
    before.api().add_header(stream, WEIR_RESPONSE_HEADERS, text_of("X-Seen"), text_of("yes"));
    return WEIR_CONTINUE;
  }));
  after.set_script(in("request_headers", [&](weir_stream stream) {
    EXPECT_EQ(reply(after, stream, 418), WEIR_OK);
    EXPECT_EQ(reply(after, stream, 419), WEIR_NOT_NOW) << "once";
    EXPECT_EQ(after.api().set_header(stream, WEIR_REQUEST_HEADERS, text_of("x"), text_of("y")), WEIR_NOT_NOW);
    return WEIR_CONTINUE;  // what was answered is answered
  }));
  FilterHarness harness({before.entry(), after.entry()});
  exchange(harness);
  EXPECT_EQ(harness.response().header(":status"), "418");
  EXPECT_EQ(harness.response().header("x-by"), "plugin");
  EXPECT_EQ(harness.response().header("x-seen"), "yes");
  EXPECT_EQ(harness.response().body, "said by the plugin");
  EXPECT_EQ(harness.details(), "test.details");
  EXPECT_FALSE(harness.request().has_headers);
}

TEST(DynamicFilter, PauseAndResumeByTimer) {
  ScriptedPlugin plugin;
  plugin.set_script([&](std::string_view event, uint64_t stream, uint64_t argument) -> uint32_t {
    if (event == "request_headers") {
      EXPECT_EQ(plugin.api().timer_arm(stream, 42, 20), WEIR_OK);
      return WEIR_PAUSE;
    }
    if (event == "timer") {
      EXPECT_EQ(argument, 42u);
      plugin.api().set_header(stream, WEIR_REQUEST_HEADERS, text_of("x-late"), text_of("1"));
      EXPECT_EQ(plugin.api().resume(stream, WEIR_REQUEST), WEIR_OK);
      EXPECT_EQ(plugin.api().resume(stream, WEIR_RESPONSE), WEIR_NOT_NOW);
    }
    return WEIR_CONTINUE;
  });
  FilterHarness harness({plugin.entry()});
  harness.send_headers({{":method", "GET"}, {":path", "/"}}, true);
  harness.run(17ms);
  EXPECT_FALSE(harness.request().has_headers);
  harness.run(5ms);
  EXPECT_EQ(harness.request().header("x-late"), "1");
}

TEST(DynamicFilter, ResumeInsideTheHookThatPauses) {
  ScriptedPlugin plugin;
  plugin.set_script(in("request_headers", [&](weir_stream stream) {
    EXPECT_EQ(plugin.api().resume(stream, WEIR_REQUEST), WEIR_OK);
    return WEIR_PAUSE;
  }));
  FilterHarness harness({plugin.entry()});
  exchange(harness);
  EXPECT_EQ(harness.response().header(":status"), "200");
}

TEST(DynamicFilter, ResumeThatTheVerdictMadeVainIsForgotten) {
  ScriptedPlugin plugin;
  plugin.set_script([&](std::string_view event, uint64_t stream, uint64_t) -> uint32_t {
    if (event == "request_headers") {
      EXPECT_EQ(plugin.api().resume(stream, WEIR_REQUEST), WEIR_OK);
    }
    return event == "request_data" ? uint32_t{WEIR_PAUSE} : uint32_t{WEIR_CONTINUE};
  });
  FilterHarness harness({plugin.entry()});
  harness.send_headers({{":method", "POST"}, {":path", "/"}});
  harness.send_data("x", true);
  harness.run(10ms);
  EXPECT_EQ(harness.request().body, "");
}

TEST(DynamicFilter, ResponseHookResumesTheRequest) {
  ScriptedPlugin plugin;
  plugin.set_script([&](std::string_view event, uint64_t stream, uint64_t) -> uint32_t {
    if (event == "response_headers") {
      EXPECT_EQ(plugin.api().resume(stream, WEIR_REQUEST), WEIR_OK);
    }
    return event == "request_data" ? uint32_t{WEIR_PAUSE} : uint32_t{WEIR_CONTINUE};
  });
  FilterHarness harness({plugin.entry()});
  harness.respond_early();
  harness.send_headers({{":method", "POST"}, {":path", "/"}});
  harness.send_data("late", true);
  harness.respond_headers({{":status", "200"}});
  harness.run(10ms);
  EXPECT_EQ(harness.request().body, "late");
  harness.respond_data("x", true);
  harness.run();
  EXPECT_EQ(harness.response().body, "x");
}

TEST(DynamicFilter, ReplyFromATimerWhilePaused) {
  ScriptedPlugin plugin;
  plugin.set_script([&](std::string_view event, uint64_t stream, uint64_t) -> uint32_t {
    if (event == "request_headers") {
      plugin.api().timer_arm(stream, 0, 5);
      plugin.api().timer_arm(stream, 1, 50);
      return WEIR_PAUSE;
    }
    if (event == "timer") {
      EXPECT_EQ(reply(plugin, stream, 504), WEIR_OK);
      EXPECT_EQ(plugin.api().resume(stream, WEIR_REQUEST), WEIR_NOT_NOW) << "after a reply";
    }
    return WEIR_CONTINUE;
  });
  FilterHarness harness({plugin.entry()});
  exchange(harness);
  EXPECT_EQ(harness.response().header(":status"), "504");
  EXPECT_FALSE(harness.request().has_headers);
  EXPECT_EQ(plugin.count("timer"), 1u);
  EXPECT_EQ(plugin.events.back(), "destroy");
}

TEST(DynamicFilter, ReplyFromATimerWhileTheRequestIsElsewhere) {
  ScriptedPlugin before, plugin, after;
  plugin.set_script([&](std::string_view event, uint64_t stream, uint64_t) -> uint32_t {
    if (event == "request_headers") plugin.api().timer_arm(stream, 0, 5);
    if (event == "timer") {
      EXPECT_EQ(reply(plugin, stream, 504), WEIR_OK);
    }
    return WEIR_CONTINUE;
  });
  FilterHarness harness({before.entry(), plugin.entry(), after.entry()});
  harness.send_headers({{":method", "GET"}, {":path", "/"}}, true);
  harness.run();
  EXPECT_EQ(harness.response().header(":status"), "504");
  EXPECT_EQ(before.count("response_headers"), 1u);
  EXPECT_EQ(plugin.count("response_headers"), 0u);
  EXPECT_EQ(after.count("response_headers"), 0u);
}

// An answer that is asked for outside the filter's own hooks comes at the end of the turn, or in the place of the next
// hook, if there is one before.
TEST(DynamicFilter, ReplyFromAnotherFiltersHook) {
  ScriptedPlugin plugin, other;
  weir_stream plugins_stream = 0;
  plugin.set_script(in("request_headers", [&](weir_stream stream) {
    plugins_stream = stream;
    return WEIR_CONTINUE;
  }));
  other.set_script(in("request_headers", [&](weir_stream) {
    EXPECT_EQ(reply(plugin, plugins_stream, 403), WEIR_OK);
    return WEIR_CONTINUE;
  }));
  FilterHarness harness({plugin.entry(), other.entry()});
  exchange(harness);  // the response comes in the same turn
  EXPECT_EQ(harness.response().header(":status"), "403");
  EXPECT_EQ(plugin.events, (Events{"config_create", "create", "request_headers", "complete", "destroy"}));
}

TEST(DynamicFilter, ReplyAfterTheResponseBeganCutsItOff) {
  ScriptedPlugin plugin;
  plugin.set_script(in("response_data", [&](weir_stream stream) {
    EXPECT_EQ(reply(plugin, stream, 500), WEIR_OK);
    return WEIR_DONE;
  }));
  FilterHarness harness({plugin.entry()});
  harness.send_headers({{":method", "GET"}, {":path", "/"}}, true);
  harness.respond_headers({{":status", "200"}});
  harness.respond_data("x");
  harness.run(10ms);
  EXPECT_TRUE(harness.aborted());
  EXPECT_EQ(plugin.events, (Events{"config_create", "create", "request_headers", "response_headers", "response_data",
                                   "complete", "destroy"}));
}

TEST(DynamicFilter, DestroyedWhilePausedWithATimerPending) {
  ScriptedPlugin plugin;
  plugin.set_script(in("request_headers", [&](weir_stream stream) {
    plugin.api().timer_arm(stream, 0, 5);
    return WEIR_PAUSE;
  }));
  FilterHarness harness({plugin.entry()});
  harness.send_headers({{":method", "GET"}, {":path", "/"}}, true);
  harness.run(2ms);
  harness.disconnect();
  harness.lane().advance(1s);
  EXPECT_EQ(plugin.events, (Events{"config_create", "create", "request_headers", "complete", "destroy"}));
}

TEST(DynamicFilter, NothingIsCalledBetweenCompleteAndDestroy) {
  ScriptedPlugin plugin;
  plugin.set_script([&](std::string_view event, uint64_t stream, uint64_t) -> uint32_t {
    if (event != "complete") return WEIR_CONTINUE;
    weir_bytes value;
    EXPECT_EQ(plugin.api().get_header(stream, WEIR_REQUEST_HEADERS, text_of("X-One"), &value), WEIR_OK);
    EXPECT_EQ(plugin.api().set_header(stream, WEIR_REQUEST_HEADERS, text_of("x"), text_of("y")), WEIR_NOT_NOW);
    EXPECT_EQ(reply(plugin, stream, 500), WEIR_NOT_NOW);
    EXPECT_EQ(plugin.api().timer_arm(stream, 0, 0), WEIR_NOT_NOW);
    EXPECT_EQ(plugin.api().resume(stream, WEIR_REQUEST), WEIR_NOT_NOW);
    EXPECT_EQ(plugin.api().post(stream, 1), WEIR_OK);
    return 0;
  });
  FilterHarness harness({plugin.entry()});
  exchange(harness);
  harness.lane().advance(1s);
  EXPECT_EQ(plugin.events.back(), "destroy");
  EXPECT_EQ(plugin.count("posted") + plugin.count("timer"), 0u);
}

TEST(DynamicFilter, PostsComeFromAnyThreadInOrder) {
  ScriptedPlugin plugin;
  std::vector<uint64_t> tokens;
  std::thread poster;
  plugin.set_script([&](std::string_view event, uint64_t stream, uint64_t argument) -> uint32_t {
    if (event == "request_headers") {
      poster = std::thread([&plugin, stream] {
        for (uint64_t token = 1; token <= 100; ++token) EXPECT_EQ(plugin.api().post(stream, token), WEIR_OK);
      });
      poster.join();
      return WEIR_PAUSE;
    }
    if (event == "posted") {
      tokens.push_back(argument);
      if (argument == 100) plugin.api().resume(stream, WEIR_REQUEST);
    }
    return WEIR_CONTINUE;
  });
  FilterHarness harness({plugin.entry()});
  exchange(harness);
  EXPECT_EQ(harness.response().header(":status"), "200");
  EXPECT_EQ(tokens.size(), 100u);
  EXPECT_TRUE(std::is_sorted(tokens.begin(), tokens.end()));
}

TEST(DynamicFilter, PostsRaceWithTheStreamsEnd) {
  ScriptedPlugin plugin;
  std::atomic<bool> stop{false};
  std::atomic<weir_stream> target{0};
  plugin.set_script(in("request_headers", [&](weir_stream stream) {
    target = stream;
    return WEIR_CONTINUE;
  }));
  plugin.entry();
  std::thread poster([&] {
    while (!stop) {
      if (weir_stream stream = target) plugin.api().post(stream, 1);
    }
  });
  for (int i = 0; i < 200; ++i) {
    FilterHarness harness({plugin.entry()});
    exchange(harness);
  }
  stop = true;
  poster.join();
  EXPECT_EQ(plugin.count("create"), plugin.count("destroy"));
}

TEST(DynamicFilter, BadVerdictsAreAnsweredWith500) {
  for (uint32_t verdict : {uint32_t{WEIR_DONE}, 17u, ~0u}) {
    ScriptedPlugin plugin;
    plugin.set_script(in("request_headers", [&](weir_stream) { return verdict; }));
    FilterHarness harness({plugin.entry()});
    exchange(harness);
    EXPECT_EQ(harness.response().header(":status"), "500");
    EXPECT_EQ(plugin.scope().store().counter("test.dynamic.errors").value(), 1u);
    EXPECT_EQ(plugin.events, (Events{"config_create", "create", "request_headers", "complete", "destroy"}));
  }
}

TEST(DynamicFilter, FailedCreateIsAnsweredWith500) {
  ScriptedPlugin plugin;
  plugin.set_script([&](std::string_view event, uint64_t, uint64_t) -> uint32_t {
    return event == "create" ? uint32_t{WEIR_FAILED} : uint32_t{WEIR_OK};
  });
  FilterHarness harness({plugin.entry()});
  exchange(harness);
  EXPECT_EQ(harness.response().header(":status"), "500");
  EXPECT_EQ(harness.details(), "plugin_create_failed");
  EXPECT_EQ(plugin.events, (Events{"config_create", "create"}));
}

TEST(DynamicFilter, CreateMayAnswer) {
  ScriptedPlugin plugin;
  plugin.set_script(
      in("create", [&](weir_stream stream) { return static_cast<uint32_t>(reply(plugin, stream, 451)); }));
  FilterHarness harness({plugin.entry()});
  exchange(harness);
  EXPECT_EQ(harness.response().header(":status"), "451");
  EXPECT_EQ(plugin.events, (Events{"config_create", "create", "complete", "destroy"}));
}

TEST(DynamicFilter, HeadersOfAllKinds) {
  ScriptedPlugin plugin;
  plugin.set_script(in("request_headers", [&](weir_stream stream) -> uint32_t {
    const weir_api& api = plugin.api();
    weir_bytes names[] = {text_of("X-One"), text_of("nothing"), text_of(":PATH")};
    weir_bytes values[3];
    EXPECT_EQ(api.get_headers(stream, WEIR_REQUEST_HEADERS, names, values, 3), WEIR_OK);
    EXPECT_EQ(std::string(values[0].data, values[0].size), "1");
    EXPECT_EQ(values[1].data, nullptr);
    EXPECT_EQ(std::string(values[2].data, values[2].size), "/");
    weir_header all[2];
    uint32_t count = 0;
    EXPECT_EQ(api.list_headers(stream, WEIR_REQUEST_HEADERS, all, 2, &count), WEIR_OK);
    EXPECT_EQ(count, 4u);
    EXPECT_EQ(std::string(all[1].name.data, all[1].name.size), ":path");
    EXPECT_EQ(api.set_header(stream, WEIR_REQUEST_HEADERS, text_of("X-One"), values[2]), WEIR_OK)
        << "a view of the map itself";
    EXPECT_EQ(api.add_header(stream, WEIR_REQUEST_HEADERS, text_of("X-Many"), text_of("a")), WEIR_OK);
    EXPECT_EQ(api.add_header(stream, WEIR_REQUEST_HEADERS, text_of("x-many"), text_of("")), WEIR_OK);
    EXPECT_EQ(api.set_header(stream, WEIR_REQUEST_HEADERS, text_of(":path"), text_of("/other?x")), WEIR_OK);
    EXPECT_EQ(api.remove_header(stream, WEIR_REQUEST_HEADERS, text_of("x-gone")), WEIR_ABSENT);
    return WEIR_CONTINUE;
  }));
  FilterHarness harness({plugin.entry()});
  exchange(harness);
  EXPECT_EQ(harness.request().headers, (Headers{{":method", "GET"},
                                                {":path", "/other?x"},
                                                {":authority", "a"},
                                                {"x-one", "/"},
                                                {"x-many", "a"},
                                                {"x-many", ""}}));
}

TEST(DynamicFilter, BodyIsChangedInPlace) {
  ScriptedPlugin plugin;
  plugin.set_script(in("request_data", [&](weir_stream stream) -> uint32_t {
    const weir_api& api = plugin.api();
    weir_bytes view;
    uint32_t count;
    uint64_t total;
    EXPECT_EQ(api.body_views(stream, &view, 1, &count, &total), WEIR_OK);
    EXPECT_EQ(total, 5u);
    EXPECT_EQ(api.body_drain(stream, 6), WEIR_INVALID);
    EXPECT_EQ(api.body_drain(stream, 2), WEIR_OK);
    EXPECT_EQ(api.body_append(stream, text_of("!")), WEIR_OK);
    EXPECT_EQ(api.body_views(stream, &view, 1, &count, &total), WEIR_OK);
    EXPECT_EQ(api.body_replace(stream, {view.data, 2}), WEIR_OK) << "a view of what is replaced";
    EXPECT_EQ(api.body_append(stream, text_of("?")), WEIR_OK);
    return WEIR_CONTINUE;
  }));
  FilterHarness harness({plugin.entry()});
  harness.send_headers({{":method", "POST"}, {":path", "/"}});
  harness.send_data("hello", true);
  harness.run(5ms);
  EXPECT_EQ(harness.request().body, "ll?");
}

TEST(DynamicFilter, WholeBodyIsDeclared) {
  ScriptedPlugin plugin;
  plugin.set_script([&](std::string_view event, uint64_t handle, uint64_t end) -> uint32_t {
    if (event == "config_create") {
      EXPECT_EQ(plugin.api().config_buffer_body(handle, WEIR_REQUEST, 8), WEIR_OK);
    }
    if (event == "request_data") {
      EXPECT_EQ(end, 1u);
    }
    return WEIR_OK;
  });
  for (bool fits : {true, false}) {
    FilterHarness harness({plugin.entry()});
    harness.send_headers({{":method", "POST"}, {":path", "/"}});
    for (int i = 0; i < (fits ? 4 : 5); ++i) harness.send_data("xy");
    harness.send_data("", true);
    harness.respond_headers({{":status", "200"}}, true);
    harness.run(20ms);
    EXPECT_EQ(harness.response().header(":status"), fits ? "200" : "413");
    EXPECT_EQ(plugin.count("request_data"), 1u);
  }
}

TEST(DynamicFilter, CountersAndRouteText) {
  ScriptedPlugin plugin;
  uint32_t counter = 99;
  std::string route;
  plugin.set_script([&](std::string_view event, uint64_t handle, uint64_t) -> uint32_t {
    if (event == "config_create") plugin.api().config_counter(handle, text_of("seen.requests"), &counter);
    if (event == "request_headers") {
      plugin.api().counter_add(handle, counter, 3);
      weir_bytes text;
      if (plugin.api().route_config(handle, &text) == WEIR_OK) route.assign(text.data, text.size);
    }
    return WEIR_OK;
  });
  FilterHarness harness({plugin.entry()});
  harness.set_route_config("plugin", std::make_shared<const extensions::dynamic::RouteText>(
                                         extensions::dynamic::RouteText{"for this route"}));
  exchange(harness);
  EXPECT_EQ(plugin.scope().store().counter("test.dynamic.seen.requests").value(), 3u);
  EXPECT_EQ(route, "for this route");
}

TEST(DynamicFilter, ConfigurationLivesAsLongAsItsStreams) {
  ScriptedPlugin old_plugin, new_plugin;
  old_plugin.set_script(in("request_headers", [](weir_stream) { return WEIR_PAUSE; }));
  {
    FilterHarness old_stream({old_plugin.entry()});
    old_stream.send_headers({{":method", "GET"}, {":path", "/"}}, true);
    old_stream.run(2ms);
    old_plugin.forget();
    EXPECT_EQ(old_plugin.count("config_destroy"), 0u) << "a stream uses it";
    old_stream.disconnect();
    EXPECT_EQ(old_plugin.count("destroy"), 1u);
    EXPECT_EQ(old_plugin.count("config_destroy"), 0u) << "the chain has it";
    event::Lane::leave();  // configurations go where no worker runs
  }
  EXPECT_EQ(old_plugin.events.back(), "config_destroy");
  FilterHarness new_stream({new_plugin.entry()});
  exchange(new_stream);
  EXPECT_EQ(new_stream.response().header(":status"), "200");
}

TEST(DynamicFilter, ConfigurationThatDiesOnAWorkerIsABug) {
  EXPECT_DEATH(
      {
        ScriptedPlugin plugin;
        plugin.entry();
        TestLane lane(1);
        plugin.forget();
      },
      "is_main");
}

}  // namespace
}  // namespace weir::test
