// Plugins between chaos filters: what they promise and are promised holds whatever the neighbours do.
#include <gtest/gtest.h>

#include "core/base/random.h"
#include "test/extensions/dynamic/scripted_plugin.h"
#include "test/support/seed.h"

namespace weir::test {
namespace {

void send_and_check(FilterHarness& harness, const std::string& added) {
  harness.send_headers({{":method", "POST"}, {":path", "/"}, {"content-length", "13"}});
  for (const char* piece : {"one ", "two ", "three"}) harness.send_data(piece, piece[0] == 't' && piece[1] == 'h');
  harness.respond_headers({{":status", "200"}, {"content-length", "9"}});
  harness.respond_data("four ");
  harness.respond_data("five", true);
  harness.run();
  EXPECT_EQ(harness.request().body, "one two three");
  EXPECT_EQ(harness.response().body, "four five");
  if (!added.empty()) {
    EXPECT_EQ(harness.response().header(added), "13");
  }
}

TEST(DynamicChaos, PlainC) {
  PluginScope scope;
  auto config = HttpConfig::make(test_module("c_filter"), "", "x-bytes", "config", scope.scope());
  ASSERT_TRUE(config.ok()) << config.status();
  run_under_chaos({plugin_entry(*config)}, [](FilterHarness& harness) { send_and_check(harness, "x-bytes"); });
}

TEST(DynamicChaos, HeaderDelay) {
  PluginScope scope;
  auto config = HttpConfig::make(test_module("header_delay"), "", "7", "config", scope.scope());
  ASSERT_TRUE(config.ok()) << config.status();
  run_under_chaos({plugin_entry(*config)}, [](FilterHarness& harness) {
    send_and_check(harness, "");
    EXPECT_EQ(harness.request().header("x-delayed-ms"), "7");
    EXPECT_EQ(harness.response().header("x-delayed-ms"), "7");
  });
  EXPECT_EQ(scope.store().counter("test.dynamic.header_delay.delayed").value(), 51u);
}

// Checks, per stream, the order that plugin.h promises, while doing anything at random.
class Monkey {
 public:
  Monkey(ScriptedPlugin& plugin, uint64_t seed) : plugin_(plugin), random_(seed) {}

  uint32_t on(std::string_view event, uint64_t stream, uint64_t) {
    if (event == "config_create" || event == "config_destroy") return WEIR_OK;
    if (event == "create") {
      expect(state_ == 0);
      state_ = 1;
      return WEIR_OK;
    }
    if (event == "destroy") {
      expect(state_ >= 1 && state_ <= 3);
      state_ = 0;
      return WEIR_OK;
    }
    if (event == "complete") {
      expect(state_ == 1 || state_ == 2);
      state_ = 3;
      return WEIR_OK;
    }
    expect(state_ == 1);  // neither answered nor over
    const weir_api& api = plugin_.api();
    uint32_t verdict = WEIR_CONTINUE;
    bool own = event == "timer" || event == "posted";
    uint32_t direction = event.substr(0, 7) == "request" ? WEIR_REQUEST : WEIR_RESPONSE;
    for (int i = 0; i < 3; ++i) {
      switch (random_.below(14)) {
        case 0:
        case 1:
          if (own) break;
          paused_[direction] = true;
          api.timer_arm(stream, direction, random_.below(4));
          verdict = WEIR_PAUSE;
          break;
        case 2:
          api.post(stream, 1);
          break;
        case 3:
          api.timer_arm(stream, 2, random_.below(3));
          break;
        case 4:
          api.resume(stream, random_.below(2));
          break;
        case 5:
          api.add_header(stream, random_.below(4), text_of("x-monkey"), text_of("was here"));
          break;
        case 6:
          if (random_.below(6) == 0) {
            weir_reply reply{sizeof(weir_reply), 503, text_of("enough"), {}, nullptr, 0, 0};
            if (api.reply(stream, &reply) == WEIR_OK) {
              state_ = 2;
              return random_.below(2) == 0 ? uint32_t{WEIR_DONE} : uint32_t{WEIR_CONTINUE};
            }
          }
          break;
        case 7:
          api.body_append(stream, text_of("+"));
          break;
        default:
          break;
      }
    }
    if (event == "timer") {
      api.resume(stream, WEIR_REQUEST);
      api.resume(stream, WEIR_RESPONSE);
    }
    // A timer is armed for each pause, so that nothing hangs.
    return verdict;
  }

 private:
  void expect(bool condition) {
    if (!condition)
      ADD_FAILURE() << "order broken at event " << plugin_.events.size() << " (" << plugin_.events.back()
                    << ") in state " << state_;
  }
  ScriptedPlugin& plugin_;
  Random random_;
  int state_ = 0;  // none, made, answered, complete
  bool paused_[2] = {false, false};
};

TEST(DynamicChaos, Monkey) {
  for_each_seed(400, [](uint64_t seed) {
    ScriptedPlugin plugins[2];
    Monkey monkeys[2] = {{plugins[0], seed * 2}, {plugins[1], seed * 2 + 1}};
    for (int i = 0; i < 2; ++i) {
      plugins[i].set_script([&monkeys, i](std::string_view event, uint64_t handle, uint64_t argument) {
        return monkeys[i].on(event, handle, argument);
      });
    }
    std::vector<std::shared_ptr<ChaosConfig>> chaos;
    for (uint64_t i = 0; i < 3; ++i) {
      chaos.push_back(std::make_shared<ChaosConfig>());
      chaos.back()->seed = seed * 3 + i;
      chaos.back()->answer_per_mille = 30;
      chaos.back()->abort_per_mille = 30;
    }
    Random random(seed);
    {
      FilterHarness harness({chaos_entry(chaos[0], "a"), plugins[0].entry(), chaos_entry(chaos[1], "b"),
                             plugins[1].entry(), chaos_entry(chaos[2], "c")});
      if (random.below(2) == 0) harness.respond_early();
      harness.send_headers({{":method", "POST"}, {":path", "/"}});
      for (uint32_t i = random.below(4); i > 0; --i) harness.send_data("request");
      harness.send_trailers({{"x-end", "1"}});
      harness.respond_headers({{":status", "200"}});
      for (uint32_t i = random.below(4); i > 0; --i) harness.respond_data("response");
      harness.respond_trailers({{"x-end", "1"}});
      harness.run(std::chrono::milliseconds(random.below(200)));
      harness.disconnect();
    }
    for (ScriptedPlugin& plugin : plugins) {
      EXPECT_EQ(plugin.count("create"), plugin.count("destroy"));
      EXPECT_LE(plugin.count("complete"), 1u);
      EXPECT_EQ(plugin.count("complete"), plugin.count("create"));
    }
    for (const auto& one : chaos) EXPECT_EQ(one->record->violations, std::vector<std::string>{});
  });
}

}  // namespace
}  // namespace weir::test
