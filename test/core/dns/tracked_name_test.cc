// When names are asked for again, and what is known of them meanwhile; simulated time.
#include "core/dns/tracked_name.h"

#include <gtest/gtest.h>

#include "test/core/dns/fake_resolver.h"
#include "test/support/test_lane.h"

namespace weir::dns {
namespace {

Answer found(std::optional<Duration> ttl = {}) {
  Answer answer;
  answer.outcome = Outcome::kFound;
  answer.ttl = ttl;
  return answer;
}
const Answer kFailure;

// field: Cluster.dns_refresh_rate, DnsCluster.dns_refresh_rate, Cluster.respect_dns_ttl, DnsCluster.respect_dns_ttl
TEST(RefreshTest, RateOrLifetime) {
  Random random(1);
  Refresh plain({.rate = 7s});
  EXPECT_EQ(plain.after(found(60s), random), 7s);
  EXPECT_EQ(plain.after(kFailure, random), 7s);
  Refresh by_ttl({.rate = 7s, .respect_ttl = true});
  EXPECT_EQ(by_ttl.after(found(60s), random), 60s);
  EXPECT_EQ(by_ttl.after(found(), random), 7s);
  EXPECT_EQ(by_ttl.after(found(0s), random), 7s);
  EXPECT_EQ(by_ttl.after(found(10ms), random), 1s);
  EXPECT_EQ(by_ttl.after(found(std::chrono::seconds(INT32_MAX)), random), 24h);
  EXPECT_EQ(by_ttl.after(kFailure, random), 7s);
  Refresh rapid({.rate = Duration{1}});
  EXPECT_EQ(rapid.after(found(), random), 1ms);
}

// field: Cluster.dns_jitter, DnsCluster.dns_jitter
TEST(RefreshTest, JitterIsAdded) {
  Random random(1);
  Refresh jittery({.rate = 1s, .jitter = 100ms});
  Duration least = 1h, most{};
  for (int i = 0; i < 2000; ++i) {
    const Duration next = jittery.after(found(), random);
    least = std::min(least, next);
    most = std::max(most, next);
  }
  EXPECT_EQ(least, 1s);
  EXPECT_EQ(most, 1100ms);
}

// field: Cluster.dns_failure_refresh_rate, Cluster.RefreshRate.base_interval, Cluster.RefreshRate.max_interval
// field: DnsCluster.dns_failure_refresh_rate, DnsCluster.RefreshRate.base_interval, DnsCluster.RefreshRate.max_interval
TEST(RefreshTest, FailuresBackOff) {
  Random random(1);
  Refresh refresh({.rate = 1h, .failure_base = 2s, .failure_most = 10s});
  for (int round = 0; round < 50; ++round) {
    for (const Duration ceiling : {2s, 4s, 8s, 10s, 10s}) {
      const Duration next = refresh.after(kFailure, random);
      EXPECT_GE(next, ceiling / 2);
      EXPECT_LE(next, ceiling);
    }
    EXPECT_EQ(refresh.after(found(), random), 1h);  // and begins anew
  }
}

class TrackedNameTest : public testing::Test, protected TrackedName::Observer {
 protected:
  TrackedName& make(TrackedName::OnNone on_none = TrackedName::OnNone::kReplace, const RefreshPlan& plan = {},
                    FamilyPolicy policy = FamilyPolicy::kV4Only) {
    TrackedName::Observer& observer = *this;
    name_ = std::make_unique<TrackedName>(lane_, resolvers_.shared(), "a.example", policy, plan, on_none, observer);
    name_->start();
    return *name_;
  }
  void on_asking(const TrackedName&) override { ++asking_; }
  void on_answer(const TrackedName&, const Answer&, bool changed) override {
    ++answers_;
    changes_ += changed ? 1 : 0;
  }
  void answer(const std::vector<std::string>& ips) {
    resolvers_->answer("a.example/4", ips);
    lane_.advance(1ms);
  }
  static std::vector<std::string> texts(const std::vector<net::Address>& addresses) {
    std::vector<std::string> out;
    for (const net::Address& address : addresses) out.push_back(address.ip_to_string());
    return out;
  }
  using Texts = std::vector<std::string>;

  test::TestLane lane_{0};
  stats::Store store_;
  test::FakeResolvers resolvers_{lane_, store_};
  std::unique_ptr<TrackedName> name_;
  int asking_ = 0, answers_ = 0, changes_ = 0;
};

TEST_F(TrackedNameTest, IsAskedForAgainAfterItsAnswer) {
  TrackedName& name = make();
  EXPECT_FALSE(name.settled());
  lane_.advance(1h);  // not while it waits
  EXPECT_EQ(asking_, 1);
  answer({"10.0.0.2", "10.0.0.1"});
  EXPECT_TRUE(name.settled());
  EXPECT_EQ(texts(name.addresses()), (Texts{"10.0.0.1", "10.0.0.2"}));
  EXPECT_EQ(texts(name.in_order()), (Texts{"10.0.0.2", "10.0.0.1"}));
  lane_.advance(4999ms);
  EXPECT_EQ(asking_, 1);
  lane_.advance(1ms);
  EXPECT_EQ(asking_, 2);
  answer({"10.0.0.1", "10.0.0.2"});  // another order is no change
  EXPECT_EQ(changes_, 1);
}

TEST_F(TrackedNameTest, FailuresKeepWhatIsKnown) {
  TrackedName& name = make();
  answer({"10.0.0.1"});
  for (int i = 1; i <= 3; ++i) {
    lane_.advance(5s);
    resolvers_->fail("a.example/4", i == 2 ? Outcome::kFailed : Outcome::kTimeout);
    lane_.advance(1ms);
    EXPECT_EQ(name.failures(), static_cast<uint32_t>(i));
  }
  EXPECT_EQ(texts(name.addresses()), (Texts{"10.0.0.1"}));
  EXPECT_EQ(changes_, 1);
}

TEST_F(TrackedNameTest, AnEmptyAnswerIsBelievedOrNot) {
  TrackedName& name = make();
  answer({"10.0.0.1"});
  lane_.advance(5s);
  answer({});
  EXPECT_TRUE(name.addresses().empty());
  EXPECT_EQ(changes_, 2);

  TrackedName& other = make(TrackedName::OnNone::kKeep);
  answer({"10.0.0.1"});
  lane_.advance(5s);
  answer({});
  EXPECT_EQ(texts(other.addresses()), (Texts{"10.0.0.1"}));
}

TEST_F(TrackedNameTest, OfAllFamiliesOneThatFailsKeepsItsAddresses) {
  TrackedName& name = make(TrackedName::OnNone::kReplace, {.failure_base = 1s, .failure_most = 1s}, FamilyPolicy::kAll);
  const auto both = [&](const Texts& six, const Texts& four) {
    for (const auto& [key, ips] : {std::pair("a.example/6", six), {"a.example/4", four}}) {
      ips == Texts{"-"} ? resolvers_->fail(key) : resolvers_->answer(key, ips);
    }
    lane_.advance(1ms);
  };
  both({"2001:db8::1"}, {"10.0.0.1"});
  lane_.advance(5s);
  both({"-"}, {"10.0.0.2"});
  EXPECT_EQ(texts(name.in_order()), (Texts{"2001:db8::1", "10.0.0.2"}));
  EXPECT_EQ(name.failures(), 1u);
  lane_.advance(1s);  // as after failures
  both({"2001:db8::2"}, {"-"});
  EXPECT_EQ(texts(name.in_order()), (Texts{"2001:db8::2", "10.0.0.2"}));
  EXPECT_EQ(name.failures(), 2u);
  lane_.advance(1s);
  both({"2001:db8::2"}, {});  // that there is none is an answer
  EXPECT_EQ(texts(name.in_order()), (Texts{"2001:db8::2"}));
  EXPECT_EQ(name.failures(), 0u);
}

TEST_F(TrackedNameTest, AFailureOfThePreferredFamilyIsNoReasonForTheOther) {
  for (const bool six : {true, false}) {
    const std::string preferred = six ? "a.example/6" : "a.example/4", other = six ? "a.example/4" : "a.example/6";
    const std::string one = six ? "2001:db8::1" : "10.0.0.1", two = six ? "10.0.0.1" : "2001:db8::1";
    TrackedName& name = make(TrackedName::OnNone::kReplace, {}, six ? FamilyPolicy::kAuto : FamilyPolicy::kV4Preferred);
    const auto next = [&](const Texts& ips) {
      lane_.advance(5s);
      ips == Texts{"-"} ? resolvers_->fail(preferred) : resolvers_->answer(preferred, ips);
      if (ips != Texts{one}) resolvers_->answer(other, {two});
      lane_.advance(1ms);
    };
    resolvers_->fail(preferred);
    resolvers_->answer(other, {two});
    lane_.advance(1ms);
    EXPECT_EQ(texts(name.addresses()), Texts{two});  // all there is
    EXPECT_EQ(name.failures(), 0u);
    next({one});
    EXPECT_EQ(texts(name.addresses()), Texts{one});
    resolvers_->answer(other, {two});  // too late to count
    next({"-"});
    EXPECT_EQ(texts(name.addresses()), Texts{one});
    EXPECT_EQ(name.failures(), 1u);
    next({});
    EXPECT_EQ(texts(name.addresses()), Texts{two});
    name_.reset();
  }
}

TEST_F(TrackedNameTest, AFailureSettlesIt) {
  TrackedName& name = make();
  resolvers_->fail("a.example/4");
  lane_.advance(1ms);
  EXPECT_TRUE(name.settled());
  EXPECT_TRUE(name.addresses().empty());
}

TEST_F(TrackedNameTest, ItsEndEndsEverything) {
  make();
  name_.reset();
  resolvers_->answer("a.example/4", {"10.0.0.1"});
  lane_.advance(1h);
  EXPECT_EQ(answers_, 0);
  EXPECT_EQ(asking_, 1);
}

}  // namespace
}  // namespace weir::dns
