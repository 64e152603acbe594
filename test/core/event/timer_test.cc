// The wheel against a sorted map, over milliseconds and over months.
#include "core/event/timer.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "core/base/random.h"
#include "test/support/seed.h"

namespace weir::event {
namespace {

class Recorder final : public Timer {
 public:
  explicit Recorder(std::function<void(Recorder&)> fired) : fired_(std::move(fired)) {}
  void on_timer() override {
    ++count;
    fired_(*this);
  }
  int count = 0;

 private:
  std::function<void(Recorder&)> fired_;
};

const MonoTime kStart{1'000s};

TEST(TimerWheel, NeverEarlyAndNeverForgotten) {
  test::for_each_seed(150, [](uint64_t seed) {
    Random random(seed);
    MonoTime now = kStart + Duration(random.below(1'000'000'000));
    TimerWheel wheel(now);
    std::map<Recorder*, MonoTime> armed;  // deadline by timer
    std::vector<std::unique_ptr<Recorder>> timers;
    auto fired = [&](Recorder& timer) {
      auto found = armed.find(&timer);
      ASSERT_NE(found, armed.end()) << "fired without being armed";
      ASSERT_LE(found->second, now) << "fired early";
      armed.erase(found);
    };
    for (int i = 0; i < 60; ++i) timers.push_back(std::make_unique<Recorder>(fired));
    auto span = [&]() -> Duration {
      switch (random.below(6)) {
        case 0:
          return Duration(random.below(3'000'000));
        case 1:
          return std::chrono::milliseconds(random.below(300));
        case 2:
          return std::chrono::milliseconds(random.below(70'000));
        case 3:
          return std::chrono::seconds(random.below(20'000));
        case 4:
          return std::chrono::hours(random.below(24 * 100));
        default:
          return Duration(-static_cast<int64_t>(random.below(1'000'000)));
      }
    };
    for (int i = 0; i < 600; ++i) {
      for (uint32_t k = 0, count = random.below(4); k < count; ++k) {
        Recorder& timer = *timers[random.below(60)];
        if (random.below(5) == 0) {
          timer.cancel();
          armed.erase(&timer);
        } else {
          MonoTime deadline = now + span();
          wheel.arm(timer, deadline);
          armed[&timer] = deadline;
        }
        ASSERT_EQ(timer.armed(), armed.contains(&timer));
      }
      // How long the loop would sleep: not beyond the next deadline by more than the millisecond of resolution.
      Duration sleep = wheel.until_next(now);
      if (!armed.empty()) {
        MonoTime next = MonoTime::max();
        for (const auto& [timer, deadline] : armed) next = std::min(next, deadline);
        ASSERT_LE(sleep, std::max(Duration::zero(), next - now) + 2ms);
      } else {
        // Cancelled timers leave at most marks that are found empty.
        ASSERT_TRUE(sleep == Duration::max());
      }
      Duration step = random.below(3) == 0 && sleep < 10'000h ? sleep : span();
      if (step < Duration::zero()) step = Duration::zero();
      now += step;
      wheel.advance(now);
      for (const auto& [timer, deadline] : armed) ASSERT_GT(deadline, now - 2ms) << "forgotten";
    }
  });
}

TEST(TimerWheel, SleepingAsToldFiresEveryTimerOnTime) {
  for (Duration delay :
       {Duration(1), Duration(999'999), Duration(1ms), Duration(255ms), Duration(256ms), Duration(257ms),
        Duration(65'535ms), Duration(65'536ms), Duration(1h), Duration(5h), Duration(1200h)}) {
    MonoTime now = kStart;
    TimerWheel wheel(now);
    bool fired = false;
    Recorder timer([&](Recorder&) { fired = true; });
    wheel.arm(timer, now + delay);
    int wakeups = 0;
    while (!fired) {
      ASSERT_LT(++wakeups, 2000);
      Duration sleep = wheel.until_next(now);
      ASSERT_GT(sleep, Duration::zero());
      now += sleep;
      wheel.advance(now);
    }
    EXPECT_GE(now, kStart + delay);
    EXPECT_LE(now, kStart + delay + 1ms);
  }
}

TEST(TimerWheel, CallbacksMayCancelRearmAndDestroy) {
  MonoTime now = kStart;
  TimerWheel wheel(now);
  std::unique_ptr<Recorder> victim;
  Recorder other([](Recorder&) {});
  Recorder again([&](Recorder& self) {
    if (self.count < 3) wheel.arm(self, now + 1ms);
  });
  Recorder killer([&](Recorder&) {
    victim.reset();
    other.cancel();
  });
  victim = std::make_unique<Recorder>([](Recorder&) { FAIL() << "cancelled"; });
  wheel.arm(killer, now + 5ms);
  wheel.arm(*victim, now + 5ms);
  wheel.arm(other, now + 5ms);
  wheel.arm(again, now + 5ms);
  now += 5ms;
  wheel.advance(now);
  EXPECT_EQ(killer.count, 1);
  EXPECT_EQ(other.count, 0);
  EXPECT_EQ(again.count, 1);
  EXPECT_TRUE(again.armed());
  for (int i = 0; i < 5; ++i) wheel.advance(now += 1ms);
  EXPECT_EQ(again.count, 3);
  EXPECT_EQ(wheel.until_next(now), Duration::max());
}

}  // namespace
}  // namespace weir::event
