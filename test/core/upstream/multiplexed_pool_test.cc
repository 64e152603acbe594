// Pools of connections of HTTP/2 against a peer that writes its frames by hand: how many connections there are, who
// waits, what becomes of requests when streams or connections end.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/lb/destinations.h"
#include "test/core/http/h2/wire.h"
#include "test/core/upstream/caller.h"
#include "test/core/upstream/pool_world.h"
#include "test/core/upstream/test_listener.h"

namespace weir::upstream {
namespace {

namespace wire = http::h2::test;

// The peer: all connections of one listener.
class Peer {
 public:
  ~Peer() {
    for (Connection& one : connections) ::close(one.fd);
  }
  struct Connection {
    int fd;
    std::string in;
    bool preface = false;
    bool ended = false;
    std::vector<wire::Frame> frames;  // without SETTINGS and WINDOW_UPDATE
  };
  const net::Address& address() const { return listener_.address(); }
  void accept_all() {
    for (int fd; (fd = listener_.accept()) >= 0;) {
      connections.push_back({fd, {}, false, false, {}});
      send(connections.size() - 1, wire::kSettings, 0, 0, settings);
    }
  }
  void send(size_t at, uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
    const std::string frame = wire::frame(type, flags, stream, payload);
    EXPECT_EQ(::send(connections[at].fd, frame.data(), frame.size(), MSG_NOSIGNAL), static_cast<ssize_t>(frame.size()));
  }
  void respond(size_t at, uint32_t stream, bool end = true) {
    send(at, wire::kHeaders, static_cast<uint8_t>(wire::kEndHeaders | (end ? wire::kEndStream : 0)), stream, "\x88");
  }
  void read_all() {
    for (Connection& one : connections) {
      char buffer[65536];
      ssize_t n;
      while ((n = recv(one.fd, buffer, sizeof(buffer), 0)) > 0) one.in.append(buffer, static_cast<size_t>(n));
      one.ended |= n == 0;
      if (!one.preface && one.in.size() >= wire::kPreface.size()) {
        EXPECT_EQ(one.in.substr(0, wire::kPreface.size()), wire::kPreface);
        one.in.erase(0, wire::kPreface.size());
        one.preface = true;
      }
      if (!one.preface) continue;
      std::string_view bytes = one.in;
      for (wire::Frame& frame : wire::take_frames(bytes)) {
        if (frame.type != wire::kSettings && frame.type != wire::kWindowUpdate) one.frames.push_back(std::move(frame));
      }
      one.in.erase(0, one.in.size() - bytes.size());
    }
  }
  size_t count(size_t at, uint8_t type) const {
    size_t found = 0;
    for (const wire::Frame& one : connections[at].frames) found += one.type == type ? 1 : 0;
    return found;
  }
  std::vector<Connection> connections;
  std::string settings;

 private:
  TestListener listener_;
};

class MultiplexedPoolTest : public PoolWorld {
 protected:
  MultiplexedPoolTest() {
    spec_.protocol = HttpProtocol::kHttp2;
    begin(peer_.address());
  }
  ~MultiplexedPoolTest() override {
    clusters_.shut_down();
    settle();
    EXPECT_EQ(stats_->http2.streams_active.value(), 0);
    EXPECT_EQ(stats_->cx_active.value(), 0);
    EXPECT_EQ(stats_->rq_pending_active.value(), 0);
  }
  void settle() {
    for (int i = 0; i < 6; ++i) {
      lane_.turn();
      peer_.accept_all();
      peer_.read_all();
    }
  }

  Peer peer_;
};

TEST_F(MultiplexedPoolTest, OneConnectionServesAllWhoWait) {
  Caller one(lane_), two(lane_), three(lane_);
  for (Caller* caller : {&one, &two, &three}) EXPECT_EQ(caller->start(pool()), ConnPool::Start::kWaiting);
  settle();
  ASSERT_EQ(peer_.connections.size(), 1u);
  EXPECT_EQ(peer_.count(0, wire::kHeaders), 3u);
  EXPECT_EQ(stats_->http2.streams_active.value(), 3);
  peer_.respond(0, 3);
  settle();
  EXPECT_EQ(one.events, "waiting ready ");
  EXPECT_EQ(two.events, "waiting ready-reused headers end ");
  peer_.respond(0, 1);
  peer_.respond(0, 5);
  settle();
  Caller four(lane_);
  EXPECT_EQ(four.start(pool()), ConnPool::Start::kReady);
  settle();
  EXPECT_EQ(peer_.connections.size(), 1u);
  EXPECT_EQ(stats_->cx_http2_total.value(), 1u);
  EXPECT_EQ(stats_->cx_http1_total.value(), 0u);
}

TEST_F(MultiplexedPoolTest, APeerThatTakesOneAtATimeGetsMoreConnections) {
  peer_.settings = std::string("\0\x03", 2) + wire::number(1, 4);  // MAX_CONCURRENT_STREAMS
  Caller first(lane_);
  first.start(pool());
  settle();
  Caller one(lane_), two(lane_);
  one.start(pool());
  two.start(pool());
  settle();
  EXPECT_EQ(peer_.connections.size(), 3u);
  EXPECT_EQ(one.events, "waiting ready ");
  EXPECT_EQ(two.events, "waiting ready ");
  // Also before it has said on the new ones how many it takes.
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(peer_.count(i, wire::kHeaders), 1u) << i;
  // Whoever waits gets the place of one that has ended, if that comes first.
  peer_.respond(0, 1);
  settle();
  Caller three(lane_);
  EXPECT_EQ(three.start(pool()), ConnPool::Start::kReady);
  settle();
  EXPECT_EQ(peer_.connections.size(), 3u);
}

TEST_F(MultiplexedPoolTest, MaxConnectionsLetsOthersWaitForAPlace) {
  CircuitBreakers breakers;
  breakers.max_connections = 1;
  limits_ = std::make_shared<ClusterLimits>(breakers, 2);
  spec_.h2.max_concurrent_streams = 1;
  publish_cluster();
  Caller one(lane_), two(lane_);
  one.start(pool());
  settle();
  EXPECT_EQ(two.start(pool()), ConnPool::Start::kWaiting);
  settle();
  EXPECT_EQ(two.events, "waiting ");
  peer_.respond(0, 1);
  settle();
  EXPECT_EQ(two.events, "waiting ready-reused ");
  EXPECT_EQ(peer_.connections.size(), 1u);
}

TEST_F(MultiplexedPoolTest, GoawayLeavesWhatWasNotProcessed) {
  Caller one(lane_), two(lane_);
  one.start(pool());
  two.start(pool());
  settle();
  peer_.send(0, wire::kGoaway, 0, 0, wire::number(1, 4) + wire::number(0, 4));
  settle();
  EXPECT_EQ(one.events, "waiting ready ");
  EXPECT_EQ(two.events, "waiting ready-reused reset-remote_refused_stream_reset ");
  EXPECT_TRUE(two.unsent);
  Caller three(lane_);
  EXPECT_EQ(three.start(pool()), ConnPool::Start::kWaiting);
  settle();
  EXPECT_EQ(peer_.connections.size(), 2u);
  peer_.respond(0, 1);
  settle();
  EXPECT_EQ(one.events, "waiting ready headers end ");
  EXPECT_TRUE(peer_.connections[0].ended);
  EXPECT_EQ(stats_->cx_close_notify.value(), 1u);
}

TEST_F(MultiplexedPoolTest, AResetEndsOneStream) {
  Caller one(lane_), two(lane_);
  one.start(pool());
  two.start(pool());
  settle();
  peer_.send(0, wire::kReset, 0, 1, wire::number(2, 4));
  settle();
  EXPECT_EQ(one.events, "waiting ready reset-remote_reset ");
  EXPECT_FALSE(one.unsent);
  EXPECT_EQ(two.events, "waiting ready-reused ");
  two.reset();
  settle();
  EXPECT_EQ(peer_.count(0, wire::kReset), 1u);
  EXPECT_EQ(stats_->rq_rx_reset.value(), 1u);
  EXPECT_EQ(stats_->rq_tx_reset.value(), 1u);
  EXPECT_EQ(stats_->cx_active.value(), 1);
}

TEST_F(MultiplexedPoolTest, APausedResponseWaitsAlone) {
  Caller one(lane_), two(lane_);
  one.start(pool());
  two.start(pool());
  settle();
  one.stream->pause_response(true);
  peer_.respond(0, 1, false);
  peer_.send(0, wire::kData, wire::kEndStream, 1, "held");
  peer_.respond(0, 3, false);
  peer_.send(0, wire::kData, wire::kEndStream, 3, "free");
  settle();
  EXPECT_EQ(one.events, "waiting ready ");
  EXPECT_EQ(two.events, "waiting ready-reused headers end ");
  EXPECT_EQ(two.body, "free");
  // Not even the end of the connection takes away what has come whole.
  shutdown(peer_.connections[0].fd, SHUT_WR);
  settle();
  EXPECT_EQ(one.events, "waiting ready ");
  one.stream->pause_response(false);
  settle();
  EXPECT_EQ(one.events, "waiting ready headers end ");
  EXPECT_EQ(one.body, "held");
  EXPECT_EQ(stats_->cx_active.value(), 0);
}

// Between others that have come whole, and while what one of them does ends another.
TEST_F(MultiplexedPoolTest, TheEndOfAConnectionFailsWhatIsNotWhole) {
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < 6; ++i) {
    callers.push_back(std::make_unique<Caller>(lane_));
    callers.back()->start(pool());
  }
  settle();
  for (size_t i : {1u, 2u, 4u}) {
    callers[i]->stream->pause_response(true);
    peer_.respond(0, static_cast<uint32_t>(2 * i + 1));
  }
  settle();
  callers[0]->when_reset = [&] { callers[3]->reset(); };
  shutdown(peer_.connections[0].fd, SHUT_WR);
  settle();
  EXPECT_EQ(callers[0]->events, "waiting ready reset-connection_termination ");
  EXPECT_EQ(callers[3]->events, "waiting ready-reused ");  // it was given up in between
  EXPECT_EQ(callers[5]->events, "waiting ready-reused reset-connection_termination ");
  for (size_t i : {1u, 2u, 4u}) {
    EXPECT_EQ(callers[i]->events, "waiting ready-reused ");
    callers[i]->stream->pause_response(false);
  }
  settle();
  for (size_t i : {1u, 2u, 4u}) EXPECT_EQ(callers[i]->events, "waiting ready-reused headers end ");
  EXPECT_EQ(stats_->cx_active.value(), 0);
}

TEST_F(MultiplexedPoolTest, AnAnswerBeforeTheRequestsEndTakesItBack) {
  Caller one(lane_);
  one.request_ends = false;
  one.start(pool());
  settle();
  peer_.respond(0, 1);
  settle();
  EXPECT_EQ(one.events, "waiting ready headers end ");
  EXPECT_EQ(peer_.count(0, wire::kReset), 1u);
  EXPECT_EQ(stats_->http2.streams_active.value(), 0);
}

TEST_F(MultiplexedPoolTest, AHostThatLeavesIsDrained) {
  Caller one(lane_);
  one.start(pool());
  settle();
  publish_hosts({});
  settle();
  EXPECT_FALSE(peer_.connections[0].ended);
  peer_.respond(0, 1);
  settle();
  EXPECT_EQ(one.events, "waiting ready headers end ");
  EXPECT_TRUE(peer_.connections[0].ended);
  EXPECT_EQ(peer_.count(0, wire::kGoaway), 1u);
}

TEST_F(MultiplexedPoolTest, IdleAndOldConnectionsEnd) {
  spec_.idle_timeout = 10s;
  spec_.max_connection_duration = 15s;
  publish_cluster();
  Caller one(lane_);
  one.start(pool());
  settle();
  lane_.advance(11s);
  settle();
  EXPECT_EQ(stats_->cx_idle_timeout.value(), 0u);  // it is busy
  peer_.respond(0, 1);
  settle();
  Caller two(lane_);
  two.start(pool());
  settle();
  lane_.advance(5s);
  settle();
  EXPECT_FALSE(peer_.connections[0].ended);  // too old, and still busy
  Caller three(lane_);
  three.start(pool());
  settle();
  EXPECT_EQ(peer_.connections.size(), 2u);
  peer_.respond(0, 3);
  settle();
  EXPECT_TRUE(peer_.connections[0].ended);
  EXPECT_EQ(stats_->cx_max_duration_reached.value(), 1u);
  peer_.respond(1, 1);
  settle();
  lane_.advance(11s);
  settle();
  EXPECT_EQ(stats_->cx_idle_timeout.value(), 1u);
  EXPECT_EQ(stats_->cx_active.value(), 0);
}

TEST_F(MultiplexedPoolTest, GarbageFailsWhatIsUnderWay) {
  Caller one(lane_), two(lane_);
  one.start(pool());
  two.start(pool());
  settle();
  peer_.send(0, wire::kWindowUpdate, 0, 0, wire::number(0, 4));  // an increment of 0
  settle();
  EXPECT_EQ(one.events, "waiting ready reset-protocol_error ");
  EXPECT_EQ(two.events, "waiting ready-reused reset-protocol_error ");
  EXPECT_EQ(stats_->cx_protocol_error.value(), 1u);
  EXPECT_EQ(stats_->cx_destroy_with_active_rq.value(), 1u);  // connections
  EXPECT_EQ(peer_.count(0, wire::kGoaway), 1u);
  EXPECT_TRUE(peer_.connections[0].ended);
}

TEST_F(MultiplexedPoolTest, AHeadWithoutEndIsCountedOnce) {
  Caller one(lane_);
  one.start(pool());
  settle();
  // A field of 3900 bytes, and then again and again from the table.
  const std::string bomb = std::string("\x88\x40\x01x\x7f\xbd\x1d") + std::string(3900, 'v') + std::string(300, '\xbe');
  peer_.send(0, wire::kHeaders, wire::kEndHeaders | wire::kEndStream, 1, bomb);
  settle();
  EXPECT_EQ(one.events, "waiting ready reset-protocol_error ");
  EXPECT_EQ(stats_->http2.header_overflow.value(), 1u);
  EXPECT_EQ(stats_->cx_protocol_error.value(), 1u);
}

// A lane makes room for hosts that requests name by dropping those that nobody uses, in any protocol.
TEST_F(MultiplexedPoolTest, AHostThatARequestNamedStaysWhileAnyOfItsPoolsIsUsed) {
  spec_.protocol = HttpProtocol::kDownstream;
  spec_.original = make_original_destination(store_, "c");
  policy_ = lb::destination_policy();
  publish_cluster();
  publish_hosts({});
  lb::PickInput input;
  const std::string name = peer_.address().to_string();
  input.name = name;
  ConnPool* found = cluster().pick(input);
  ASSERT_NE(found, nullptr);
  Caller caller(lane_);
  EXPECT_EQ(caller.start(found->variant({}, Speaks::kHttp2)), ConnPool::Start::kWaiting);
  settle();
  for (int i = 0; i < 1100; ++i) {
    const std::string other = "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ":80";
    input.name = other;
    EXPECT_NE(cluster().pick(input), nullptr) << other;
  }
  input.name = name;
  EXPECT_EQ(cluster().pick(input), found);
  peer_.respond(0, 1);
  settle();
  EXPECT_EQ(caller.events, "waiting ready headers end ");
}

TEST_F(MultiplexedPoolTest, RawOnesHaveConnectionsOfTheirOwn) {
  Caller one(lane_);
  one.start(pool());
  settle();
  ConnPool& raw = pool().variant({}, Speaks::kRaw);
  EXPECT_NE(&raw, &pool());
  EXPECT_EQ(raw.protocol_on(*clusters_.find(cluster_)->current()), HttpProtocol::kHttp1);
}

// RFC 9113 6.5.3: until the peer knows how small windows are, streams that nobody reads stop all the others.
TEST_F(MultiplexedPoolTest, SmallerWindowsMustBeAcknowledged) {
  constexpr uint8_t kAck = 1;
  spec_.h2.connection_window = 1 << 20;
  publish_cluster();
  Caller caller(lane_);
  caller.start(pool());
  settle();
  peer_.send(0, wire::kSettings, kAck, 0, "");
  peer_.respond(0, 1, false);
  const auto fill = [&] {
    settle();
    caller.stream->pause_response(true);
    for (int i = 0; i < 20; ++i) {
      peer_.send(0, wire::kData, 0, 1, std::string(16000, 'x'));
      settle();
    }
  };
  fill();
  EXPECT_EQ(stats_->http2.windows_narrowed.value(), 1u);
  lane_.advance(29s);
  peer_.send(0, wire::kSettings, kAck, 0, "");
  settle();
  lane_.advance(1min);
  settle();
  EXPECT_EQ(caller.events, "waiting ready headers ");
  caller.stream->pause_response(false);
  settle();
  lane_.advance(1min);  // what makes them large again may be acknowledged at any time
  peer_.send(0, wire::kSettings, kAck, 0, "");
  fill();
  EXPECT_EQ(stats_->http2.windows_narrowed.value(), 2u);
  lane_.advance(29s);
  settle();
  EXPECT_EQ(caller.events, "waiting ready headers ");
  lane_.advance(2s);
  settle();
  EXPECT_EQ(caller.events, "waiting ready headers reset-protocol_error ");
  EXPECT_EQ(stats_->http2.settings_timeout.value(), 1u);
  EXPECT_TRUE(peer_.connections[0].ended);
  ASSERT_EQ(peer_.count(0, wire::kGoaway), 1u);
  EXPECT_EQ(peer_.connections[0].frames.back().code(4), static_cast<uint32_t>(http::h2::ErrorCode::kSettingsTimeout));
}

}  // namespace
}  // namespace weir::upstream
