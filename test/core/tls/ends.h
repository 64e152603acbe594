// A server and a client of ours, joined by a socket pair on one lane.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "core/net/connection.h"
#include "core/net/transport_facts.h"
#include "core/tls/client_context.h"
#include "core/tls/server_context.h"
#include "test/support/certificates.h"
#include "test/support/test_lane.h"

namespace weir::tls {

using test::make_authority;
using test::make_certificate;
using test::TestIdentity;

inline const stats::GroupKind kTestGroup{"listener", "envoy_listener_address", stat_definitions()};

inline std::shared_ptr<const Identity> identity_of(const TestIdentity& made, const std::string& rest_of_chain = {},
                                                   const std::string& ocsp = {}) {
  IdentitySpec spec{.certificate_chain = {made.certificate + rest_of_chain, "c.pem"},
                    .private_key = {made.private_key, "k.pem"}};
  if (!ocsp.empty()) spec.ocsp_staple = {ocsp, "o.der"};
  auto loaded = Identity::load(spec);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return *loaded;
}

inline std::shared_ptr<const Verifier> verifier_of(VerifierSpec spec) {
  auto built = Verifier::build(std::move(spec));
  EXPECT_TRUE(built.ok()) << built.status();
  return *built;
}

class Side final : public net::ConnectionHandler {
 public:
  void on_connected() override { connected = true; }
  void on_data(Slices& in, bool end) override {
    received += in.to_string();
    in.clear();
    ended |= end;
  }
  void on_closed(net::CloseReason why) override {
    closed = true;
    reason = why;
  }
  void open(event::Lane& lane, int fd, std::unique_ptr<net::Transport> transport, const char* name) {
    connection = std::make_unique<net::Connection>(lane, fd, *net::Address::from_unix(name));
    connection->set_handler(*this);
    connection->set_transport(std::move(transport));
    connection->start(true);
  }
  void write(std::string_view text) {
    connection->out().append_copy(text, connection->lane().blocks());
    connection->flush_later();
  }
  net::TransportFacts& facts() { return connection->transport()->facts(); }
  std::string session(net::SessionFact fact) { return std::string(facts().session(fact)); }
  std::string failure() { return std::string(connection->transport()->failure()); }

  std::unique_ptr<net::Connection> connection;
  std::string received;
  bool connected = false;
  bool ended = false;
  bool closed = false;
  net::CloseReason reason{};
};

class TlsTest : public ::testing::Test {
 public:
  TlsTest() {
    server_spec.identities = {identity_of(leaf)};
    server_spec.stats = std::make_shared<Stats>(store.group(kTestGroup, "server"));
    server_spec.ticket_ring = ring;
    client_spec.stats = std::make_shared<Stats>(store.group(kTestGroup, "client"));
  }
  ~TlsTest() override { hang_up(); }

  // The specs may be changed until the first meet(), or until rebuild().
  void build() {
    if (server_context == nullptr) {
      auto built = ServerContext::build(server_spec);
      ASSERT_TRUE(built.ok()) << built.status();
      server_context = std::move(*built);
    }
    if (client_context == nullptr) {
      auto built = ClientContext::build(client_spec);
      ASSERT_TRUE(built.ok()) << built.status();
      client_context = std::move(*built);
    }
  }
  void rebuild() {
    server_context = nullptr;
    client_context = nullptr;
  }
  void open() {
    hang_up();
    build();
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    server = std::make_unique<Side>();
    client = std::make_unique<Side>();
    server->open(lane, fds[0], make_server_transport(server_context, lane), "@client");
    client->open(lane, fds[1], make_client_transport(client_context, lane, options), "@server");
  }
  // A handshake, as far as it goes, and a message each way, which brings what follows it.
  void meet() {
    open();
    lane.turns(8);
    if (!server->connected || !client->connected) return;
    client->write("request");
    lane.turns(3);
    if (server->connection->open()) server->write("response");
    lane.turns(3);
  }
  void hang_up() {
    for (auto* side : {&server, &client}) {
      if (*side != nullptr && (*side)->connection->open()) (*side)->connection->close();
    }
    lane.turns(2);
    server = nullptr;
    client = nullptr;
  }
  // Both have what the other said.
  bool met() { return client->received == "response" && server->received == "request"; }
  bool resumed() {
    const uint64_t before = std::exchange(resumed_before_, server_spec.stats->session_reused.value());
    return server_spec.stats->session_reused.value() > before;
  }
  uint64_t stat(std::string_view name) {
    uint64_t value = 0;
    store.visit([&](const stats::Sample& sample) {
      if (sample.name == name) value = sample.value;
    });
    return value;
  }
  void only(Version version) { client_spec.parameters = {.minimum = version, .maximum = version}; }

  stats::Store store;
  test::TestLane lane;
  TestIdentity root = make_authority("root");
  TestIdentity leaf = make_certificate({.names = {"DNS:www.example"}}, &root);
  std::shared_ptr<TicketRing> ring = std::make_shared<TicketRing>();
  ServerSpec server_spec;
  ClientSpec client_spec;
  ClientOptions options;
  std::shared_ptr<const ServerContext> server_context;
  std::shared_ptr<const ClientContext> client_context;
  std::unique_ptr<Side> server, client;

 private:
  uint64_t resumed_before_ = 0;
};

}  // namespace weir::tls
