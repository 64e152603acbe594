#include "core/proxy/chain_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "core/match/matcher_input.h"
#include "test/support/choices.h"
#include "test/support/seed.h"

namespace weir::proxy {
namespace {

using Source = ChainMatch::Source;

net::Address at(std::string_view ip, uint16_t port = 1000) { return *net::Address::from_ip(ip, port); }
match::AddressRange range(std::string_view prefix, uint32_t bits) { return *match::make_range(prefix, bits); }

// A connection, in values of its own.
struct Peer {
  net::Address local = at("10.0.0.1", 443);
  net::Address remote = at("192.0.2.7", 5000);
  net::Address direct = at("192.0.2.7", 5000);
  std::string name;
  std::string transport = "raw_buffer";
  std::vector<std::string> protocols;
  ChainFacts facts() const { return {local, remote, direct, name, transport, protocols}; }
};

std::unique_ptr<const ChainTable> build(const std::vector<ChainMatch>& chains) {
  ChainTable::Conflict conflict;
  auto table = ChainTable::build(chains, conflict);
  EXPECT_NE(table, nullptr);
  return table;
}

uint32_t find(const std::vector<ChainMatch>& chains, const Peer& peer) {
  auto table = build(chains);
  return table != nullptr ? table->find(peer.facts()) : ChainTable::kNone;
}

TEST(ChainTable, NothingRequiredMatchesAll) {
  EXPECT_EQ(find({ChainMatch{}}, Peer{}), 0u);
  EXPECT_EQ(find({}, Peer{}), ChainTable::kNone);
  EXPECT_FALSE(build({ChainMatch{}})->asks_for_local());
}

// field: FilterChainMatch.destination_port
TEST(ChainTable, DestinationPort) {
  std::vector<ChainMatch> chains(2);
  chains[1].destination_port = 443;
  Peer peer;
  EXPECT_EQ(find(chains, peer), 1u);
  peer.local.set_port(80);
  EXPECT_EQ(find(chains, peer), 0u);
  EXPECT_EQ(find({chains[1]}, peer), ChainTable::kNone);
  EXPECT_TRUE(build(chains)->asks_for_local());
}

// field: FilterChainMatch.prefix_ranges
TEST(ChainTable, TheLongestPrefixOfTheDestination) {
  std::vector<ChainMatch> chains(4);
  chains[1].destinations = {range("10.0.0.0", 8), range("2001:db8::", 32)};
  chains[2].destinations = {range("10.1.0.0", 16)};
  chains[3].destinations = {range("0.0.0.0", 0)};
  Peer peer;
  EXPECT_EQ(find(chains, peer), 1u);
  peer.local = at("10.1.2.3");
  EXPECT_EQ(find(chains, peer), 2u);
  peer.local = at("172.16.0.1");
  EXPECT_EQ(find(chains, peer), 3u);
  peer.local = at("2001:db8::7");
  EXPECT_EQ(find(chains, peer), 1u);
  peer.local = at("2001:db9::7");
  EXPECT_EQ(find(chains, peer), 0u);
  peer.local = *net::Address::from_unix("@a");
  EXPECT_EQ(find(chains, peer), 0u);
}

// field: FilterChainMatch.server_names
TEST(ChainTable, ServerNames) {
  std::vector<ChainMatch> chains(4);
  chains[1].server_names = {"www.example.com", "example.com"};
  chains[2].server_names = {"*.example.com"};
  chains[3].server_names = {"*.com"};
  Peer peer;
  const std::pair<const char*, uint32_t> cases[] = {
      {"", 0},
      {"www.example.com", 1},
      {"example.com", 1},
      {"a.example.com", 2},
      {"a.b.example.com", 2},
      {"other.com", 3},
      {"com", 0},
      {"www.example.com.", 0},
      {".example.com", 3},
      {"*.example.com", 2},
      {".com", 0},
      {"example.org", 0},
      {"wwww.example.coma", 0},
      {".", 0},
  };
  for (const auto& [name, chain] : cases) {
    peer.name = name;
    EXPECT_EQ(find(chains, peer), chain) << name;
  }
}

// field: FilterChainMatch.transport_protocol, FilterChainMatch.application_protocols
TEST(ChainTable, Protocols) {
  std::vector<ChainMatch> chains(4);
  chains[1].transport_protocol = "tls";
  chains[2].transport_protocol = "tls";
  chains[2].application_protocols = {"h2"};
  chains[3].application_protocols = {"http/1.1", "http/1.0"};
  Peer peer;
  peer.protocols = {"http/1.1", "h2"};
  EXPECT_EQ(find(chains, peer), 3u);
  peer.transport = "tls";  // decides first: chain 3 is out, and does not come back
  EXPECT_EQ(find(chains, peer), 2u);
  peer.protocols = {"http/1.1"};
  EXPECT_EQ(find(chains, peer), 1u);
  std::vector<ChainMatch> two(2);
  two[0].application_protocols = {"h2"};
  two[1].application_protocols = {"http/1.1"};
  peer.protocols = {"x", "http/1.1", "h2"};  // as the client prefers
  EXPECT_EQ(find(two, peer), 1u);
}

// field: FilterChainMatch.direct_source_prefix_ranges, FilterChainMatch.source_prefix_ranges
TEST(ChainTable, Sources) {
  std::vector<ChainMatch> chains(3);
  chains[1].direct_sources = {range("10.9.0.0", 16)};
  chains[2].sources = {range("192.0.2.0", 24)};
  Peer peer;
  EXPECT_EQ(find(chains, peer), 2u);
  peer.remote = at("198.51.100.1");
  EXPECT_EQ(find(chains, peer), 0u);
  peer.direct = at("10.9.0.1");
  EXPECT_EQ(find(chains, peer), 1u);
  peer.remote = at("192.0.2.1");  // the direct one comes first
  EXPECT_EQ(find(chains, peer), 1u);
}

// field: FilterChainMatch.source_type
TEST(ChainTable, SourceType) {
  std::vector<ChainMatch> chains(3);
  chains[1].source = Source::kLocal;
  chains[2].source = Source::kExternal;
  Peer peer;
  EXPECT_EQ(find(chains, peer), 2u);
  peer.remote = at("127.0.0.9");
  EXPECT_EQ(find(chains, peer), 1u);
  peer.remote = peer.local;
  EXPECT_EQ(find(chains, peer), 1u);
  peer.remote = *net::Address::from_unix("@a");
  EXPECT_EQ(find(chains, peer), 1u);
  chains.pop_back();
  peer.remote = at("192.0.2.7");
  EXPECT_EQ(find(chains, peer), 0u);
}

// field: FilterChainMatch.source_ports
TEST(ChainTable, SourcePorts) {
  std::vector<ChainMatch> chains(2);
  chains[1].source_ports = {7, 5000, 65535};
  Peer peer;
  EXPECT_EQ(find(chains, peer), 1u);
  peer.remote.set_port(5001);
  EXPECT_EQ(find(chains, peer), 0u);
}

TEST(ChainTable, ARequirementThatIsMetLaterDoesNotBringBack) {
  std::vector<ChainMatch> chains(2);
  chains[0].destination_port = 443;
  chains[0].server_names = {"a.example"};
  chains[1].server_names = {"b.example"};
  Peer peer;
  peer.name = "b.example";
  EXPECT_EQ(find(chains, peer), ChainTable::kNone);  // the port has decided for chain 0
}

TEST(ChainTable, ConflictsNameBoth) {
  ChainTable::Conflict conflict;
  std::vector<ChainMatch> chains(3);
  chains[0].destination_port = 1;
  EXPECT_EQ(ChainTable::build(chains, conflict), nullptr);
  EXPECT_EQ(std::pair(conflict.first, conflict.second), std::pair(size_t{1}, size_t{2}));
  // One value in common is enough.
  chains.resize(2);
  chains[0] = chains[1] = {};
  chains[0].server_names = {"a.example", "b.example"};
  chains[1].server_names = {"b.example", "c.example"};
  EXPECT_EQ(ChainTable::build(chains, conflict), nullptr);
  chains[1].source_ports = {5};
  EXPECT_NE(ChainTable::build(chains, conflict), nullptr);
  // Bits behind a prefix do not matter.
  chains[0] = chains[1] = {};
  chains[0].sources = {range("10.0.0.1", 8)};
  chains[1].sources = {range("10.2.3.4", 8)};
  EXPECT_EQ(ChainTable::build(chains, conflict), nullptr);
  EXPECT_FALSE(conflict.too_large);
}

TEST(ChainTable, ListsAddUpAndDoNotMultiply) {
  ChainMatch large;
  for (uint16_t i = 1; i <= 2000; ++i) {
    large.server_names.push_back(std::to_string(i) + ".example");
    large.source_ports.push_back(i);
    large.sources.push_back(range("10." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ".0", 24));
  }
  Peer peer;
  peer.name = "1999.example";
  peer.remote = at("10.7.249.3", 1999);
  EXPECT_EQ(find({large}, peer), 0u);  // 2000 * 2000 * 2000 would be beyond the limit
  peer.remote.set_port(2001);
  EXPECT_EQ(find({large}, peer), ChainTable::kNone);
}

// --- Against a walk over all chains, which prunes step by step as the documentation tells it.

struct Step {
  // How specifically the chain's best value holds; 0: it requires nothing; -1: what it requires does not hold.
  std::function<int(const ChainMatch&, const Peer&)> rank;
};

int rank_of_ranges(const std::vector<match::AddressRange>& ranges, const net::Address& address) {
  int best = ranges.empty() ? 0 : -1;
  for (const auto& one : ranges) {
    if (match::AddressRanges({one}).contains(address)) best = std::max(best, one.bits + 1);
  }
  return best;
}

int rank_of_ports(const std::vector<uint16_t>& ports, const net::Address& address) {
  if (ports.empty()) return 0;
  return address.is_ip() && std::find(ports.begin(), ports.end(), address.port()) != ports.end() ? 1 : -1;
}

int rank_of_names(const std::vector<std::string>& names, const std::string& name) {
  int best = names.empty() ? 0 : -1;
  for (const std::string& each : names) {
    if (each == name) return 1000;
    const std::string suffix = each.substr(1);
    if (each[0] == '*' && name.size() > suffix.size() && name.ends_with(suffix))
      best = std::max(best, static_cast<int>(suffix.size()));
  }
  return best;
}

int rank_of_protocols(const std::vector<std::string>& wanted, const std::vector<std::string>& offered) {
  for (size_t i = 0; i < offered.size(); ++i) {
    if (std::find(wanted.begin(), wanted.end(), offered[i]) != wanted.end()) return 1000 - static_cast<int>(i);
  }
  return wanted.empty() ? 0 : -1;
}

std::vector<uint32_t> naive(const std::vector<ChainMatch>& chains, const Peer& peer) {
  const Step steps[] = {
      {[](const ChainMatch& c, const Peer& p) {
        return rank_of_ports(
            c.destination_port != 0 ? std::vector<uint16_t>{c.destination_port} : std::vector<uint16_t>{}, p.local);
      }},
      {[](const ChainMatch& c, const Peer& p) { return rank_of_ranges(c.destinations, p.local); }},
      {[](const ChainMatch& c, const Peer& p) { return rank_of_names(c.server_names, p.name); }},
      {[](const ChainMatch& c, const Peer& p) {
        return c.transport_protocol.empty() ? 0 : c.transport_protocol == p.transport ? 1 : -1;
      }},
      {[](const ChainMatch& c, const Peer& p) { return rank_of_protocols(c.application_protocols, p.protocols); }},
      {[](const ChainMatch& c, const Peer& p) { return rank_of_ranges(c.direct_sources, p.direct); }},
      {[](const ChainMatch& c, const Peer& p) {
        if (c.source == Source::kAny) return 0;
        return match::is_same_host(p.remote, p.local) == (c.source == Source::kLocal) ? 1 : -1;
      }},
      {[](const ChainMatch& c, const Peer& p) { return rank_of_ranges(c.sources, p.remote); }},
      {[](const ChainMatch& c, const Peer& p) { return rank_of_ports(c.source_ports, p.remote); }},
  };
  std::vector<uint32_t> left;
  for (uint32_t i = 0; i < chains.size(); ++i) left.push_back(i);
  for (const Step& step : steps) {
    int best = -1;
    for (uint32_t i : left) best = std::max(best, step.rank(chains[i], peer));
    std::erase_if(left, [&](uint32_t i) { return best < 0 || step.rank(chains[i], peer) != best; });
  }
  return left;
}

constexpr const char* kIps[] = {"10.0.0.1", "10.1.0.1", "10.1.1.1", "127.0.0.1", "::1", "2001:db8::1", "2001:db8:1::1"};
constexpr const char* kNames[] = {"",          "a.example", "b.a.example", "c.b.a.example",
                                  "x.example", "example",   "d.a.example"};
constexpr const char* kPatterns[] = {"a.example",   "*.example", "*.a.example",
                                     "b.a.example", "x.example", "*.b.a.example"};
constexpr const char* kProtocols[] = {"h2", "http/1.1", "h2c"};
constexpr const char* kTransports[] = {"raw_buffer", "tls"};
constexpr uint16_t kPorts[] = {1, 80, 443};

std::vector<match::AddressRange> some_ranges(test::Choices& choices) {
  std::vector<match::AddressRange> out;
  while (choices.one_in(3)) {
    const std::string ip = choices.pick(kIps);
    const bool v6 = ip.find(':') != std::string::npos;
    out.push_back(range(ip, v6 ? 16 * choices.below(9) : 8 * choices.below(5)));
  }
  return out;
}

ChainMatch some_match(test::Choices& choices) {
  ChainMatch match;
  if (choices.one_in(3)) match.destination_port = choices.pick(kPorts);
  match.destinations = some_ranges(choices);
  while (choices.one_in(3)) match.server_names.emplace_back(choices.pick(kPatterns));
  if (choices.one_in(4)) match.transport_protocol = choices.pick(kTransports);
  while (choices.one_in(4)) match.application_protocols.emplace_back(choices.pick(kProtocols));
  match.direct_sources = some_ranges(choices);
  match.source = static_cast<Source>(choices.below(3));
  match.sources = some_ranges(choices);
  while (choices.one_in(3)) match.source_ports.push_back(choices.pick(kPorts));
  return match;
}

Peer some_peer(test::Choices& choices) {
  Peer peer;
  auto address = [&]() -> net::Address {
    if (choices.one_in(10)) return *net::Address::from_unix("@peer");
    return at(choices.pick(kIps), choices.pick(kPorts));
  };
  peer.local = address();
  peer.remote = address();
  peer.direct = address();
  peer.name = choices.pick(kNames);
  peer.transport = choices.pick(kTransports);
  while (choices.one_in(2) && peer.protocols.size() < 3) peer.protocols.emplace_back(choices.pick(kProtocols));
  return peer;
}

TEST(ChainTable, AgreesWithAWalk) {
  size_t found = 0;
  test::for_each_seed(300, [&](uint64_t seed) {
    test::RandomChoices choices(seed);
    std::vector<ChainMatch> chains;
    ChainTable::Conflict conflict;
    std::unique_ptr<const ChainTable> table;
    // Those that would be in conflict are left out.
    for (uint32_t i = choices.below(12) + 1; i > 0; --i) {
      chains.push_back(some_match(choices));
      auto with = ChainTable::build(chains, conflict);
      with != nullptr ? table = std::move(with), void() : chains.pop_back();
    }
    ASSERT_NE(table, nullptr);
    for (int i = 0; i < 100; ++i) {
      const Peer peer = some_peer(choices);
      const std::vector<uint32_t> left = naive(chains, peer);
      ASSERT_LE(left.size(), 1u);
      ASSERT_EQ(table->find(peer.facts()), left.empty() ? ChainTable::kNone : left[0]);
      if (!left.empty()) ++found;
    }
  });
  EXPECT_GE(found, test::seed_from_environment() == 0 ? 1000u : 0u);  // matches are no rarity
}

// What build() refuses is ambiguous for somebody, and nothing else is.
TEST(ChainTable, RefusesExactlyWhatIsAmbiguous) {
  test::for_each_seed(300, [&](uint64_t seed) {
    test::RandomChoices choices(seed);
    std::vector<ChainMatch> chains = {some_match(choices), some_match(choices)};
    ChainTable::Conflict conflict;
    if (ChainTable::build(chains, conflict) != nullptr) {
      for (int i = 0; i < 200; ++i) ASSERT_LE(naive(chains, some_peer(choices)).size(), 1u);
    } else {
      ASSERT_EQ(std::pair(conflict.first, conflict.second), std::pair(size_t{0}, size_t{1}));
    }
  });
}

}  // namespace
}  // namespace weir::proxy
