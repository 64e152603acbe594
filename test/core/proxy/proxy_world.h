// One worker of the proxy with its real listener, connection manager and router on a fake clock, between a client and
// servers that the test moves by hand. What the simulator does at random, step by step.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/event/publisher.h"
#include "core/lb/policy.h"
#include "core/proxy/connection_manager.h"
#include "core/route/spec.h"
#include "core/server/cluster_manager.h"
#include "core/server/listener_manager.h"
#include "core/server/worker.h"
#include "test/support/fake_clock.h"
#include "test/support/plugin_scope.h"

namespace weir::test {

// One end of a loopback connection. Nothing waits: what is not there yet is not received.
class Peer {
 public:
  explicit Peer(int fd) : fd_(fd) {}
  ~Peer() { close(); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  void send(std::string_view text);
  // Everything that has come since the last call.
  std::string receive(size_t most = 1 << 20);
  // The other side has closed (an orderly end or a reset); receive() first.
  bool ended() const { return ended_ || reset_; }
  bool was_reset() const { return reset_; }
  // Of the other end, as logs print it.
  std::string remote_address() const;
  void half_close();
  void close();
  void reset();
  int fd() const { return fd_; }

 private:
  int fd_;
  bool ended_ = false;
  bool reset_ = false;
};

// A host of the cluster.
class Upstream {
 public:
  Upstream();
  ~Upstream() { stop(); }
  // Connections are refused from now on.
  void stop();
  uint16_t port() const { return port_; }
  // The next connection that has been accepted; fails the test if there is none.
  std::unique_ptr<Peer> accept();
  bool has_connection();

 private:
  int fd_;
  int next_ = -1;
  uint16_t port_;
};

// Changes to what is published; all optional.
struct WorldOptions {
  std::function<void(proxy::ConnectionManagerConfig&)> manager{};
  std::function<void(route::VirtualHostSpec&)> virtual_host{};  // it has one route, "/" to the cluster "c"
  std::function<void(upstream::ClusterSpec&)> cluster{};
  std::string log_format{};  // of access logs; empty: "CODE FLAGS DETAILS"
  std::function<std::shared_ptr<const stream::StaticMetadata>(size_t host)> host_metadata{};
  size_t upstreams = 1;  // requests take turns, from the first on
  // Network filters instead of the connection manager; the store is that of stat(), the logger that of log(). The
  // cluster is called "c" here too; "a" and "b" are names of clusters that do not exist.
  std::function<std::vector<proxy::NetworkFilterEntry>(PluginScope&, stats::Store&,
                                                       const std::shared_ptr<stream::AccessLogger>&)>
      network_filters{};
  const lb::PolicyDescriptor* policy = nullptr;  // null: round robin
};

class ProxyWorld {
 public:
  explicit ProxyWorld(WorldOptions options = {});
  ~ProxyWorld();

  std::unique_ptr<Peer> connect();
  // Connections that are there and to come are told that they are to end; closed by force if the plan says so.
  void drain(const proxy::DrainPlan& plan);
  // Turns until everything that is under way has arrived.
  void settle(int turns = 8);
  void advance(Duration by) {
    clock_.advance(by);
    settle();
  }
  Upstream& upstream(size_t index = 0) { return *upstreams_[index]; }
  // A line for every request that was logged, in order: "CODE FLAGS DETAILS" (code 0: no response) or the log_format.
  const std::vector<std::string>& log() const;
  // Counter or gauge by its full name; 0 if there is none.
  int64_t stat(std::string_view name);
  event::Lane& lane() { return workers_[1]->lane(); }
  event::Lane& main_lane() { return workers_[0]->lane(); }
  FakeClock& clock() { return clock_; }

 private:
  class Logger;
  FakeClock clock_;
  PluginScope plugins_;
  stats::Store store_;
  std::vector<std::unique_ptr<Upstream>> upstreams_;
  std::shared_ptr<Logger> logger_;
  std::vector<std::unique_ptr<server::Worker>> workers_;  // main and one worker
  std::unique_ptr<event::Publisher> publisher_;
  std::unique_ptr<dns::ResolverSource> resolvers_;
  std::unique_ptr<server::ClusterManager> clusters_;
  server::InheritedSockets inherited_;
  std::unique_ptr<server::ListenerManager> listeners_;
};

// What happens between the turns of a lane that the test does by hand.
class OnLane {
 public:
  explicit OnLane(event::Lane& lane) : before_(event::Lane::current()) { lane.enter(); }
  ~OnLane() {
    if (before_ != nullptr) {
      before_->enter();
    } else {
      event::Lane::leave();
    }
  }

 private:
  event::Lane* before_;
};

}  // namespace weir::test
