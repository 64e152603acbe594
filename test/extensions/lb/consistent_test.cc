// Balancers that go by a hash: who gets which hash, how few move when hosts come and go, who stands in for whom.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/stream/metadata.h"
#include "extensions/lb/maglev/maglev.h"
#include "extensions/lb/random/random.h"
#include "extensions/lb/ring_hash/ring_hash.h"
#include "test/extensions/lb/balancing.h"

namespace weir::lb {
namespace {

namespace consistent = extensions::consistent;
namespace maglev = extensions::maglev;
namespace ring_hash = extensions::ring_hash;

void name(Balancing& b, size_t at, const std::string& text, const std::string& hostname = "") {
  b.entries()[at].host =
      std::make_shared<Host>(*net::Address::from_ip("127.0.0.1", static_cast<uint16_t>(at + 1)), text, hostname, 2);
}

// Six hosts 127.0.0.1:90 to :95.
Balancing six() {
  Balancing b({1, 1, 1, 1, 1, 1});
  for (size_t i = 0; i < 6; ++i) name(b, i, "127.0.0.1:" + std::to_string(90 + i));
  return b;
}

std::vector<uint64_t> figures(const Table& table, size_t count) {
  std::vector<uint64_t> out(count);
  table.tell(out);
  return out;
}

uint64_t nth_hash(uint64_t i) { return i * 0x9e3779b97f4a7c15; }

std::map<HostIndex, int> spread(Balancing& b, const Table& table, int picks) {
  std::map<HostIndex, int> counts;
  for (int i = 0; i < picks; ++i) ++counts[b.pick_hash(table, nth_hash(static_cast<uint64_t>(i)))];
  return counts;
}

// --- The ring

// The places are those of xxHash64 of "127.0.0.1:90_0" and so on, as other proxies have them: by Debian's libxxhash
// 94 at 833437586790550860, 92 at 928266305478181108, 90 at 1033482794131418490, 95 at 3551244743356806947, ...
TEST(RingHash, PlacesAreThoseOfOtherProxies) {
  Balancing b = six();
  const auto table = ring_hash::build(b.input(), {.min_size = 12});
  EXPECT_EQ(figures(*table, 3), (std::vector<uint64_t>{12, 2, 2}));
  const struct {
    uint64_t hash;
    HostIndex host;
  } kPlaces[] = {
      {0, 4},
      {833437586790550860, 4},
      {833437586790550861, 2},
      {928266305478181109, 0},
      {1033482794131418491, 5},
      {3551244743356806947, 5},
      {3551244743356806948, 3},
      {3851675632748031482, 1},
      {5583722120771150862, 1},
      {6311230543546372929, 3},
      {7700377290971790573, 5},
      {13144177310400110814u, 2},
      {13444792449719432968u, 4},
      {15516499411664133161u, 0},
      {16117243373044804889u, 0},
      {16117243373044804890u, 4},  // around to the first
      {UINT64_MAX, 4},
  };
  for (const auto& [hash, host] : kPlaces) EXPECT_EQ(b.pick_hash(*table, hash), host) << hash;
}

// The order of the configuration does not matter.
TEST(RingHash, OrderDoesNotMatter) {
  Balancing b = six();
  const auto table = ring_hash::build(b.input(), {});
  Balancing back = six();
  std::reverse(back.entries().begin(), back.entries().end());
  const auto other = ring_hash::build(back.input(), {});
  for (uint64_t i = 0; i < 1000; ++i)
    EXPECT_EQ(b.host(b.pick_hash(*table, nth_hash(i)))->text(), back.host(back.pick_hash(*other, nth_hash(i)))->text());
}

TEST(RingHash, MurmurIsThatOfTheStandardLibrary) {
  for (const char* text : {"", "a", "1234567", "12345678", "123456789", "127.0.0.1:90_0", "0123456789abcdefghijkl"})
    EXPECT_EQ(ring_hash::murmur_hash(text), std::hash<std::string>()(text)) << text;
}

TEST(RingHash, MurmurGivesOtherPlaces) {
  Balancing b = six();
  const auto xx = ring_hash::build(b.input(), {.min_size = 12});
  const auto murmur = ring_hash::build(b.input(), {.min_size = 12, .murmur = true});
  std::vector<std::pair<uint64_t, HostIndex>> places;
  for (HostIndex i = 0; i < 6; ++i) {
    for (int k = 0; k < 2; ++k)
      places.emplace_back(std::hash<std::string>()(b.host(i)->text() + "_" + std::to_string(k)), i);
  }
  std::sort(places.begin(), places.end());
  bool other = false;
  for (const auto& [hash, host] : places) {
    EXPECT_EQ(b.pick_hash(*murmur, hash), host);
    other |= b.pick_hash(*xx, hash) != host;
  }
  EXPECT_TRUE(other);
}

TEST(RingHash, PlacesFollowWeights) {
  Balancing b({1, 2, 5});
  const auto table = ring_hash::build(b.input(), {.min_size = 16});
  EXPECT_EQ(figures(*table, 3), (std::vector<uint64_t>{16, 2, 10}));
  // Of the size the host with the least weight needs a whole number of places: 3 of 8/8ths.
  EXPECT_EQ(figures(*ring_hash::build(b.input(), {.min_size = 20}), 3), (std::vector<uint64_t>{24, 3, 15}));
  EXPECT_EQ(figures(*ring_hash::build(b.input(), {.min_size = 1, .max_size = 4}), 3)[0], 4u);
}

// The places of the others stay. (They get a few more, for the ring must not become too small.)
TEST(RingHash, FewMoveWhenAHostGoes) {
  Balancing b(std::vector<uint32_t>(10, 1));
  const auto before = ring_hash::build(b.input(), {});
  b.use_only({0, 1, 2, 3, 5, 6, 7, 8, 9});
  const auto after = ring_hash::build(b.input(), {});
  int moved = 0;
  for (uint64_t i = 0; i < 10'000; ++i) {
    const HostIndex was = b.pick_hash(*before, nth_hash(i));
    const HostIndex is = b.pick_hash(*after, nth_hash(i));
    EXPECT_NE(is, 4u);
    moved += was != 4 && is != was;
  }
  EXPECT_LT(moved, 1200);
  // Where they get no more nobody moves.
  b.use_only({0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  const auto ten = ring_hash::build(b.input(), {.min_size = 91});
  b.use_only({0, 1, 2, 3, 5, 6, 7, 8, 9});
  const auto nine = ring_hash::build(b.input(), {.min_size = 90});
  EXPECT_EQ(figures(*ten, 3)[1], figures(*nine, 3)[1]);
  for (uint64_t i = 0; i < 10'000; ++i) {
    const HostIndex was = b.pick_hash(*ten, nth_hash(i));
    if (was != 4) {
      EXPECT_EQ(b.pick_hash(*nine, nth_hash(i)), was);
    }
  }
}

// --- Maglev

TEST(Maglev, SharesAreEven) {
  Balancing b(std::vector<uint32_t>(7, 1));
  const auto table = maglev::build(b.input(), {});
  EXPECT_EQ(figures(*table, 2), (std::vector<uint64_t>{65537 / 7, 65537 / 7 + 1}));
  for (const auto& [host, count] : spread(b, *table, 70'000)) EXPECT_NEAR(count, 10'000, 500) << host;
}

TEST(Maglev, EntriesFollowWeights) {
  Balancing b({1, 2, 4});
  // As published, everybody has a turn in the first round.
  EXPECT_EQ(figures(*maglev::build(b.input(), {.table_size = 701}), 2), (std::vector<uint64_t>{101, 399}));
  // Weights that differ as much as they can: the table is full all the same, and soon.
  Balancing far({1, 4'000'000'000u});
  EXPECT_EQ(figures(*maglev::build(far.input(), {}), 2), (std::vector<uint64_t>{1, 65536}));
}

TEST(Maglev, OrderDoesNotMatterAndFewMove) {
  Balancing b(std::vector<uint32_t>(10, 1));
  const auto before = maglev::build(b.input(), {});
  Balancing back(std::vector<uint32_t>(10, 1));
  std::reverse(back.entries().begin(), back.entries().end());
  const auto other = maglev::build(back.input(), {});
  b.use_only({0, 1, 2, 3, 5, 6, 7, 8, 9});
  const auto after = maglev::build(b.input(), {});
  int moved = 0;
  for (uint64_t i = 0; i < 10'000; ++i) {
    const HostIndex was = b.pick_hash(*before, nth_hash(i));
    EXPECT_EQ(b.host(was)->text(), back.host(back.pick_hash(*other, nth_hash(i)))->text());
    const HostIndex is = b.pick_hash(*after, nth_hash(i));
    EXPECT_NE(is, 4u);
    moved += was != 4 && is != was;
  }
  EXPECT_LT(moved, 1000);  // modulo would move nine of ten
}

TEST(Maglev, MoreHostsThanSixteenBitsCanName) {
  Balancing b(std::vector<uint32_t>(65'600, 1));
  const auto table = maglev::build(b.input(), {.table_size = 65'609});
  std::set<HostIndex> seen;
  for (uint64_t i = 0; i < 65'609; ++i) seen.insert(b.pick_hash(*table, i));
  EXPECT_EQ(seen.size(), 65'600u);
}

// --- What both do

TEST(ConsistentHash, KeysAreMetadataHostnameAddress) {
  Balancing b({1, 1, 1});
  name(b, 0, "10.0.0.1:1", "one.example");
  name(b, 1, "10.0.0.1:2", "two.example");
  ArenaPool pool;
  Arena arena(pool);
  const stream::Value key = stream::make_struct({{"hash_key", stream::Value::of_string("mine")}}, arena);
  b.entries()[1].metadata =
      std::make_shared<const stream::StaticMetadata>(stream::make_struct({{"envoy.lb", key}}, arena));
  EXPECT_EQ(consistent::key_of(b.entries()[0], {}), "10.0.0.1:1");
  EXPECT_EQ(consistent::key_of(b.entries()[0], {.use_hostname = true}), "one.example");
  EXPECT_EQ(consistent::key_of(b.entries()[1], {.use_hostname = true}), "mine");
  EXPECT_EQ(consistent::key_of(b.entries()[2], {.use_hostname = true}), "2");  // it has no hostname
}

TEST(ConsistentHash, WithoutAHashAnyHost) {
  Balancing b({1, 1, 1});
  const auto table = ring_hash::build(b.input(), {});
  std::set<HostIndex> seen;
  for (int i = 0; i < 100; ++i) seen.insert(b.pick(*table));
  EXPECT_EQ(seen.size(), 3u);
}

TEST(ConsistentHash, ARetryGoesElsewhereAndAlwaysToTheSame) {
  Balancing b(std::vector<uint32_t>(10, 1));
  for (const auto& table : {ring_hash::build(b.input(), {}), maglev::build(b.input(), {})}) {
    std::set<HostIndex> seconds;
    for (uint64_t i = 0; i < 200; ++i) {
      const HostIndex first = b.pick_hash(*table, nth_hash(i));
      const Host* tried[] = {b.host(first)};
      const HostIndex second = b.pick_hash(*table, nth_hash(i), tried);
      EXPECT_NE(second, first);
      EXPECT_EQ(b.pick_hash(*table, nth_hash(i), tried), second);
      if (first == 0) seconds.insert(second);
    }
    EXPECT_GT(seconds.size(), 3u);  // the load of one that fails is spread
    std::vector<const Host*> all;
    for (HostIndex i = 0; i < 10; ++i) all.push_back(b.host(i));
    EXPECT_EQ(b.pick_hash(*table, 7, all), b.pick_hash(*table, 7));  // nothing better is left
    all.erase(all.begin() + 3);
    for (uint64_t i = 0; i < 50; ++i) EXPECT_EQ(b.pick_hash(*table, nth_hash(i), all), 3u);
  }
}

// field: CommonLbConfig.ConsistentHashingLbConfig.hash_balance_factor
TEST(ConsistentHash, NobodyGetsMoreThanTheFactorAllows) {
  for (const bool ring : {true, false}) {
    Balancing b({1, 1, 2});
    const auto table = ring ? ring_hash::build(b.input(), {.consistent = {.balance_factor = 125}})
                            : maglev::build(b.input(), {.consistent = {.balance_factor = 125}});
    // One key alone: 100 requests that do not end.
    std::map<HostIndex, int> order;
    for (int i = 0; i < 100; ++i) {
      const HostIndex host = b.pick_hash(*table, 42);
      b.set_in_flight(host, b.in_flight(host) + 1);
    }
    for (HostIndex i = 0; i < 3; ++i) {
      const int share = i == 2 ? 50 : 25;
      EXPECT_LE(b.in_flight(i), share * 5 / 4 + 1) << i;
      EXPECT_GE(b.in_flight(i), 100 - (100 - share) * 5 / 4 - 2) << i;
    }
  }
}

TEST(ConsistentHash, WithinTheFactorKeysStay) {
  Balancing b({1, 1, 1, 1});
  const auto table = ring_hash::build(b.input(), {.consistent = {.balance_factor = 200}});
  const auto plain = ring_hash::build(b.input(), {});
  for (HostIndex i = 0; i < 4; ++i) b.set_in_flight(i, 10);
  for (uint64_t i = 0; i < 200; ++i) EXPECT_EQ(b.pick_hash(*table, nth_hash(i)), b.pick_hash(*plain, nth_hash(i)));
  b.set_in_flight(2, 100);
  for (uint64_t i = 0; i < 200; ++i) {
    const HostIndex usual = b.pick_hash(*plain, nth_hash(i));
    const HostIndex now = b.pick_hash(*table, nth_hash(i));
    EXPECT_EQ(now == usual, usual != 2);
  }
}

// --- Random

TEST(RandomPolicy, EveryHostAlikeWhateverItsWeight) {
  Balancing b({1, 100, 1});
  const auto table = extensions::random::build(b.input());
  std::map<HostIndex, int> counts;
  for (int i = 0; i < 30'000; ++i) ++counts[b.pick(*table)];
  for (HostIndex i = 0; i < 3; ++i) EXPECT_NEAR(counts[i], 10'000, 500);
}

TEST(RandomPolicy, ThoseThatWereTriedAreLeftOut) {
  Balancing b({1, 1, 1, 1});
  const auto table = extensions::random::build(b.input());
  const Host* tried[] = {b.host(1), b.host(3)};
  std::map<HostIndex, int> counts;
  for (int i = 0; i < 10'000; ++i) ++counts[b.pick(*table, tried)];
  EXPECT_NEAR(counts[0], 5000, 400);
  EXPECT_NEAR(counts[2], 5000, 400);
  const Host* all[] = {b.host(0), b.host(1), b.host(2), b.host(3)};
  EXPECT_NE(b.pick(*table, all), kNoHost);
}

}  // namespace
}  // namespace weir::lb
