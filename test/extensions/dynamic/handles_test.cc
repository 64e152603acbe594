// Every call with every wrong handle: an answer, never a crash and never an effect.
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <thread>

#include "core/base/random.h"
#include "test/extensions/dynamic/scripted_plugin.h"

namespace weir::test {
namespace {

// What each call that takes a stream says to this one, except post, which any thread may call.
std::set<int32_t> call_everything(const weir_api& api, weir_stream stream) {
  std::set<int32_t> answers;
  weir_bytes name = text_of("x-wrong"), value = text_of("1"), found;
  weir_header headers[4];
  weir_bytes views[4];
  uint32_t count;
  uint64_t total;
  void* memory;
  weir_reply reply{sizeof(weir_reply), 200, value, name, nullptr, 0, 0};
  for (uint32_t map = 0; map < 4; ++map) {
    answers.insert(api.get_header(stream, map, name, &found));
    answers.insert(api.get_headers(stream, map, &name, &found, 1));
    answers.insert(api.list_headers(stream, map, headers, 4, &count));
    answers.insert(api.set_header(stream, map, name, value));
    answers.insert(api.add_header(stream, map, name, value));
    answers.insert(api.remove_header(stream, map, name));
  }
  answers.insert(api.body_views(stream, views, 4, &count, &total));
  answers.insert(api.body_drain(stream, 0));
  answers.insert(api.body_append(stream, value));
  answers.insert(api.body_replace(stream, value));
  answers.insert(api.reply(stream, &reply));
  answers.insert(api.resume(stream, WEIR_REQUEST));
  answers.insert(api.timer_arm(stream, 0, 1));
  answers.insert(api.timer_cancel(stream, 0));
  answers.insert(api.arena_alloc(stream, 8, 8, &memory));
  answers.insert(api.counter_add(stream, 0, 1));
  answers.insert(api.route_config(stream, &found));
  return answers;
}

const std::set<int32_t> kGone = {WEIR_GONE};

TEST(DynamicHandles, GoneAfterTheStream) {
  ScriptedPlugin plugin;
  {
    FilterHarness harness({plugin.entry()});
    exchange(harness);
    EXPECT_EQ(call_everything(plugin.api(), plugin.last_stream), kGone);
    EXPECT_EQ(plugin.api().post(plugin.last_stream, 1), WEIR_OK);  // a letter that nobody reads
    harness.lane().turns(2);
  }
  EXPECT_EQ(plugin.count("posted"), 0u);
  EXPECT_EQ(call_everything(plugin.api(), plugin.last_stream), kGone) << "no lane on this thread";
}

TEST(DynamicHandles, GoneInDestroy) {
  ScriptedPlugin plugin;
  std::set<int32_t> answers;
  plugin.set_script([&](std::string_view event, uint64_t, uint64_t) -> uint32_t {
    if (event == "destroy") answers = call_everything(plugin.api(), plugin.last_stream);
    return WEIR_OK;
  });
  FilterHarness harness({plugin.entry()});
  exchange(harness);
  EXPECT_EQ(answers, kGone);
}

TEST(DynamicHandles, GoneOnOtherThreads) {
  ScriptedPlugin plugin;
  std::set<int32_t> bare, other_lane, same_number;
  plugin.set_script([&](std::string_view event, uint64_t handle, uint64_t) -> uint32_t {
    if (event != "request_headers") return WEIR_CONTINUE;
    std::thread([&] { bare = call_everything(plugin.api(), handle); }).join();
    std::thread([&] {
      TestLane lane(2);
      other_lane = call_everything(plugin.api(), handle);
    }).join();
    std::thread([&] {
      // A lane of the same number that has no plugins.
      TestLane lane(1);
      same_number = call_everything(plugin.api(), handle);
    }).join();
    return WEIR_CONTINUE;
  });
  FilterHarness harness({plugin.entry()});
  exchange(harness);
  EXPECT_EQ(bare, kGone);
  EXPECT_EQ(other_lane, kGone);
  EXPECT_EQ(same_number, kGone);
  EXPECT_EQ(harness.response().header(":status"), "200");
}

TEST(DynamicHandles, GarbageIsGone) {
  ScriptedPlugin plugin;
  plugin.set_script([&](std::string_view event, uint64_t handle, uint64_t) -> uint32_t {
    if (event != "request_headers") return WEIR_CONTINUE;
    Random random(7);
    for (int i = 0; i < 3000; ++i) {
      // Wild numbers, and ones that differ from a living handle in a bit.
      weir_stream wrong = i % 2 == 0 ? random.next() : handle ^ (uint64_t{1} << (i % 64));
      if (wrong == handle) continue;
      EXPECT_EQ(call_everything(plugin.api(), wrong), kGone) << wrong;
    }
    for (weir_stream wrong : {uint64_t{0}, ~uint64_t{0}, uint64_t{1}}) {
      EXPECT_EQ(call_everything(plugin.api(), wrong), kGone);
      plugin.api().post(wrong, 1);
    }
    return WEIR_CONTINUE;
  });
  FilterHarness harness({plugin.entry()});
  exchange(harness);
  EXPECT_EQ(harness.response().header(":status"), "200");
  EXPECT_EQ(plugin.count("posted"), 0u);
}

TEST(DynamicHandles, TwoStreamsAndEarlierLanes) {
  ScriptedPlugin plugin;
  std::vector<weir_stream> handles;
  for (int i = 0; i < 3; ++i) {
    FilterHarness harness({plugin.entry()});
    exchange(harness);
    for (weir_stream old : handles) EXPECT_EQ(call_everything(plugin.api(), old), kGone);
    EXPECT_TRUE(std::set<weir_stream>(handles.begin(), handles.end()).count(plugin.last_stream) == 0);
    handles.push_back(plugin.last_stream);
  }
}

TEST(DynamicHandles, ScopesAreGoneAfterwards) {
  ScriptedPlugin plugin;
  weir_scope scope = 0;
  plugin.set_script([&](std::string_view event, uint64_t handle, uint64_t) -> uint32_t {
    if (event == "config_create") {
      scope = handle;
      uint32_t number;
      EXPECT_EQ(plugin.api().config_counter(handle + 1, text_of("x"), &number), WEIR_GONE);
      EXPECT_EQ(plugin.api().config_counter(handle, text_of("has space"), &number), WEIR_INVALID);
      EXPECT_EQ(plugin.api().config_counter(handle, text_of(""), &number), WEIR_INVALID);
      EXPECT_EQ(plugin.api().config_counter(handle, text_of("x"), nullptr), WEIR_INVALID);
      EXPECT_EQ(plugin.api().config_buffer_body(handle, 2, 1), WEIR_INVALID);
      std::thread([&] { EXPECT_EQ(plugin.api().config_error(scope, text_of(""), text_of("x")), WEIR_GONE); }).join();
    }
    return WEIR_OK;
  });
  plugin.entry();
  EXPECT_EQ(plugin.api().config_error(scope, text_of(""), text_of("x")), WEIR_GONE);
  EXPECT_EQ(plugin.scope().error_texts(), std::vector<std::string>{});
}

TEST(DynamicHandles, ArgumentsAreLookedAt) {
  ScriptedPlugin plugin;
  plugin.set_script([&](std::string_view event, uint64_t stream, uint64_t) -> uint32_t {
    if (event != "request_headers") return WEIR_CONTINUE;
    const weir_api& api = plugin.api();
    weir_bytes broken = {nullptr, 5}, name = text_of("x-a"), value = text_of("v"), out;
    void* memory;
    uint32_t count;
    EXPECT_EQ(api.get_header(stream, 9, name, &out), WEIR_INVALID);
    EXPECT_EQ(api.get_header(stream, WEIR_REQUEST_HEADERS, broken, &out), WEIR_INVALID);
    EXPECT_EQ(api.get_header(stream, WEIR_REQUEST_HEADERS, name, nullptr), WEIR_INVALID);
    EXPECT_EQ(api.get_headers(stream, WEIR_REQUEST_HEADERS, nullptr, &out, 1), WEIR_INVALID);
    EXPECT_EQ(api.list_headers(stream, WEIR_REQUEST_HEADERS, nullptr, 1, &count), WEIR_INVALID);
    EXPECT_EQ(api.list_headers(stream, WEIR_REQUEST_HEADERS, nullptr, 0, nullptr), WEIR_INVALID);
    EXPECT_EQ(api.set_header(stream, WEIR_REQUEST_HEADERS, name, broken), WEIR_INVALID);
    for (const char* bad : {"", "a b", "a:b", "a\nb", "\xc3\xa4"})
      EXPECT_EQ(api.add_header(stream, WEIR_REQUEST_HEADERS, text_of(bad), value), WEIR_INVALID) << bad;
    for (const char* bad : {"a\r\nx: y", "a\nb", " a", "a ", "\x01"})
      EXPECT_EQ(api.set_header(stream, WEIR_REQUEST_HEADERS, name, text_of(bad)), WEIR_INVALID) << bad;
    EXPECT_EQ(api.add_header(stream, WEIR_REQUEST_HEADERS, name, {"a\0b", 3}), WEIR_INVALID);
    EXPECT_EQ(api.set_header(stream, WEIR_REQUEST_HEADERS, text_of(":path"), text_of("/b HTTP/1.1")), WEIR_INVALID);
    EXPECT_EQ(api.set_header(stream, WEIR_REQUEST_HEADERS, text_of(":path"), text_of("")), WEIR_INVALID);
    EXPECT_EQ(api.set_header(stream, WEIR_REQUEST_HEADERS, text_of(":made-up"), text_of("x")), WEIR_INVALID);
    EXPECT_EQ(api.set_header(stream, WEIR_REQUEST_HEADERS, text_of(":status"), text_of("200")), WEIR_ABSENT);
    EXPECT_EQ(api.remove_header(stream, WEIR_REQUEST_HEADERS, text_of(":path")), WEIR_INVALID);
    EXPECT_EQ(api.add_header(stream, WEIR_REQUEST_HEADERS, text_of(":path"), text_of("/")), WEIR_INVALID);
    EXPECT_EQ(api.set_header(stream, WEIR_RESPONSE_HEADERS, name, value), WEIR_ABSENT) << "no response yet";
    EXPECT_EQ(api.set_header(stream, WEIR_REQUEST_TRAILERS, name, value), WEIR_ABSENT);
    EXPECT_EQ(api.body_append(stream, value), WEIR_NOT_NOW);
    EXPECT_EQ(api.resume(stream, WEIR_RESPONSE), WEIR_NOT_NOW);
    EXPECT_EQ(api.resume(stream, 2), WEIR_INVALID);
    EXPECT_EQ(api.arena_alloc(stream, 1, 3, &memory), WEIR_INVALID);
    EXPECT_EQ(api.arena_alloc(stream, 1, 128, &memory), WEIR_INVALID);
    EXPECT_EQ(api.arena_alloc(stream, 1, 8, nullptr), WEIR_INVALID);
    EXPECT_EQ(api.arena_alloc(stream, ~uint64_t{0}, 8, &memory), WEIR_LIMIT);
    EXPECT_EQ(api.counter_add(stream, 99, 1), WEIR_INVALID);
    for (uint32_t timer = 0; timer < 8; ++timer) EXPECT_EQ(api.timer_arm(stream, timer, ~uint64_t{0}), WEIR_OK);
    EXPECT_EQ(api.timer_arm(stream, 8, 1), WEIR_LIMIT);
    EXPECT_EQ(api.timer_cancel(stream, 7), WEIR_OK);
    EXPECT_EQ(api.timer_cancel(stream, 7), WEIR_ABSENT);
    EXPECT_EQ(api.timer_cancel(stream, 70), WEIR_ABSENT);
    weir_reply reply{sizeof(weir_reply), 200, value, name, nullptr, 0, 0};
    EXPECT_EQ(api.reply(stream, nullptr), WEIR_INVALID);
    for (int32_t status : {0, 100, 199, 600, -1}) {
      reply.status = status;
      EXPECT_EQ(api.reply(stream, &reply), WEIR_INVALID);
    }
    reply.status = 200;
    reply.header_count = 1;
    EXPECT_EQ(api.reply(stream, &reply), WEIR_INVALID) << "headers missing";
    weir_header bad = {text_of("x\r\ny"), value};
    reply.headers = &bad;
    EXPECT_EQ(api.reply(stream, &reply), WEIR_INVALID);
    reply.struct_size = 8;
    EXPECT_EQ(api.reply(stream, &reply), WEIR_INVALID);
    api.log(77, {}, text_of("a line\nof two"));
    api.log(0, broken, broken);
    EXPECT_EQ(api.get_extension("weir.nothing/1"), nullptr);
    return WEIR_CONTINUE;
  });
  FilterHarness harness({plugin.entry()});
  exchange(harness);
  EXPECT_EQ(harness.response().header(":status"), "200");
  EXPECT_EQ(harness.request().header(":path"), "/");
}

}  // namespace
}  // namespace weir::test
