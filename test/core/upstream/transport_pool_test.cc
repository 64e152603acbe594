// Pools whose connections have a transport: the handshake, which transport, which names.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/stream/added_tlv.h"
#include "test/core/upstream/served_pool.h"
#include "test/support/count_allocations.h"
#include "test/support/fake_transport_facts.h"

namespace weir::upstream {
namespace {

using event::SlotId;
using event::SlotKind;

// Passes bytes as they are, once the peer has said "hi!"; "no!" is a refusal.
class Greeted final : public net::Transport {
 public:
  Greeted(event::Lane& lane, std::vector<std::string>& log) : Transport(lane), log_(log) {}
  void on_attached(net::Connection&) override {}
  Step handshake() override {
    if (wire_in().size() < 3) return Step::kNeedInput;
    const bool good = wire_in().to_string().starts_with("hi!");
    wire_in().drop_front(3);
    if (!good) failure_ = "it said no";
    return good ? Step::kDone : Step::kFailed;
  }
  Read read(Slices& in, size_t) override {
    in.append_all(wire_in());
    return Read::kNeedInput;
  }
  bool write(Slices& out, size_t) override {
    wire_out().append_all(out);
    return true;
  }
  void on_socket_end() override { failure_ = "it went away"; }
  void shut() override {}
  void forbid_renegotiation() override { log_.push_back("no renegotiation"); }
  std::string_view failure() const override { return failure_; }
  net::TransportFacts& facts() override { return facts_; }

 private:
  std::vector<std::string>& log_;
  std::string failure_;
  test::FakeTransportFacts facts_;
};

class Greeting final : public filter::UpstreamTransport {
 public:
  explicit Greeting(std::vector<std::string>& made) : made_(made) {}
  std::unique_ptr<net::Transport> make(event::Lane& lane, std::string_view host,
                                       const filter::UpstreamTransportOptions& options, Slices&) const override {
    std::string text = std::string(host) + "|" + std::string(options.server_name) + "|";
    for (std::string_view name : options.expected_names) text += std::string(name) + ",";
    made_.push_back(text);
    return std::make_unique<Greeted>(lane, made_);
  }

 private:
  std::vector<std::string>& made_;
};

class TransportPoolTest : public ServedPool {
 protected:
  TransportPoolTest() {
    host_ = std::make_shared<lb::Host>(server_.address(), "server", "host.example", 2);
    publish_hosts({host_});
    transport_ = publisher_.intern(SlotKind::kTransport, "cluster/c/");
    publish_transport();
    spec_.transports.otherwise = transport_;
    spec_.transports.fingerprint = 1;
    publish_cluster();
  }
  void publish_transport() { publish(transport_, std::make_unique<Greeting>(made_)); }
  void greet(size_t peer, const char* words = "hi!") {
    server_.answer(peer, words);
    settle();
  }
  ConnPool& pool_of(std::string_view name) { return pool().variant({.server_name = name}); }
  // One exchange on a connection that is there already.
  void exchange_on(ConnPool& pool, size_t peer) {
    Caller caller(lane_);
    EXPECT_EQ(caller.start(pool), ConnPool::Start::kReady);
    settle();
    EXPECT_NE(server_.receive(peer), "");
    server_.answer(peer);
    settle();
    EXPECT_EQ(caller.body, "ok");
  }
  // Opens one.
  void open(ConnPool& pool, size_t peer) {
    Caller caller(lane_);
    EXPECT_EQ(caller.start(pool), ConnPool::Start::kWaiting);
    settle();
    greet(peer);
    EXPECT_NE(server_.receive(peer), "");
    server_.answer(peer);
    settle();
    EXPECT_EQ(caller.body, "ok");
  }

  std::vector<std::string> made_;
  SlotId transport_;
};

// RFC 9113 9.2.1, whatever was agreed on.
TEST_F(TransportPoolTest, NoRenegotiationWhereHttp2IsSpoken) {
  open(pool(), 0);
  const std::vector<std::string> before = made_;
  spec_.protocol = HttpProtocol::kHttp2;
  publish_cluster();
  Caller caller(lane_);
  EXPECT_EQ(caller.start(pool()), ConnPool::Start::kWaiting);
  settle();
  greet(server_.peers.size() - 1);
  EXPECT_EQ(before, (std::vector<std::string>{"host.example||"}));
  EXPECT_EQ(made_.back(), "no renegotiation");
}

TEST_F(TransportPoolTest, ConnectionsAreReadyBehindTheHandshake) {
  Caller caller(lane_);
  EXPECT_EQ(caller.start(pool()), ConnPool::Start::kWaiting);
  settle();
  ASSERT_EQ(server_.peers.size(), 1u);
  EXPECT_EQ(caller.events, "waiting ");  // it is connected, and has said nothing
  greet(0);
  EXPECT_NE(server_.receive(0), "");
  server_.answer(0);
  settle();
  EXPECT_EQ(caller.body, "ok");
  exchange_on(pool(), 0);
  EXPECT_EQ(made_, (std::vector<std::string>{"host.example||"}));
}

TEST_F(TransportPoolTest, AFailedHandshakeIsAFailedConnection) {
  Caller refused(lane_), left(lane_);
  refused.start(pool());
  settle();
  greet(0, "no!");
  EXPECT_EQ(refused.events, "waiting failed-connection_failure ");
  EXPECT_EQ(refused.detail, "it said no");
  left.start(pool());
  settle();
  server_.close_peer(1);
  settle();
  EXPECT_EQ(left.detail, "it went away");
  EXPECT_EQ(stats_->cx_connect_fail.value(), 2u);
  EXPECT_EQ(stats_->cx_active.value(), 0);
}

TEST_F(TransportPoolTest, ConnectTimeoutCoversTheHandshake) {
  Caller caller(lane_);
  caller.start(pool());
  settle();
  lane_.advance(spec_.connect_timeout + 1ms);
  settle();
  EXPECT_EQ(caller.events, "waiting failed-connection_timeout ");
  EXPECT_EQ(stats_->cx_connect_timeout.value(), 1u);
  EXPECT_EQ(stats_->cx_connect_fail.value(), 1u) << "as published: a time-out is a failure, too";
}

// What is to be encrypted never goes in plain text instead.
TEST_F(TransportPoolTest, WithoutItsTransportNothingIsSent) {
  remove({transport_});
  Caller caller(lane_);
  caller.start(pool());
  settle();
  EXPECT_EQ(caller.events, "waiting failed-connection_failure ");
}

// New certificates: connections stay, new ones are made of what is new.
TEST_F(TransportPoolTest, AnotherTransportIsForNewConnections) {
  open(pool(), 0);
  publish_transport();
  exchange_on(pool(), 0);
  EXPECT_EQ(publisher_.live_versions(), 4u);  // a connection keeps the version that made it
  pool().retire_connections();
  settle();
  EXPECT_EQ(publisher_.live_versions(), 3u);
}

// Another configuration of the transport: what was made by the old one carries no new requests.
TEST_F(TransportPoolTest, AnotherConfigurationIsForAllRequests) {
  open(pool(), 0);
  spec_.transports.otherwise.reset();
  spec_.transports.fingerprint = 2;
  publish_cluster();
  exchange(1);  // in plain text, on another connection
  EXPECT_EQ(made_.size(), 1u);
}

// field: TransportSocketMatch.transport_socket
TEST_F(TransportPoolTest, MetadataOfTheHostChooses) {
  Arena arena(lane_.lane().arenas());
  const auto metadata = [&](std::string_view value) {
    const stream::Value inside = stream::make_struct({{"mode", stream::Value::of_string(value)}}, arena);
    return std::make_shared<const stream::StaticMetadata>(
        stream::make_struct({{ClusterTransports::kNamespace, inside}}, arena));
  };
  const auto publish_host = [&](std::string_view value) {
    std::vector<lb::HostEntry> entries(1);
    entries[0].host = host_;
    entries[0].metadata = metadata(value);
    publish_entries(std::move(entries));
  };
  spec_.transports.matches.push_back({"plain", metadata("plain"), std::nullopt});
  publish_cluster();
  publish_host("plain");
  exchange(0);
  EXPECT_EQ(made_.size(), 0u);
  publish_host("tls");  // the idle connection is not what is wanted any more
  open(pool(), 1);
  EXPECT_EQ(made_.size(), 1u);
}

// What is in the PROXY header of a connection is said once, when it is opened.
TEST_F(TransportPoolTest, OtherTlvsOfTheHostAreForOtherConnections) {
  const auto publish_host = [&](uint64_t fingerprint) {
    std::vector<lb::HostEntry> entries(1);
    entries[0].host = host_;
    entries[0].metadata = std::make_shared<const stream::StaticMetadata>(
        stream::Value::of_struct({}), std::make_shared<const stream::HostTlvs>(stream::HostTlvs{{}, fingerprint}));
    publish_entries(std::move(entries));
  };
  spec_.transports.tells_client = true;
  publish_cluster();
  publish_host(7);
  open(pool(), 0);
  publish_host(7);
  exchange_on(pool(), 0);
  publish_host(8);
  open(pool(), 1);
  EXPECT_EQ(made_.size(), 2u);
}

TEST_F(TransportPoolTest, ConnectionsForOneNameServeNoOther) {
  open(pool_of("a.example"), 0);
  open(pool_of("b.example"), 1);
  open(pool(), 2);
  exchange_on(pool_of("a.example"), 0);
  exchange_on(pool_of("b.example"), 1);
  exchange_on(pool(), 2);
  EXPECT_EQ(made_, (std::vector<std::string>{"host.example|a.example|", "host.example|b.example|", "host.example||"}));
  const std::string_view names[] = {"x", "y"};
  open(pool().variant({.server_name = "a.example", .expected_names = names}), 3);
  EXPECT_EQ(made_.back(), "host.example|a.example|x,y,");
  EXPECT_EQ(host_->totals.cx_active.value(), 4);
}

// It is looked for with every request.
TEST_F(TransportPoolTest, FindingThePoolOfANameTakesNoMemory) {
  const std::string name(200, 'a');
  const std::string_view names[] = {name};
  const std::string_view protocols[] = {"a-protocol-with-a-long-name"};
  const stream::ProxyHeader client{*net::Address::from_ip("2001:db8:1111:2222:3333:4444:5555:6666", 50000),
                                   *net::Address::from_ip("2001:db8:1111:2222:3333:4444:5555:7777", 443), "tlvs"};
  const filter::UpstreamTransportOptions options{
      .server_name = name, .expected_names = names, .offered = protocols, .client = &client};
  ConnPool& base = pool();
  ConnPool& made = base.variant(options);
  const uint64_t before = test::allocations;
  ConnPool& found = base.variant(options);
  EXPECT_EQ(test::allocations, before);
  EXPECT_EQ(&found, &made);
}

// The host header is the client's: its pools go with their connections.
TEST_F(TransportPoolTest, PoolsOfNamesThatNobodyUsesGo) {
  ConnPool& base = pool();
  for (int i = 0; i < 1000; ++i) base.variant({.server_name = "n" + std::to_string(i)});
  EXPECT_LE(base.variant_count(), 40u);
  open(pool_of("used.example"), 0);
  server_.close_peer(0);
  settle();
  const size_t left = base.variant_count();
  pool_of("used.example");
  EXPECT_EQ(base.variant_count(), left + 1);  // it had gone
}

TEST_F(TransportPoolTest, PoolsOfNamesDrainWithTheirHost) {
  Caller caller(lane_);
  caller.start(pool_of("a.example"));
  settle();
  greet(0);
  Server other;
  auto next = std::make_shared<lb::Host>(other.address(), "other", "", 2);
  publish_hosts({next});
  EXPECT_NE(server_.receive(0), "");
  server_.answer(0);
  settle();
  EXPECT_EQ(caller.body, "ok");
  EXPECT_EQ(clusters_.connection_count(), 0u);  // and the connection is gone
}

// Idle connections for other names make room.
TEST_F(TransportPoolTest, TheLimitIsOfAllNames) {
  limits_->connections.set_max(1);
  open(pool_of("a.example"), 0);
  open(pool_of("b.example"), 1);
  EXPECT_EQ(stats_->cx_active.value(), 1);
}

}  // namespace
}  // namespace weir::upstream
