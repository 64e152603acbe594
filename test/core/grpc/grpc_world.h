// A cluster "c" of HTTP/2 whose host writes its frames by hand, and calls to it.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/grpc/service.h"
#include "test/core/http/h2/wire.h"
#include "test/core/proxy/proxy_world.h"
#include "test/support/grpc_messages.h"

namespace weir::grpc {

namespace wire = http::h2::test;
using test::grpc_frame;
using test::OnLane;
using test::ProxyWorld;

inline test::WorldOptions with_http2(upstream::HttpProtocol protocol = upstream::HttpProtocol::kHttp2) {
  test::WorldOptions options;
  options.cluster = [protocol](upstream::ClusterSpec& spec) { spec.protocol = protocol; };
  return options;
}

inline Service service_c() {
  Service service;
  service.cluster = {event::SlotKind::kCluster, 2};  // as ProxyWorld numbers them
  service.authority = "c";
  return service;
}

inline std::string told(const Status& status) {
  return std::string(code_name(status.code)) + (status.ok() ? "" : " " + status.message);
}

// One connection of the host's.
class Server {
 public:
  explicit Server(ProxyWorld& world) : world_(world), peer_(world.upstream().accept()) { read(); }
  // Takes what has come; understands it as a server does.
  void read() {
    world_.settle();
    const std::string bytes = peer_->receive();
    if (!bytes.empty()) heard_.receive(bytes);
    peer_->send(heard_.flush());
    world_.settle();
  }
  void send(const std::string& bytes) {
    peer_->send(bytes);
    world_.settle();
  }
  void head(uint32_t id, const std::string& more = {}, bool end = false) {
    send(wire::frame(wire::kHeaders, static_cast<uint8_t>(wire::kEndHeaders | (end ? wire::kEndStream : 0)), id,
                     "\x88" + wire::field("content-type", "application/grpc") + more));
  }
  void data(uint32_t id, const std::string& bytes, bool end = false) {
    send(wire::frame(wire::kData, end ? wire::kEndStream : 0, id, bytes));
  }
  void trailers(uint32_t id, const std::string& status = "0", const std::string& more = {}) {
    send(wire::frame(wire::kHeaders, wire::kEndHeaders | wire::kEndStream, id,
                     wire::field("grpc-status", status) + more));
  }
  // Trailers alone.
  void refuse(uint32_t id, const std::string& status, const std::string& more = {}) {
    head(id, wire::field("grpc-status", status) + more, true);
  }
  void answer(uint32_t id, std::string_view message) {
    head(id);
    data(id, grpc_frame(message));
    trailers(id);
  }
  void reset(uint32_t id, uint32_t code) { send(wire::frame(wire::kReset, 0, id, wire::number(code, 4))); }
  std::string request(size_t index = 0) { return heard_.stream(index).head.to_string(); }
  size_t requests() const { return heard_.streams.size(); }
  const std::string& body() const { return heard_.body; }
  const std::string& log() const { return heard_.log; }
  test::Peer& peer() { return *peer_; }

 private:
  ProxyWorld& world_;
  std::unique_ptr<test::Peer> peer_;
  wire::Server heard_;
};

inline Slices slices(std::string_view text, event::Lane& lane) {
  Slices all;
  all.append_copy(text, lane.blocks());
  return all;
}

inline void expect_cancelled(Server& server) {
  server.read();
  EXPECT_NE(server.log().find("peer_reset CANCEL"), std::string::npos) << server.log();
}

// A call of a kind, the service that it is made to, and the connection on which it comes there. When all is over,
// nothing is under way any more.
template <class Made>
class Scene {
 public:
  explicit Scene(upstream::HttpProtocol protocol = upstream::HttpProtocol::kHttp2)
      : world(with_http2(protocol)), call(world.lane()) {}
  ~Scene() { expect_at_rest(); }
  // Begins the call, and has it arrive.
  template <class... Options>
  Server& begin(const Options&... options) {
    EXPECT_EQ(call.begin(service, options...), "OK");
    return arrive();
  }
  // The connection, when the call has been begun.
  Server& arrive() {
    world.settle();
    server_ = std::make_unique<Server>(world);
    return *server_;
  }
  void expect_at_rest() {
    world.settle();
    EXPECT_EQ(world.stat("cluster.c.upstream_rq_active"), 0);
    EXPECT_EQ(world.stat("cluster.c.upstream_rq_pending_active"), 0);
  }

  ProxyWorld world;
  Service service = service_c();
  Made call;

 private:
  std::unique_ptr<Server> server_;
};

}  // namespace weir::grpc
