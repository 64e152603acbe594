#include "core/event/lane.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "test/support/test_lane.h"

namespace weir::event {
namespace {

using test::TestLane;

TEST(Lane, PostedTasksRunInOrderAndLaterPostsInALaterTurn) {
  TestLane lane;
  std::string order;
  lane.lane().post([&] {
    order += "a";
    lane.lane().post([&] { order += "c"; });
  });
  lane.lane().post([&] { order += "b"; });
  lane.turn();
  EXPECT_EQ(order, "ab");
  lane.turn();
  EXPECT_EQ(order, "abc");
}

class Work final : public EndOfTurn {
 public:
  Work(std::string& order, char name) : order_(order), name_(name) {}
  void on_end_of_turn() override {
    order_ += name_;
    if (next != nullptr) std::exchange(next, nullptr)();
  }
  void (*next)() = nullptr;

 private:
  std::string& order_;
  char name_;
};

class Object final : public Deferred {
 public:
  Object(std::string& order, char name) : order_(order), name_(name) {}
  void dispose() override {
    order_ += name_;
    if (then) then();
  }
  std::function<void()> then;

 private:
  std::string& order_;
  char name_;
};

TEST(Lane, EndOfTurnWorkComesOnceAndBeforeDestruction) {
  TestLane lane;
  std::string order;
  Work one(order, '1'), two(order, '2');
  Object dead(order, 'x');
  lane.lane().post([&] {
    lane.lane().defer_delete(dead);
    lane.lane().at_end_of_turn(one);
    lane.lane().at_end_of_turn(two);
    lane.lane().at_end_of_turn(one);
    order += "p";
  });
  EXPECT_EQ(order, "");
  lane.turn();
  EXPECT_EQ(order, "p12x");
  lane.turn();
  EXPECT_EQ(order, "p12x");
}

TEST(Lane, DestructionMayBringMoreOfBoth) {
  TestLane lane;
  std::string order;
  Work work(order, 'w');
  Object second(order, 'y');
  Object first(order, 'x');
  first.then = [&] {
    lane.lane().defer_delete(second);
    lane.lane().at_end_of_turn(work);
  };
  lane.lane().defer_delete(first);
  lane.turn();
  EXPECT_EQ(order, "xwy");
}

TEST(Lane, WorkForTheNextTurnWaitsForIt) {
  TestLane lane;
  std::string order;
  Work work(order, 'w');
  lane.lane().post([&] { lane.lane().at_next_turn(work); });
  lane.turn();
  EXPECT_EQ(order, "");
  lane.turn();
  EXPECT_EQ(order, "w");
}

TEST(Lane, ThoseThatComeFirstAreAllToldBeforeAnyOther) {
  TestLane lane;
  struct Ready final : Pollable {
    void on_ready(uint32_t) override { *order += name; }
    std::string* order = nullptr;
    char name = ' ';
  };
  std::string order;
  std::array<Ready, 4> ready;
  int pipes[4][2];
  for (size_t i = 0; i < ready.size(); ++i) {
    ready[i].order = &order;
    ready[i].name = static_cast<char>('a' + i);
    ASSERT_EQ(pipe2(pipes[i], O_NONBLOCK | O_CLOEXEC), 0);
    lane.lane().poller().add(pipes[i][0], ready[i], i % 2 == 1 ? Poller::Order::kFirst : Poller::Order::kAny);
  }
  for (auto& ends : pipes) ASSERT_EQ(write(ends[1], "x", 1), 1);
  lane.turn();
  EXPECT_EQ(order, "bdac");
  for (auto& ends : pipes) {
    close(ends[0]);
    close(ends[1]);
  }
}

class Alarm final : public Timer {
 public:
  void on_timer() override { ++fired; }
  int fired = 0;
};

TEST(Lane, TimersFollowTheClock) {
  TestLane lane;
  Alarm alarm;
  lane.lane().arm_in(alarm, 10ms);
  lane.advance(9ms);
  EXPECT_EQ(alarm.fired, 0);
  lane.advance(1ms);
  EXPECT_EQ(alarm.fired, 1);
  lane.advance(1h);
  EXPECT_EQ(alarm.fired, 1);
}

TEST(Lane, CurrentIsTheLaneWhoseTurnItIs) {
  TestLane one(1), two(2);
  Lane::leave();
  EXPECT_EQ(Lane::current(), nullptr);
  one.lane().post([&] {
    EXPECT_EQ(Lane::current(), &one.lane());
    EXPECT_TRUE(one.lane().on_thread());
    EXPECT_FALSE(two.lane().on_thread());
    two.lane().turn(Duration::zero());  // as the simulator does: inside another's
    EXPECT_EQ(Lane::current(), &one.lane());
  });
  one.turn();
  EXPECT_EQ(Lane::current(), nullptr);
}

// Real threads: every post runs once, on the lane, and wakes it.
TEST(Lane, PostsFromManyThreadsAllArrive) {
  Lane lane({.index = 1});
  std::thread runner([&] { lane.run(); });
  constexpr int kPosters = 4, kPosts = 2000;
  std::array<int, kPosters> seen{};
  std::atomic<int> wrong{0};
  std::vector<std::thread> posters;
  for (int p = 0; p < kPosters; ++p) {
    posters.emplace_back([&, p] {
      for (int i = 0; i < kPosts; ++i) {
        lane.post([&, p, i] {
          if (seen[static_cast<size_t>(p)] != i || !lane.on_thread()) ++wrong;
          ++seen[static_cast<size_t>(p)];
        });
      }
    });
  }
  for (std::thread& poster : posters) poster.join();
  lane.stop();
  runner.join();
  EXPECT_EQ(wrong, 0);
  for (int count : seen) EXPECT_EQ(count, kPosts);
}

}  // namespace
}  // namespace weir::event
