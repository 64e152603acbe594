// Coalescing, family policies and cancelling, in simulated time.
#include "core/dns/resolver.h"

#include <gtest/gtest.h>

#include <functional>

#include "test/core/dns/fake_resolver.h"
#include "test/support/test_lane.h"

namespace weir::dns {
namespace {

using Texts = std::vector<std::string>;

class Asker final : public Lookup {
 public:
  void on_answer(const Answer& given) override {
    ++answers;
    outcome = given.outcome;
    ttl = given.ttl;
    unanswered = given.unanswered;
    addresses.clear();
    for (const net::Address& address : given.addresses) addresses.push_back(address.ip_to_string());
    if (then) then();
  }
  int answers = 0;
  Outcome outcome = Outcome::kFailed;
  std::optional<Duration> ttl;
  std::optional<Answer::Unanswered> unanswered;
  Texts addresses;
  std::function<void()> then;
};

class ResolverTest : public testing::Test {
 protected:
  void resolve(Asker& asker, FamilyPolicy policy = FamilyPolicy::kV4Only, const std::string& name = "a.example") {
    resolvers_->resolve(name, policy, asker);
  }
  void deliver() { lane_.advance(1ms); }
  uint64_t stat(const char* name) { return store_.counter(std::string("dns.cares.") + name).value(); }

  test::TestLane lane_{0};
  stats::Store store_;
  test::FakeResolvers resolvers_{lane_, store_};
};

TEST_F(ResolverTest, AnAnswerComesAtALaterTurn) {
  Asker one;
  resolve(one);
  EXPECT_TRUE(one.active());
  resolvers_->answer("a.example/4", {"10.0.0.1", "10.0.0.2"}, 30s);
  EXPECT_EQ(one.answers, 0);
  deliver();
  EXPECT_EQ(one.answers, 1);
  EXPECT_EQ(one.addresses, (Texts{"10.0.0.1", "10.0.0.2"}));
  EXPECT_EQ(one.ttl, 30s);
  EXPECT_FALSE(one.active());
}

TEST_F(ResolverTest, ASynchronousAnswerIsDeliveredOnceAndLater) {
  resolvers_->at_once = true;
  for (const FamilyPolicy policy : {FamilyPolicy::kAuto, FamilyPolicy::kAll, FamilyPolicy::kV4Preferred}) {
    Asker one;
    resolve(one, policy);
    EXPECT_EQ(one.answers, 0);
    deliver();
    EXPECT_EQ(one.answers, 1);
    EXPECT_EQ(one.outcome, Outcome::kNone);
  }
}

TEST_F(ResolverTest, IdenticalLookupsShareAQuestion) {
  Asker one, two, other;
  resolve(one);
  resolve(two);
  resolve(other, FamilyPolicy::kAll);  // its IPv4 half is the same question
  EXPECT_EQ(resolvers_->asked(), (Texts{"a.example/4", "a.example/6"}));
  EXPECT_EQ(stat("resolve_total"), 2u);
  EXPECT_EQ(store_.gauge("dns.cares.pending_resolutions").value(), 2);
  resolvers_->answer("a.example/4", {"10.0.0.1"});
  deliver();
  EXPECT_EQ(one.answers + two.answers, 2);
  EXPECT_EQ(other.answers, 0);
  resolvers_->answer("a.example/6", {"2001:db8::1"});
  deliver();
  EXPECT_EQ(other.addresses, (Texts{"2001:db8::1", "10.0.0.1"}));
  EXPECT_EQ(store_.gauge("dns.cares.pending_resolutions").value(), 0);
}

TEST_F(ResolverTest, CancellingLeavesTheOthersAndTheQuestion) {
  Asker stays;
  {
    Asker goes;
    resolve(goes);
    resolve(stays);
  }
  resolvers_->answer("a.example/4", {"10.0.0.1"});
  deliver();
  EXPECT_EQ(stays.answers, 1);

  Asker cancelled, late;
  resolve(cancelled);
  cancelled.cancel();
  EXPECT_FALSE(cancelled.active());
  resolve(late);  // joins what goes on
  EXPECT_EQ(resolvers_->asked().size(), 1u);
  resolvers_->answer("a.example/4", {"10.0.0.2"});
  deliver();
  EXPECT_EQ(cancelled.answers, 0);
  EXPECT_EQ(late.answers, 1);
}

TEST_F(ResolverTest, OneThatIsCancelledWhenItsAnswerIsThereHearsNothing) {
  Asker one, two;
  resolve(one);
  resolve(two);
  resolvers_->answer("a.example/4", {"10.0.0.1"});
  one.cancel();
  deliver();
  EXPECT_EQ(one.answers, 0);
  EXPECT_EQ(two.answers, 1);
}

TEST_F(ResolverTest, WhoAsksAgainInItsAnswerIsAnsweredAtALaterTurn) {
  Asker one;
  one.then = [&] {
    if (one.answers < 3) resolve(one, FamilyPolicy::kAuto, "192.0.2.1");
  };
  resolve(one, FamilyPolicy::kAuto, "192.0.2.1");
  deliver();
  EXPECT_EQ(one.answers, 1);
  deliver();
  deliver();
  EXPECT_EQ(one.answers, 3);
}

// field: Cluster.dns_lookup_family, DnsCluster.dns_lookup_family
TEST_F(ResolverTest, Policies) {
  struct Case {
    FamilyPolicy policy;
    Texts v4, v6, expected;
  };
  const Texts none, four{"10.0.0.1"}, six{"2001:db8::1"};
  for (const Case& one : std::initializer_list<Case>{{FamilyPolicy::kAuto, four, six, six},
                                                     {FamilyPolicy::kAuto, four, none, four},
                                                     {FamilyPolicy::kAuto, none, none, none},
                                                     {FamilyPolicy::kV4Preferred, four, six, four},
                                                     {FamilyPolicy::kV4Preferred, none, six, six},
                                                     {FamilyPolicy::kAll, four, none, four},
                                                     {FamilyPolicy::kAll, none, six, six},
                                                     {FamilyPolicy::kAll, none, none, none}}) {
    Asker asker;
    resolve(asker, one.policy);
    resolvers_->answer("a.example/4", one.v4);
    resolvers_->answer("a.example/6", one.v6);
    deliver();
    EXPECT_EQ(asker.answers, 1);
    EXPECT_EQ(asker.addresses, one.expected);
    EXPECT_EQ(asker.outcome, one.expected.empty() ? Outcome::kNone : Outcome::kFound);
  }
  Asker four_only, six_only;
  resolve(four_only, FamilyPolicy::kV4Only);
  EXPECT_EQ(resolvers_->asked(), (Texts{"a.example/4"}));
  resolve(six_only, FamilyPolicy::kV6Only, "b.example");
  EXPECT_EQ(resolvers_->asked(), (Texts{"a.example/4", "b.example/6"}));
}

TEST_F(ResolverTest, APreferredFamilyNeedNotWaitForTheOther) {
  Asker six, four;
  resolve(six, FamilyPolicy::kAuto);
  resolve(four, FamilyPolicy::kV4Preferred, "b.example");
  resolvers_->answer("a.example/6", {"2001:db8::1"});
  resolvers_->answer("b.example/4", {"10.0.0.1"});
  deliver();
  EXPECT_EQ(six.answers, 1);
  EXPECT_EQ(four.answers, 1);
  // What comes later reaches nobody.
  resolvers_->answer("a.example/4", {"10.0.0.1"});
  resolvers_->fail("b.example/6");
  deliver();
  EXPECT_EQ(six.answers, 1);
  EXPECT_EQ(four.answers, 1);
}

TEST_F(ResolverTest, ThereIsNothingOnlyIfBothFamiliesSaySo) {
  Asker one, two;
  resolve(one, FamilyPolicy::kAuto);
  resolvers_->answer("a.example/4", {});
  resolvers_->fail("a.example/6");
  deliver();
  EXPECT_EQ(one.outcome, Outcome::kTimeout);
  resolve(two, FamilyPolicy::kAll);
  resolvers_->answer("a.example/4", {"10.0.0.1"});
  resolvers_->fail("a.example/6", Outcome::kFailed);
  deliver();
  EXPECT_EQ(two.outcome, Outcome::kFound);
  ASSERT_TRUE(two.unanswered.has_value());
  EXPECT_EQ(two.unanswered->family, net::Family::kIpv6);
  EXPECT_EQ(two.unanswered->outcome, Outcome::kFailed);
  EXPECT_EQ(stat("not_found"), 1u);
  EXPECT_EQ(stat("timeout"), 1u);
  EXPECT_EQ(stat("get_addr_failure"), 1u);
}

TEST_F(ResolverTest, AnAddressIsItsOwnAnswer) {
  Asker one, two, three;
  resolve(one, FamilyPolicy::kAuto, "192.0.2.1");
  resolve(two, FamilyPolicy::kV4Preferred, "2001:db8::7");
  resolve(three, FamilyPolicy::kV6Only, "192.0.2.1");
  EXPECT_EQ(one.answers, 0);
  deliver();
  EXPECT_EQ(one.addresses, (Texts{"192.0.2.1"}));
  EXPECT_EQ(two.addresses, (Texts{"2001:db8::7"}));
  EXPECT_EQ(three.outcome, Outcome::kNone);
  EXPECT_EQ(resolvers_->asked_ever(), 0u);
}

TEST_F(ResolverTest, TheLowestTtlOfBothFamiliesCounts) {
  Asker one;
  resolve(one, FamilyPolicy::kAll);
  resolvers_->answer("a.example/4", {"10.0.0.1"}, 7s);
  resolvers_->answer("a.example/6", {"2001:db8::1"}, 9s);
  deliver();
  EXPECT_EQ(one.ttl, 7s);
}

TEST_F(ResolverTest, ItsEndCancelsWhatWaits) {
  Asker waits, due;
  auto resolver = std::make_unique<test::FakeResolver>(lane_, ResolverStats(store_));
  resolver->resolve("a.example", FamilyPolicy::kAll, waits);
  resolver->resolve("192.0.2.1", FamilyPolicy::kAll, due);
  resolver.reset();
  EXPECT_FALSE(waits.active());
  EXPECT_FALSE(due.active());
  deliver();
  EXPECT_EQ(waits.answers + due.answers, 0);
  EXPECT_EQ(store_.gauge("dns.cares.pending_resolutions").value(), 0);
}

}  // namespace
}  // namespace weir::dns
