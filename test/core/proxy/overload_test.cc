// How much of an overload action hits, and how it shortens deadlines that are set and those that come.
#include "core/proxy/overload.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/proxy/deadlines.h"
#include "test/support/test_lane.h"

namespace weir::proxy {
namespace {

void reduce(Overload& overload, ScaledTimeout kind, Overload::Reduction to) {
  overload.reductions[static_cast<size_t>(kind)] = to;
  overload.reduces = true;
}

TEST(Overload, HitsAsOftenAsItIsInForce) {
  Overload overload;
  Random random(1);
  const auto hits = [&] {
    int count = 0;
    for (int i = 0; i < 10'000; ++i) count += overload.hits(OverloadAction::kStopAcceptingRequests, random);
    return count;
  };
  EXPECT_EQ(hits(), 0);
  EXPECT_FALSE(overload.any(OverloadAction::kStopAcceptingRequests));
  overload.set(OverloadAction::kStopAcceptingRequests, 0.25);
  EXPECT_NEAR(hits(), 2500, 200);
  EXPECT_TRUE(overload.any(OverloadAction::kStopAcceptingRequests));
  EXPECT_FALSE(overload.saturated(OverloadAction::kStopAcceptingRequests));
  overload.set(OverloadAction::kStopAcceptingRequests, 1);
  EXPECT_EQ(hits(), 10'000);
  EXPECT_TRUE(overload.saturated(OverloadAction::kStopAcceptingRequests));
  EXPECT_FALSE(overload.any(OverloadAction::kDisableKeepalive));
}

TEST(Overload, KnowsWhetherAnythingIsInForce) {
  Overload overload;
  EXPECT_FALSE(overload.acts());
  overload.set(OverloadAction::kShrinkHeap, 0.5);
  overload.set(OverloadAction::kShrinkHeap, 1);
  overload.set(ShedPoint::kListenerAccept, 0.1);
  EXPECT_TRUE(overload.acts());
  overload.set(OverloadAction::kShrinkHeap, 0);
  overload.set(OverloadAction::kShrinkHeap, 0);
  EXPECT_TRUE(overload.acts());
  overload.set(ShedPoint::kListenerAccept, 0);
  EXPECT_FALSE(overload.acts());
}

TEST(Overload, TimeoutsShrinkInProportion) {
  Overload overload;
  reduce(overload, ScaledTimeout::kStreamIdle, {.on = true, .least = 2s});
  reduce(overload, ScaledTimeout::kConnectionIdle, {.on = true, .share = 0.5});
  EXPECT_EQ(overload.reduced(ScaledTimeout::kStreamIdle, 10s), 10s);
  overload.set(OverloadAction::kReduceTimeouts, 0.5);
  EXPECT_EQ(overload.reduced(ScaledTimeout::kStreamIdle, 10s), 6s);
  EXPECT_EQ(overload.reduced(ScaledTimeout::kConnectionIdle, 10s), 7500ms);
  EXPECT_EQ(overload.reduced(ScaledTimeout::kConnectionMax, 10s), 10s);
  overload.set(OverloadAction::kReduceTimeouts, 1);
  EXPECT_EQ(overload.reduced(ScaledTimeout::kStreamIdle, 10s), 2s);
  EXPECT_EQ(overload.reduced(ScaledTimeout::kStreamIdle, 1s), 1s);          // never longer
  EXPECT_EQ(overload.reduced(ScaledTimeout::kStreamIdle, Duration{}), 0s);  // none stays none
  reduce(overload, ScaledTimeout::kStreamIdle, {.on = true, .share = 0});
  EXPECT_EQ(overload.reduced(ScaledTimeout::kStreamIdle, 10s), 1ms);
}

class DeadlinesTest : public ::testing::Test, protected Deadlines::Owner {
 protected:
  void on_deadline(DeadlineKind kind) override { passed.push_back(kind); }
  void pass(Duration time) { lane.advance(time); }
  test::TestLane lane;
  Overload overload;
  std::vector<DeadlineKind> passed;
};

TEST_F(DeadlinesTest, WhatIsSetAlreadyBecomesShorterAndLongerAgain) {
  reduce(overload, ScaledTimeout::kConnectionIdle, {.on = true, .share = 0.1});
  Deadlines deadlines(lane.lane(), *this);
  deadlines.scale_by(overload);
  deadlines.set_in(DeadlineKind::kConnectionIdle, 100s);
  deadlines.set_in(DeadlineKind::kRoute, 15s);  // of a kind that nobody scales
  pass(9s);
  overload.set(OverloadAction::kReduceTimeouts, 1);
  deadlines.rescale();
  pass(900ms);
  EXPECT_TRUE(passed.empty());
  overload.set(OverloadAction::kReduceTimeouts, 0);
  deadlines.rescale();
  pass(5s);
  EXPECT_TRUE(passed.empty());
  pass(200ms);
  EXPECT_EQ(passed, std::vector{DeadlineKind::kRoute});
  passed.clear();
  overload.set(OverloadAction::kReduceTimeouts, 0.5);
  deadlines.rescale();
  pass(39s);
  EXPECT_TRUE(passed.empty());
  pass(2s);  // 55 s since it began
  EXPECT_EQ(passed, std::vector{DeadlineKind::kConnectionIdle});
}

TEST_F(DeadlinesTest, OneThatWasSetToATimeIsNotScaled) {
  reduce(overload, ScaledTimeout::kStreamIdle, {.on = true, .least = 1s});
  Deadlines deadlines(lane.lane(), *this);
  deadlines.scale_by(overload);
  deadlines.set_in(DeadlineKind::kStreamIdle, 10s);
  deadlines.set(DeadlineKind::kStreamIdle, lane.lane().now() + 10s);
  overload.set(OverloadAction::kReduceTimeouts, 1);
  deadlines.rescale();
  pass(5s);
  EXPECT_TRUE(passed.empty());
  pass(6s);
  EXPECT_EQ(passed.size(), 1u);
}

}  // namespace
}  // namespace weir::proxy
