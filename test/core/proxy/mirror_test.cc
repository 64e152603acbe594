// Copies of requests for another cluster (here: the other host of the same one), whose answers and speed are nobody's
// business. The mirror takes its turn first: upstream 0 gets the copy, upstream 1 the request.
#include <gtest/gtest.h>

#include "test/core/proxy/proxy_world.h"

namespace weir::proxy {
namespace {

using test::Peer;
using test::ProxyWorld;
using test::WorldOptions;
using Lines = std::vector<std::string>;

constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nhost: a.example:81\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

WorldOptions mirrored(std::function<void(route::MirrorSpec&)> change = {}) {
  WorldOptions options;
  options.upstreams = 2;
  options.virtual_host = [change = std::move(change)](route::VirtualHostSpec& host) {
    route::MirrorSpec& spec = host.routes[0].forward.mirrors.emplace_back();
    spec.cluster = "c";
    if (change) change(spec);
  };
  return options;
}

struct Pair {
  explicit Pair(ProxyWorld& world) : copy(world.upstream(0).accept()), server(world.upstream(1).accept()) {}
  std::unique_ptr<Peer> copy, server;
};

void expect_at_rest(ProxyWorld& world) {
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 0);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_pending_active"), 0);
}

TEST(Mirror, TheCopyIsMarkedAndOutlivesTheRequest) {
  ProxyWorld world(mirrored());
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  Pair at(world);
  const std::string copy = at.copy->receive();
  EXPECT_TRUE(copy.starts_with("GET /x HTTP/1.1\r\nhost: a.example-shadow:81\r\n")) << copy;
  EXPECT_TRUE(at.server->receive().starts_with("GET /x HTTP/1.1\r\nhost: a.example:81\r\n"));
  at.server->send(kOk);
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("ok"));
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 1);
  at.copy->send("HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy");
  world.settle();
  EXPECT_EQ(client->receive(), "");
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_200"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_503"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_time"), 2);
  EXPECT_EQ(world.log(), Lines{"200 - via_upstream"});
  expect_at_rest(world);
  // Its connection goes on to serve.
  EXPECT_FALSE(at.copy->ended());
  EXPECT_EQ(world.stat("cluster.c.upstream_cx_active"), 2);
}

TEST(Mirror, TheHostIsKeptIfSoWanted) {
  ProxyWorld world(mirrored([](route::MirrorSpec& spec) { spec.keeps_host = true; }));
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  EXPECT_NE(Pair(world).copy->receive().find("\r\nhost: a.example:81\r\n"), std::string::npos);
}

TEST(Mirror, AFractionOfNothingIsNothing) {
  ProxyWorld world(mirrored([](route::MirrorSpec& spec) { spec.fraction.default_value = {0, 100}; }));
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_total"), 1);
}

TEST(Mirror, ABodyIsCopiedAsItComesWithItsTrailers) {
  ProxyWorld world(mirrored());
  auto client = world.connect();
  client->send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n");
  world.settle();
  Pair at(world);
  EXPECT_TRUE(at.copy->receive().ends_with("\r\n\r\n3\r\none\r\n"));
  client->send("3\r\ntwo\r\n");
  world.settle();
  EXPECT_EQ(at.copy->receive(), "3\r\ntwo\r\n");
  client->send("0\r\nx-sum: 6\r\n\r\n");
  world.settle();
  EXPECT_EQ(at.copy->receive(), "0\r\nx-sum: 6\r\n\r\n");
  EXPECT_TRUE(at.server->receive().ends_with("3\r\none\r\n3\r\ntwo\r\n0\r\nx-sum: 6\r\n\r\n"));
  at.server->send(kOk);
  at.copy->send(kOk);
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("ok"));
  expect_at_rest(world);
}

TEST(Mirror, AnIncompleteRequestTakesItsCopyAlong) {
  ProxyWorld world(mirrored());
  auto client = world.connect();
  client->send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\none");
  world.settle();
  Pair at(world);
  EXPECT_TRUE(at.copy->receive().ends_with("one"));
  client->reset();
  world.settle();
  at.copy->receive();
  EXPECT_TRUE(at.copy->ended());
  expect_at_rest(world);
}

TEST(Mirror, ACopyThatFailsIsNoFailure) {
  ProxyWorld world(mirrored());
  world.upstream(0).stop();
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  world.upstream(1).accept()->send(kOk);
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("ok"));
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_503"), 1);
  expect_at_rest(world);
}

TEST(Mirror, ACopyThatBreaksOffIsCountedOnce) {
  ProxyWorld world(mirrored());
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  Pair at(world);
  at.copy->receive();
  at.copy->send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
  at.server->send(kOk);
  world.settle();
  at.copy->close();
  world.settle();
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_200"), 2);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_5xx"), 0);
  expect_at_rest(world);
}

TEST(Mirror, ACopyThatIsNotAnsweredEndsWithTheTimeout) {
  ProxyWorld world(mirrored());
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  Pair at(world);
  at.copy->receive();
  at.server->send(kOk);
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("ok"));
  world.advance(15s + 1ms);
  at.copy->receive();
  EXPECT_TRUE(at.copy->ended());
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_timeout"), 1);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_cancelled"), 0);
  expect_at_rest(world);
}

// The copy's server reads nothing: the request goes on, and the copy is given up once its share of memory is used up.
TEST(Mirror, ASlowCopyDoesNotSlowTheRequest) {
  WorldOptions options = mirrored();
  options.cluster = [](upstream::ClusterSpec& spec) { spec.buffer_limit = 64 * 1024; };
  ProxyWorld world(std::move(options));
  auto client = world.connect();
  constexpr size_t kSize = 32 << 20;
  client->send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: " + std::to_string(kSize) + "\r\n\r\n");
  world.settle();
  Pair at(world);
  const std::string piece(64 * 1024, 'x');
  size_t received = at.server->receive().size();
  const size_t head = received;
  for (size_t sent = 0; sent < kSize; sent += piece.size()) {
    client->send(piece);
    world.settle(2);
    received += at.server->receive().size();
  }
  for (int i = 0; i < 200 && received - head < kSize; ++i) {
    world.settle(2);
    received += at.server->receive().size();
  }
  EXPECT_EQ(received - head, kSize);
  EXPECT_EQ(world.stat("cluster.c.upstream_rq_tx_reset"), 1);
  at.server->send(kOk);
  world.settle();
  EXPECT_TRUE(client->receive().ends_with("ok"));
  expect_at_rest(world);
}

TEST(Mirror, AFullClusterIsNotMirroredTo) {
  WorldOptions options = mirrored();
  options.cluster = [](upstream::ClusterSpec& spec) { spec.breakers.max_requests = 1; };
  ProxyWorld world(std::move(options));
  auto client = world.connect();
  client->send(kGet);
  world.settle();
  auto copy = world.upstream(0).accept();
  EXPECT_NE(copy->receive(), "");
  // The request itself finds the only share taken.
  EXPECT_TRUE(client->receive().starts_with("HTTP/1.1 503 "));
  copy->send(kOk);
  world.settle();
  expect_at_rest(world);
}

}  // namespace
}  // namespace weir::proxy
