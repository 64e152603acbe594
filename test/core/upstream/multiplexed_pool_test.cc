// Pools of connections of HTTP/2 against a peer that writes its frames by hand: how many connections there are, who
// waits, what becomes of requests when streams or connections end.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "core/lb/destinations.h"
#include "core/net/socket.h"
#include "core/stream/stream_info.h"
#include "test/core/upstream/pool_world.h"

namespace weir::upstream {
namespace {

using test::TestLane;

enum FrameType : uint8_t { kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kGoaway = 7, kUpdate = 8 };
struct Frame {
  uint8_t type;
  uint8_t flags;
  uint32_t stream;
  std::string payload;
};
constexpr uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4;

std::string number(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

// The peer: all connections of one listener.
class Peer {
 public:
  Peer() {
    listener_ = *net::open_listen_socket(*net::Address::from_ip("127.0.0.1", 0), {});
    address_ = net::bound_address(listener_);
  }
  ~Peer() {
    for (Connection& one : connections) ::close(one.fd);
    ::close(listener_);
  }
  struct Connection {
    int fd;
    std::string in;
    bool preface = false;
    bool ended = false;
    std::vector<Frame> frames;  // without SETTINGS and WINDOW_UPDATE
  };
  const net::Address& address() const { return address_; }
  void accept_all() {
    for (int fd; (fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
      connections.push_back({fd, {}, false, false, {}});
      send(connections.size() - 1, kSettings, 0, 0, settings);
    }
  }
  void send(size_t at, uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
    std::string frame = number(static_cast<uint32_t>(payload.size()) << 8 | type);
    frame += static_cast<char>(flags);
    frame += number(stream) + payload;
    EXPECT_EQ(::send(connections[at].fd, frame.data(), frame.size(), MSG_NOSIGNAL), static_cast<ssize_t>(frame.size()));
  }
  void respond(size_t at, uint32_t stream, bool end = true) {
    send(at, kHeaders, static_cast<uint8_t>(kEndHeaders | (end ? kEndStream : 0)), stream, "\x88");
  }
  void read_all() {
    for (Connection& one : connections) {
      char buffer[65536];
      ssize_t n;
      while ((n = recv(one.fd, buffer, sizeof(buffer), 0)) > 0) one.in.append(buffer, static_cast<size_t>(n));
      one.ended |= n == 0;
      if (!one.preface && one.in.size() >= 24) {
        EXPECT_EQ(one.in.substr(0, 24), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        one.in.erase(0, 24);
        one.preface = true;
      }
      auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(one.in[i])); };
      while (one.preface && one.in.size() >= 9) {
        const uint32_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
        if (one.in.size() < 9 + size) break;
        Frame frame{static_cast<uint8_t>(byte(3)), static_cast<uint8_t>(byte(4)),
                    byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8), one.in.substr(9, size)};
        one.in.erase(0, 9 + size);
        if (frame.type != kSettings && frame.type != kUpdate) one.frames.push_back(std::move(frame));
      }
    }
  }
  size_t count(size_t at, uint8_t type) const {
    size_t found = 0;
    for (const Frame& one : connections[at].frames) found += one.type == type ? 1 : 0;
    return found;
  }
  std::vector<Connection> connections;
  std::string settings;

 private:
  int listener_;
  net::Address address_;
};

class Caller final : public UpstreamEvents {
 public:
  explicit Caller(TestLane& lane) : lane_(lane) {}
  ~Caller() {
    if (stream != nullptr) stream->reset();
  }
  ConnPool::Start start(ConnPool& pool) {
    UpstreamStream* ready = nullptr;
    const ConnPool::Start result = pool.request(waiter, *this, ready);
    if (result == ConnPool::Start::kReady) on_ready(*ready);
    return result;
  }
  stream::WireBytes& wire_bytes() override { return wire; }
  void on_ready(UpstreamStream& ready) override {
    stream = &ready;
    events += "ready ";
    http::HeaderMap request(arena_);
    request.add(http::HeaderId::kMethod, "GET");
    request.add(http::HeaderId::kScheme, "http");
    request.add(http::HeaderId::kPath, "/");
    request.add(http::HeaderId::kAuthority, "a");
    EXPECT_TRUE(ready.send_headers(request, ends));
  }
  void on_failed(ResetReason reason, std::string_view) override {
    events += "failed-" + std::string(reason_text(reason)) + " ";
  }
  http::HeaderMap& begin_response(int) override {
    response_.clear();
    return response_;
  }
  void on_informational(BlockRef) override { events += "info "; }
  void on_upstream_headers(BlockRef, bool end) override {
    events += "headers ";
    if (end) over();
  }
  void on_upstream_data(Slices& data, bool end) override {
    body += data.to_string();
    data.clear();
    if (end) over();
  }
  http::HeaderMap& begin_response_trailers() override { return trailers_; }
  void on_upstream_trailers() override { over(); }
  void on_reset(ResetReason reason, std::string_view) override {
    unsent = stream->request_unsent();
    stream = nullptr;
    events += "reset-" + std::string(reason_text(reason)) + " ";
  }
  void on_request_flow(bool) override {}
  void over() {
    stream = nullptr;
    events += "end ";
  }

  Waiter waiter{*this};
  UpstreamStream* stream = nullptr;
  stream::WireBytes wire;
  std::string events;
  std::string body;
  bool unsent = false;
  bool ends = true;

 private:
  TestLane& lane_;
  Arena arena_{lane_.lane().arenas()};
  http::HeaderMap response_{arena_};
  http::HeaderMap trailers_{arena_};
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
  EXPECT_EQ(peer_.count(0, kHeaders), 3u);
  EXPECT_EQ(stats_->http2.streams_active.value(), 3);
  peer_.respond(0, 3);
  settle();
  EXPECT_EQ(one.events, "ready ");
  EXPECT_EQ(two.events, "ready headers end ");
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
  peer_.settings = std::string("\0\x03", 2) + number(1);  // MAX_CONCURRENT_STREAMS
  Caller first(lane_);
  first.start(pool());
  settle();
  Caller one(lane_), two(lane_);
  one.start(pool());
  two.start(pool());
  settle();
  EXPECT_EQ(peer_.connections.size(), 3u);
  EXPECT_EQ(one.events, "ready ");
  EXPECT_EQ(two.events, "ready ");
  // Also before it has said on the new ones how many it takes.
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(peer_.count(i, kHeaders), 1u) << i;
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
  EXPECT_EQ(two.events, "");
  peer_.respond(0, 1);
  settle();
  EXPECT_EQ(two.events, "ready ");
  EXPECT_EQ(peer_.connections.size(), 1u);
}

TEST_F(MultiplexedPoolTest, GoawayLeavesWhatWasNotProcessed) {
  Caller one(lane_), two(lane_);
  one.start(pool());
  two.start(pool());
  settle();
  peer_.send(0, kGoaway, 0, 0, number(1) + number(0));
  settle();
  EXPECT_EQ(one.events, "ready ");
  EXPECT_EQ(two.events, "ready reset-remote_refused_stream_reset ");
  EXPECT_TRUE(two.unsent);
  Caller three(lane_);
  EXPECT_EQ(three.start(pool()), ConnPool::Start::kWaiting);
  settle();
  EXPECT_EQ(peer_.connections.size(), 2u);
  peer_.respond(0, 1);
  settle();
  EXPECT_EQ(one.events, "ready headers end ");
  EXPECT_TRUE(peer_.connections[0].ended);
  EXPECT_EQ(stats_->cx_close_notify.value(), 1u);
}

TEST_F(MultiplexedPoolTest, AResetEndsOneStream) {
  Caller one(lane_), two(lane_);
  one.start(pool());
  two.start(pool());
  settle();
  peer_.send(0, kReset, 0, 1, number(2));
  settle();
  EXPECT_EQ(one.events, "ready reset-remote_reset ");
  EXPECT_FALSE(one.unsent);
  EXPECT_EQ(two.events, "ready ");
  two.stream->reset();
  two.stream = nullptr;
  settle();
  EXPECT_EQ(peer_.count(0, kReset), 1u);
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
  peer_.send(0, kData, kEndStream, 1, "held");
  peer_.respond(0, 3, false);
  peer_.send(0, kData, kEndStream, 3, "free");
  settle();
  EXPECT_EQ(one.events, "ready ");
  EXPECT_EQ(two.events, "ready headers end ");
  EXPECT_EQ(two.body, "free");
  // Not even the end of the connection takes away what has come whole.
  shutdown(peer_.connections[0].fd, SHUT_WR);
  settle();
  EXPECT_EQ(one.events, "ready ");
  one.stream->pause_response(false);
  settle();
  EXPECT_EQ(one.events, "ready headers end ");
  EXPECT_EQ(one.body, "held");
  EXPECT_EQ(stats_->cx_active.value(), 0);
}

TEST_F(MultiplexedPoolTest, AnAnswerBeforeTheRequestsEndTakesItBack) {
  Caller one(lane_);
  one.ends = false;
  one.start(pool());
  settle();
  peer_.respond(0, 1);
  settle();
  EXPECT_EQ(one.events, "ready headers end ");
  EXPECT_EQ(peer_.count(0, kReset), 1u);
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
  EXPECT_EQ(one.events, "ready headers end ");
  EXPECT_TRUE(peer_.connections[0].ended);
  EXPECT_EQ(peer_.count(0, kGoaway), 1u);
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
  peer_.send(0, kUpdate, 0, 0, number(0));  // an increment of 0
  settle();
  EXPECT_EQ(one.events, "ready reset-protocol_error ");
  EXPECT_EQ(two.events, "ready reset-protocol_error ");
  EXPECT_EQ(stats_->cx_protocol_error.value(), 1u);
  EXPECT_EQ(stats_->cx_destroy_with_active_rq.value(), 1u);  // connections
  EXPECT_EQ(peer_.count(0, kGoaway), 1u);
  EXPECT_TRUE(peer_.connections[0].ended);
}

TEST_F(MultiplexedPoolTest, AHeadWithoutEndIsCountedOnce) {
  Caller one(lane_);
  one.start(pool());
  settle();
  // A field of 3900 bytes, and then again and again from the table.
  const std::string bomb = std::string("\x88\x40\x01x\x7f\xbd\x1d") + std::string(3900, 'v') + std::string(300, '\xbe');
  peer_.send(0, kHeaders, kEndHeaders | kEndStream, 1, bomb);
  settle();
  EXPECT_EQ(one.events, "ready reset-protocol_error ");
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
  EXPECT_EQ(caller.events, "ready headers end ");
}

TEST_F(MultiplexedPoolTest, RawOnesHaveConnectionsOfTheirOwn) {
  Caller one(lane_);
  one.start(pool());
  settle();
  ConnPool& raw = pool().variant({}, Speaks::kRaw);
  EXPECT_NE(&raw, &pool());
  EXPECT_EQ(raw.protocol_on(*clusters_.find(cluster_)->current()), HttpProtocol::kHttp1);
}

}  // namespace
}  // namespace weir::upstream
