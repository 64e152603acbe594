// A downstream connection as listener and network filters see it: a real socket pair on a test's lane, and facts that
// the test sets.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>

#include "core/filter/registry.h"
#include "test/support/plugin_scope.h"
#include "test/support/test_lane.h"

namespace weir::test {

class FakeConnection final : public filter::ConnectionHost, private net::ConnectionHandler {
 public:
  explicit FakeConnection(TestLane& lane, std::string_view remote = "192.0.2.7", uint16_t port = 5000)
      : lane_(lane), info_(lane.lane().arenas()) {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    peer_ = ends[1];
    facts.remote = facts.direct_remote = *net::Address::from_ip(remote, port);
    facts.local = *net::Address::from_ip("10.0.0.1", 443);
    connection_ = std::make_unique<net::Connection>(lane.lane(), ends[0], facts.remote);
    connection_->set_local(facts.local);
    connection_->set_handler(*this);
  }
  ~FakeConnection() {
    if (connection_->open()) connection_->close();
    lane_.turns(2);
    close(peer_);
  }

  filter::ConnectionFacts facts;
  bool closed() const { return !connection_->open(); }

  net::Connection& connection() override { return *connection_; }
  const net::Address& remote() const override { return facts.remote; }
  const net::Address& local() override { return facts.local; }
  uint64_t connection_id() const override { return 1; }
  std::string_view filter_chain_name() const override { return "chain"; }
  std::string_view server_name() const override { return facts.server_name; }
  stream::ConnectionInfo& info() override { return info_; }
  stream::ConnectionInfo* info_if_any() const override { return const_cast<stream::ConnectionInfo*>(&info_); }
  Slices& input() override { return connection_->in(); }
  void deliver_again() override {}
  void replace_filter(std::unique_ptr<filter::NetworkFilter>) override { ADD_FAILURE() << "nobody takes over here"; }
  bool draining() const override { return false; }

 private:
  void on_data(Slices&, bool) override {}
  void on_closed(net::CloseReason) override {}

  TestLane& lane_;
  stream::ConnectionInfo info_;
  std::unique_ptr<net::Connection> connection_;
  int peer_ = -1;
};

// The configuration of a filter, made of its message as the registry makes it.
inline filter::ConfigPtr make_config(PluginScope& plugins, const filter::MakeConfig& make,
                                     const google::protobuf::Message& message) {
  auto config = make(message, plugins.scope());
  EXPECT_TRUE(config.ok());
  return config.ok() ? *config : nullptr;
}

}  // namespace weir::test
