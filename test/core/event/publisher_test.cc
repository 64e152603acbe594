// Versions reach every lane, live as long as anybody pins them, and die on main.
#include "core/event/publisher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "test/support/test_lane.h"

namespace weir::event {
namespace {

using test::TestLane;

class Version final : public Versioned {
 public:
  Version(int number, std::atomic<int>& alive, std::thread::id home = std::this_thread::get_id())
      : number(number), alive_(alive), home_(home) {
    ++alive_;
  }
  ~Version() override {
    --alive_;
    EXPECT_EQ(std::this_thread::get_id(), home_);
  }
  const int number;

 private:
  std::atomic<int>& alive_;
  std::thread::id home_;
};

class Publishing : public ::testing::Test {
 protected:
  void turns(int count = 4) {
    for (int i = 0; i < count; ++i) {
      for (TestLane* lane : {&main_, &one_, &two_}) lane->turn();
    }
  }
  uint64_t publish(SlotId id, int number, Task applied = nullptr) {
    Publisher::Batch batch;
    if (number != 0) {
      batch.set(id, std::make_unique<Version>(number, alive_));
    } else {
      batch.remove(id);
    }
    return publisher_.publish(std::move(batch), std::move(applied));
  }
  std::atomic<int> alive_{0};
  TestLane main_{0}, one_{1}, two_{2};
  Publisher publisher_{{&main_.lane(), &one_.lane(), &two_.lane()}};
};

TEST_F(Publishing, NamesAreSlotsPerKind) {
  SlotId a = publisher_.intern(SlotKind::kCluster, "a");
  SlotId b = publisher_.intern(SlotKind::kCluster, "b");
  EXPECT_EQ(publisher_.intern(SlotKind::kCluster, "a"), a);
  EXPECT_FALSE(a == b);
  EXPECT_EQ(publisher_.intern(SlotKind::kHostSet, "b").index, 0u);
  EXPECT_EQ(publisher_.name_of(b), "b");
  EXPECT_EQ(publisher_.slot_count(SlotKind::kCluster), 2u);
}

TEST_F(Publishing, ReplacedVersionsDieWhenTheLastPinGoes) {
  SlotId id = publisher_.intern(SlotKind::kOther, "x");
  EXPECT_EQ(one_.lane().slots().current<Version>(id), nullptr);
  bool applied = false;
  uint64_t number = publish(id, 1, [&] { applied = true; });
  EXPECT_EQ(one_.lane().slots().current<Version>(id), nullptr);  // not inside anybody's callback
  turns();
  EXPECT_TRUE(applied);
  EXPECT_EQ(publisher_.last_applied_everywhere(), number);
  auto pin = one_.lane().slots().pin<Version>(id);
  auto copy = pin;
  EXPECT_EQ(pin->number, 1);
  EXPECT_EQ(one_.lane().slots().pins(), 2u);
  publish(id, 2);
  turns();
  EXPECT_EQ(one_.lane().slots().current<Version>(id)->number, 2);
  EXPECT_EQ(pin->number, 1);
  EXPECT_EQ(alive_, 2);
  EXPECT_EQ(publisher_.live_versions(), 2u);
  EXPECT_EQ(one_.lane().slots().retired(), 1u);
  pin.reset();
  turns();
  EXPECT_EQ(alive_, 2);
  auto moved = std::move(copy);
  moved.reset();
  turns();
  EXPECT_EQ(alive_, 1);
  EXPECT_EQ(one_.lane().slots().retired(), 0u);
  publish(id, 0);
  turns();
  EXPECT_EQ(alive_, 0);
  EXPECT_EQ(publisher_.live_versions(), 0u);
  EXPECT_EQ(publisher_.newest(id), nullptr);
  EXPECT_FALSE(one_.lane().slots().pin<Version>(id));
}

struct Observer final : SlotObserver {
  explicit Observer(SlotTable& slots) : slots(slots) {}
  void on_slot_changed(SlotId id, const Versioned* before, const Versioned* after) override {
    ++calls;
    auto number = [](const Versioned* v) { return v != nullptr ? static_cast<const Version*>(v)->number : 0; };
    seen.emplace_back(number(before), number(after));
    if (before != nullptr) old = slots.pin<Version>(id);
  }
  SlotTable& slots;
  int calls = 0;
  std::vector<std::pair<int, int>> seen;
  Pin<Version> old;
};

TEST_F(Publishing, ObserversMayPinTheOldVersion) {
  SlotId id = publisher_.intern(SlotKind::kListener, "x");
  Observer observer(one_.lane().slots());
  one_.lane().slots().observe(SlotKind::kListener, &observer);
  publish(id, 1);
  publish(id, 2);
  publish(id, 0);
  turns();
  EXPECT_EQ(observer.seen, (std::vector<std::pair<int, int>>{{0, 1}, {1, 2}, {2, 0}}));
  ASSERT_TRUE(observer.old);
  EXPECT_EQ(observer.old->number, 2);
  EXPECT_EQ(alive_, 1);
  observer.old.reset();
  turns();
  EXPECT_EQ(alive_, 0);
}

TEST_F(Publishing, RemovalOfWhatNeverWasIsNothing) {
  SlotId id = publisher_.intern(SlotKind::kOther, "x");
  publish(id, 0);
  turns();
  EXPECT_EQ(publisher_.last_applied_everywhere(), 1u);
}

TEST_F(Publishing, AnUnpublishedBatchFreesItsVersions) {
  {
    Publisher::Batch batch;
    batch.set(publisher_.intern(SlotKind::kOther, "x"), std::make_unique<Version>(1, alive_));
  }
  EXPECT_EQ(alive_, 0);
}

// Real threads: workers pin and unpin while main publishes without pause.
TEST(PublisherThreads, WorkersPinWhileMainPublishes) {
  std::atomic<int> alive{0};
  Lane main({.index = 0});
  Lane one({.index = 1}), two({.index = 2});
  {
    Publisher publisher({&main, &one, &two});
    SlotId id = publisher.intern(SlotKind::kOther, "x");
    std::atomic<uint64_t> seen{0};
    auto busy = [&](Lane& lane) {
      struct Holder final : EndOfTurn {
        void on_end_of_turn() override {
          if (stop) {
            pins.clear();
            return;
          }
          auto pin = lane->slots().pin<Version>(id);
          if (pin) *seen += static_cast<uint64_t>(pin->number > 0);
          pins.push_back(std::move(pin));
          if (pins.size() > 10) pins.erase(pins.begin(), pins.begin() + 5);
          lane->at_next_turn(*this);
        }
        Lane* lane = nullptr;
        SlotId id;
        std::atomic<uint64_t>* seen = nullptr;
        bool stop = false;
        std::vector<Pin<Version>> pins;
      };
      auto holder = std::make_shared<Holder>();
      holder->lane = &lane;
      holder->id = id;
      holder->seen = &seen;
      lane.post([holder, &lane] { lane.at_end_of_turn(*holder); });
      return holder;
    };
    auto first = busy(one), second = busy(two);
    std::thread run_one([&] { one.run(); });
    std::thread run_two([&] { two.run(); });
    main.enter();
    constexpr int kVersions = 2000;
    int applied = 0;
    for (int i = 1; i <= kVersions; ++i) {
      Publisher::Batch batch;
      batch.set(id, std::make_unique<Version>(i, alive));
      publisher.publish(std::move(batch), [&] { ++applied; });
      if (i % 16 == 0) main.turn(Duration::zero());
    }
    while (applied < kVersions) main.turn(1ms);
    for (auto [lane, holder] : {std::pair{&one, first}, std::pair{&two, second}})
      lane->post([holder] { holder->stop = true; });
    Publisher::Batch batch;
    batch.remove(id);
    publisher.publish(std::move(batch));
    while (publisher.live_versions() > 0) main.turn(1ms);
    EXPECT_EQ(alive, 0);
    EXPECT_GT(seen, 0u);
    one.stop();
    two.stop();
    run_one.join();
    run_two.join();
    Lane::leave();
  }
}

}  // namespace
}  // namespace weir::event
