// The resolver against a name server of the test's own that lies, truncates, loops and is silent. Real sockets and real
// time, for c-ares has a clock of its own; what is waited for always comes.
#include "core/dns/cares_resolver.h"

#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <net/if.h>

#include <filesystem>
#include <fstream>

#include "test/core/dns/dns_server.h"

namespace weir::dns {
namespace {

using test::DnsQuery;
using test::DnsRecord;
using test::DnsServer;
using Packets = std::vector<std::string>;
using Texts = std::vector<std::string>;

class Asker final : public Lookup {
 public:
  void on_answer(const Answer& given) override {
    ++answers;
    answer = given;
  }
  Texts addresses() const {
    Texts out;
    for (const net::Address& address : answer.addresses) out.push_back(address.ip_to_string());
    return out;
  }
  int answers = 0;
  Answer answer;
};

class CaresResolverTest : public testing::Test {
 protected:
  CaresResolverTest() {
    lane_.enter();
    char name[] = "/tmp/weir-dns-XXXXXX";
    folder_ = mkdtemp(name);
    options_.servers = {server_.address()};
    options_.query_timeout = 100ms;
    options_.tries = 2;
    options_.no_search_domains = true;  // the name of this machine may have a domain
    options_.system_config = system_config("");
  }
  ~CaresResolverTest() override {
    resolver_.reset();
    lane_.turn(Duration::zero());
    event::Lane::leave();
    std::filesystem::remove_all(folder_);
  }

  std::string system_config(const std::string& text) const {
    const std::string path = folder_ / "resolv.conf";
    std::ofstream(path) << text;
    return path;
  }
  Resolver& resolver() {
    if (resolver_ == nullptr) resolver_ = source_.get(options_);
    return *resolver_;
  }
  void turn() {
    server_.serve();
    if (other_ != nullptr) other_->serve();
    lane_.turn(1ms);
  }
  void wait(const Asker& asker, int answers = 1) {
    while (asker.answers < answers) turn();
  }
  // The whole way for one name.
  Asker& resolve(FamilyPolicy policy = FamilyPolicy::kV4Only, const std::string& name = "a.example") {
    askers_.push_back(std::make_unique<Asker>());
    resolver().resolve(name, policy, *askers_.back());
    wait(*askers_.back());
    return *askers_.back();
  }
  static Packets right(const DnsQuery& query) {
    return {test::dns_answer(query, {test::address_record(query.type == test::kTypeA ? "10.0.0.1" : "2001:db8::1")})};
  }
  uint64_t stat(const char* name) { return store_.counter(std::string("dns.cares.") + name).value(); }

  std::filesystem::path folder_;
  event::Lane lane_{event::Lane::Options{}};
  stats::Store store_;
  DnsServer server_;
  std::unique_ptr<DnsServer> other_;
  ResolverOptions options_;
  CaresResolvers source_{lane_, store_};
  std::vector<std::unique_ptr<Asker>> askers_;
  std::shared_ptr<Resolver> resolver_;
};

// field: CaresDnsResolverConfig.resolvers, DnsResolutionConfig.resolvers, Cluster.dns_resolvers
TEST_F(CaresResolverTest, AsksTheServerThatIsConfigured) {
  server_.set(right);
  EXPECT_EQ(resolve(FamilyPolicy::kAll).addresses(), (Texts{"2001:db8::1", "10.0.0.1"}));
  EXPECT_EQ(askers_[0]->answer.ttl, 60s);
  EXPECT_EQ(server_.queries.size(), 2u);
  EXPECT_EQ(stat("resolve_total"), 2u);
  EXPECT_EQ(resolver().pending(), 0u);
}

TEST_F(CaresResolverTest, OneResolverForEachSetOfOptions) {
  auto same = source_.get(options_);
  EXPECT_EQ(source_.get(options_), same);
  ResolverOptions others = options_;
  others.tcp_only = true;
  EXPECT_NE(source_.get(others), same);
}

TEST_F(CaresResolverTest, TheLowestTtlCountsThatOfAliasesToo) {
  server_.set([](const DnsQuery& query) -> Packets {
    DnsRecord alias{test::kTypeCname, test::wire_name("b.example"), 5};
    DnsRecord one = test::address_record("10.0.0.1", 300), two = test::address_record("10.0.0.2", 30);
    one.name = two.name = test::wire_name("b.example");
    return {test::dns_answer(query, {alias, one, two})};
  });
  EXPECT_EQ(resolve().addresses(), (Texts{"10.0.0.1", "10.0.0.2"}));
  EXPECT_EQ(askers_[0]->answer.ttl, 5s);
}

TEST_F(CaresResolverTest, LifetimesOfNothingAndForEver) {
  uint32_t ttl = 0;
  server_.set([&](const DnsQuery& query) -> Packets {
    return {test::dns_answer(query, {test::address_record("10.0.0.1", ttl)})};
  });
  EXPECT_EQ(resolve().answer.ttl, std::nullopt);
  ttl = 0x7fffffff;
  EXPECT_EQ(resolve().answer.ttl, std::chrono::seconds(0x7fffffff));
  ttl = 0xffffffff;  // RFC 2181 section 8: as 0
  EXPECT_EQ(resolve().answer.ttl, std::nullopt);
}

TEST_F(CaresResolverTest, NoSuchNameAndNoSuchAddress) {
  server_.set([](const DnsQuery& query) -> Packets {
    return {test::dns_answer(query, {}, {.rcode = static_cast<uint8_t>(query.name == "no.example" ? 3 : 0)})};
  });
  EXPECT_EQ(resolve(FamilyPolicy::kAll, "no.example").answer.outcome, Outcome::kNone);
  EXPECT_EQ(resolve(FamilyPolicy::kV6Only, "four.example").answer.outcome, Outcome::kNone);
  EXPECT_EQ(stat("not_found"), 3u);
}

TEST_F(CaresResolverTest, ServersThatFailOrRefuse) {
  for (const uint8_t rcode : {1, 2, 4, 5}) {
    server_.set([&](const DnsQuery& query) -> Packets { return {test::dns_answer(query, {}, {.rcode = rcode})}; });
    EXPECT_FALSE(resolve().answer.answered()) << int{rcode};
  }
  EXPECT_EQ(stat("get_addr_failure") + stat("timeout"), 4u);
}

// field: CaresDnsResolverConfig.query_tries
TEST_F(CaresResolverTest, ASilentServerIsAskedSoOftenAndNoMore) {
  EXPECT_EQ(resolve().answer.outcome, Outcome::kTimeout);
  EXPECT_EQ(server_.queries.size(), 2u);
  EXPECT_EQ(stat("timeout"), 1u);
  resolver_.reset();
  options_.tries = 3;
  resolve();
  EXPECT_EQ(server_.queries.size(), 5u);
}

TEST_F(CaresResolverTest, WhatIsNoAnswerToTheQuestionIsNotBelieved) {
  using Spoil = std::function<void(DnsQuery&)>;
  const std::vector<std::pair<const char*, Spoil>> lies = {
      {"id", [](DnsQuery& query) { query.id ^= 0x5555; }},
      {"name", [](DnsQuery& query) { query.question[1] = 'x'; }},
      {"type", [](DnsQuery& query) { query.question[query.question.size() - 3] = 16; }},
      {"no question", [](DnsQuery& query) { query.question.clear(); }},
  };
  for (const auto& [what, spoil] : lies) {
    server_.set([&, spoil = spoil](const DnsQuery& query) -> Packets {
      DnsQuery lie = query;
      spoil(lie);
      // The lie first, then the truth: the lie must neither count nor end the question.
      return {test::dns_answer(lie, {test::address_record("6.6.6.6")}), right(query)[0]};
    });
    const Asker& asker = resolve();
    EXPECT_EQ(asker.addresses(), (Texts{"10.0.0.1"})) << what;
  }
}

TEST_F(CaresResolverTest, RubbishEndsNothing) {
  const std::vector<std::pair<const char*, std::function<std::string(const DnsQuery&)>>> rubbish = {
      {"empty", [](const DnsQuery&) { return std::string(); }},
      {"one byte", [](const DnsQuery&) { return std::string("x"); }},
      {"half a head", [](const DnsQuery& query) { return query.packet.substr(0, 7); }},
      {"its own query", [](const DnsQuery& query) { return query.packet; }},
  };
  for (const auto& [what, make] : rubbish) {
    server_.set([&, make = make](const DnsQuery& query) -> Packets { return {make(query), right(query)[0]}; });
    const Asker& asker = resolve();
    EXPECT_EQ(asker.answers, 1) << what;
  }
  server_.set(right);
  EXPECT_EQ(resolve().addresses(), (Texts{"10.0.0.1"}));
}

TEST_F(CaresResolverTest, RecordsThatDoNotParseAreNoAnswer) {
  const std::vector<std::pair<const char*, std::function<std::string(const DnsQuery&)>>> broken = {
      {"a name that points at itself",
       [](const DnsQuery& query) {
         DnsRecord record = test::address_record("10.0.0.1");
         record.name.clear();
         test::put16(record.name, 0xc000u | static_cast<uint32_t>(12 + query.question.size()));
         return test::dns_answer(query, {record});
       }},
      {"two names that point at each other",
       [](const DnsQuery& query) {
         const auto at = static_cast<uint32_t>(12 + query.question.size());
         DnsRecord record = test::address_record("10.0.0.1");
         record.name.clear();
         test::put16(record.name, 0xc000u | (at + 2));
         test::put16(record.name, 0xc000u | at);
         return test::dns_answer(query, {record});
       }},
      {"a pointer behind the end",
       [](const DnsQuery& query) {
         DnsRecord record = test::address_record("10.0.0.1");
         record.name = std::string("\xff\xff", 2);
         return test::dns_answer(query, {record});
       }},
      {"more records said than there are",
       [](const DnsQuery& query) {
         std::string packet = test::dns_answer(query, {test::address_record("10.0.0.1")});
         packet[6] = packet[7] = '\x7f';
         return packet;
       }},
      {"data longer than the packet",
       [](const DnsQuery& query) {
         std::string packet = test::dns_answer(query, {test::address_record("10.0.0.1")});
         packet[packet.size() - 6] = '\x7f';
         return packet;
       }},
      {"data of three bytes",
       [](const DnsQuery& query) {
         return test::dns_answer(query, {DnsRecord{test::kTypeA, "abc"}});
       }},
      {"an alias to itself",
       [](const DnsQuery& query) {
         return test::dns_answer(query, {DnsRecord{test::kTypeCname, std::string("\xc0\x0c", 2)}});
       }},
  };
  for (const auto& [what, make] : broken) {
    server_.set([&, make = make](const DnsQuery& query) -> Packets { return {make(query)}; });
    const Asker& asker = resolve();
    EXPECT_TRUE(asker.answer.addresses.empty()) << what;
    EXPECT_NE(asker.answer.outcome, Outcome::kFound) << what;
  }
  server_.set(right);
  EXPECT_EQ(resolve().addresses(), (Texts{"10.0.0.1"}));
}

TEST_F(CaresResolverTest, RandomAnswersDoNoHarm) {
  uint64_t seed = 20'261'126;
  RecordProperty("seed", std::to_string(seed));
  Random random(seed);
  options_.tries = 1;
  options_.query_timeout = 20ms;
  server_.set([&](const DnsQuery& query) -> Packets {
    std::string packet = test::dns_answer(query, {test::address_record("10.0.0.1"), test::address_record("10.0.0.2")});
    for (uint32_t i = random.below(6); i > 0; --i)
      packet[2 + random.below(static_cast<uint32_t>(packet.size() - 2))] = static_cast<char>(random.next());
    packet.resize(packet.size() - random.below(4));
    return {packet};
  });
  for (int i = 0; i < 200; ++i) EXPECT_EQ(resolve().answers, 1) << "seed " << seed;
}

TEST_F(CaresResolverTest, ATruncatedAnswerIsAskedForOverTcp) {
  server_.set([](const DnsQuery& query) -> Packets {
    if (!query.tcp) return {test::dns_answer(query, {test::address_record("6.6.6.6")}, {.truncated = true})};
    return right(query);
  });
  EXPECT_EQ(resolve().addresses(), (Texts{"10.0.0.1"}));
  ASSERT_EQ(server_.queries.size(), 2u);
  EXPECT_FALSE(server_.queries[0].tcp);
  EXPECT_TRUE(server_.queries[1].tcp);
}

TEST_F(CaresResolverTest, AnAnswerAsLargeAsTheyCome) {
  server_.set([](const DnsQuery& query) -> Packets {
    if (!query.tcp) return {test::dns_answer(query, {}, {.truncated = true})};
    std::vector<DnsRecord> records;
    for (int i = 0; i < 4000; ++i)
      records.push_back(test::address_record("10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250)));
    return {test::dns_answer(query, records)};
  });
  EXPECT_EQ(resolve().answer.addresses.size(), Resolver::kMaxAddresses);
}

TEST_F(CaresResolverTest, AnAddressThatComesTwiceIsOne) {
  server_.set([](const DnsQuery& query) -> Packets {
    return {test::dns_answer(query, std::vector<DnsRecord>(20, test::address_record("10.0.0.1")))};
  });
  EXPECT_EQ(resolve().addresses(), (Texts{"10.0.0.1"}));
}

// field: DnsResolverOptions.use_tcp_for_dns_lookups, Cluster.use_tcp_for_dns_lookups
TEST_F(CaresResolverTest, TcpAlone) {
  options_.tcp_only = true;
  server_.set(right);
  EXPECT_EQ(resolve().addresses(), (Texts{"10.0.0.1"}));
  ASSERT_EQ(server_.queries.size(), 1u);
  EXPECT_TRUE(server_.queries[0].tcp);
}

// field: CaresDnsResolverConfig.edns0_max_payload_size
TEST_F(CaresResolverTest, EdnsPayload) {
  server_.set(right);
  resolve();
  EXPECT_EQ(server_.queries.back().edns_payload, 0u);
  resolver_.reset();
  options_.edns0_payload = 1232;
  resolve();
  EXPECT_EQ(server_.queries.back().edns_payload, 1232u);
}

// field: CaresDnsResolverConfig.rotate_nameservers
TEST_F(CaresResolverTest, TheFirstServerOrEachInTurn) {
  other_ = std::make_unique<DnsServer>();
  options_.servers.push_back(other_->address());
  server_.set(right);
  other_->set(right);
  for (int i = 0; i < 6; ++i) resolve();
  EXPECT_EQ(server_.queries.size(), 6u);
  resolver_.reset();
  options_.rotate = true;
  for (int i = 0; i < 6; ++i) resolve();
  EXPECT_EQ(other_->queries.size(), 3u);
}

TEST_F(CaresResolverTest, TheNextServerIsAskedWhenOneIsSilent) {
  other_ = std::make_unique<DnsServer>();
  options_.servers.push_back(other_->address());
  other_->set(right);
  EXPECT_EQ(resolve().addresses(), (Texts{"10.0.0.1"}));
}

// field: CaresDnsResolverConfig.use_resolvers_as_fallback
TEST_F(CaresResolverTest, ServersAsAFallback) {
  other_ = std::make_unique<DnsServer>();
  server_.set(right);
  options_.servers_as_fallback = true;
  EXPECT_EQ(resolve().addresses(), (Texts{"10.0.0.1"}));  // the system names none
  resolver_.reset();
  // Nobody listens there, and the one that would answer is not asked.
  system_config("nameserver 127.0.0.2\n");
  options_.tries = 1;
  EXPECT_NE(resolve().answer.outcome, Outcome::kFound);
  EXPECT_EQ(server_.queries.size(), 1u);
}

// field: DnsResolverOptions.no_default_search_domain
TEST_F(CaresResolverTest, DomainsThatAreSearched) {
  system_config("search inside.example\n");
  options_.no_search_domains = false;
  server_.set([](const DnsQuery& query) -> Packets {
    if (query.name == "db.inside.example") return right(query);
    return {test::dns_answer(query, {}, {.rcode = 3})};
  });
  EXPECT_EQ(resolve(FamilyPolicy::kV4Only, "db").addresses(), (Texts{"10.0.0.1"}));
  resolver_.reset();
  options_.no_search_domains = true;
  EXPECT_EQ(resolve(FamilyPolicy::kV4Only, "db").answer.outcome, Outcome::kNone);
  EXPECT_EQ(server_.queries.back().name, "db");
}

TEST_F(CaresResolverTest, TheSystemsConfigurationIsReadAgainWhenItHasChanged) {
  system_config("search one.example\n");
  options_.no_search_domains = false;
  server_.set([](const DnsQuery& query) -> Packets {
    if (query.name.ends_with("two.example")) return right(query);
    return {test::dns_answer(query, {}, {.rcode = 3})};
  });
  EXPECT_EQ(resolve(FamilyPolicy::kV4Only, "db").answer.outcome, Outcome::kNone);
  const std::string path = system_config("search two.example\n");
  std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() + 10s);
  EXPECT_EQ(resolve(FamilyPolicy::kV4Only, "db").addresses(), (Texts{"10.0.0.1"}));
}

TEST_F(CaresResolverTest, TheSystemsConfigurationIsReadAgainAlsoWhileItsServersAreSilent) {
  options_.tries = 1;
  options_.query_timeout = 1h;
  options_.no_search_domains = false;
  system_config("search one.example\n");
  server_.set([](const DnsQuery& query) -> Packets {
    if (query.name == "db.two.example") return right(query);
    return {};
  });
  Asker lost, found;
  resolver().resolve("db", FamilyPolicy::kV4Only, lost);
  while (server_.queries.empty()) turn();
  const std::string path = system_config("search two.example\n");
  std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() + 10s);
  resolver().resolve("db", FamilyPolicy::kV6Only, found);
  wait(found);
  EXPECT_EQ(found.addresses(), (Texts{"2001:db8::1"}));
  EXPECT_TRUE(lost.active());  // it may still be answered
}

TEST_F(CaresResolverTest, AnOldConfigurationsQuestionsAreStillAnswered) {
  bool asked = false, silent = true;
  server_.set([&](const DnsQuery& query) -> Packets {
    if (query.name != "slow.example") return right(query);
    asked = true;
    return silent ? Packets{} : right(query);
  });
  Asker slow;
  options_.query_timeout = 20ms;
  options_.tries = 100;
  resolver().resolve("slow.example", FamilyPolicy::kV4Only, slow);
  while (!asked) turn();
  std::filesystem::last_write_time(options_.system_config, std::filesystem::file_time_type::clock::now() + 10s);
  resolve();
  silent = false;
  wait(slow);
  EXPECT_EQ(slow.addresses(), (Texts{"10.0.0.1"}));
}

// field: CaresDnsResolverConfig.filter_unroutable_families
TEST_F(CaresResolverTest, FamiliesThatNoInterfaceHas) {
  bool four = false, six = false;
  ifaddrs* first = nullptr;
  ASSERT_EQ(getifaddrs(&first), 0);
  for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || (one->ifa_flags & IFF_LOOPBACK) != 0) continue;
    four = four || one->ifa_addr->sa_family == AF_INET;
    six = six || one->ifa_addr->sa_family == AF_INET6;
  }
  freeifaddrs(first);
  server_.set(right);
  EXPECT_EQ(resolve(FamilyPolicy::kAll).addresses(), (Texts{"2001:db8::1", "10.0.0.1"}));
  resolver_.reset();
  options_.filter_unroutable = true;
  Texts expected;
  if (six) expected.push_back("2001:db8::1");
  if (four) expected.push_back("10.0.0.1");
  EXPECT_EQ(resolve(FamilyPolicy::kAll).addresses(), expected);
}

TEST_F(CaresResolverTest, TheHostsFileComesFirstForItsFamily) {
  options_.hosts = folder_ / "hosts";
  std::ofstream(options_.hosts) << "10.0.0.7 a.example\n";
  server_.set(right);
  EXPECT_EQ(resolve(FamilyPolicy::kAll).addresses(), (Texts{"2001:db8::1", "10.0.0.7"}));
  EXPECT_EQ(server_.queries.size(), 1u);
}

TEST_F(CaresResolverTest, NamesOfTheHostsFile) {
  EXPECT_EQ(resolve(FamilyPolicy::kV4Only, "localhost").addresses(), (Texts{"127.0.0.1"}));
  EXPECT_EQ(askers_[0]->answer.ttl, std::nullopt);
  EXPECT_TRUE(server_.queries.empty());
}

TEST_F(CaresResolverTest, AStormOfNamesThatAreNotThere) {
  server_.set([](const DnsQuery& query) -> Packets { return {test::dns_answer(query, {}, {.rcode = 3})}; });
  std::vector<std::unique_ptr<Asker>> askers;
  for (int i = 0; i < 1000; ++i) {
    askers.push_back(std::make_unique<Asker>());
    resolver().resolve("n" + std::to_string(i) + ".example", FamilyPolicy::kV4Only, *askers.back());
  }
  EXPECT_EQ(resolver().pending(), 1000u);
  for (const auto& asker : askers) {
    wait(*asker);
    EXPECT_EQ(asker->answer.outcome, Outcome::kNone);
  }
  EXPECT_EQ(resolver().pending(), 0u);
  EXPECT_EQ(server_.queries.size(), 1000u);  // none was lost and asked for again
}

TEST_F(CaresResolverTest, ItsEndWhileServersAreSilent) {
  Asker one;
  resolver().resolve("a.example", FamilyPolicy::kAll, one);
  for (int i = 0; i < 3; ++i) turn();
  resolver_.reset();
  EXPECT_FALSE(one.active());
  for (int i = 0; i < 3; ++i) turn();
  EXPECT_EQ(one.answers, 0);
}

TEST_F(CaresResolverTest, NamesThatAreNone) {
  server_.set(right);
  for (const std::string& name :
       {std::string("a..example"), std::string(70, 'a') + ".example", std::string(300, 'a')}) {
    const Asker& asker = resolve(FamilyPolicy::kAll, name);
    EXPECT_NE(asker.answer.outcome, Outcome::kFound) << name;
  }
}

}  // namespace
}  // namespace weir::dns
