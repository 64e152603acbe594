// The whole proxy in one thread: main's lane and two workers on one fake clock, driven turn by turn in random order,
// with the server's own managers publishing configuration. It is joined with its clients and servers by a simulated
// network (sim_network.h).
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/event/publisher.h"
#include "core/proxy/connection_manager.h"
#include "core/server/cluster_manager.h"
#include "core/server/listener_manager.h"
#include "core/server/worker.h"
#include "core/stream/access_logger.h"
#include "test/sim/sim_client.h"
#include "test/sim/sim_network.h"
#include "test/sim/sim_server.h"
#include "test/support/chaos_filter.h"
#include "test/support/fake_clock.h"
#include "test/support/plugin_scope.h"

namespace weir::sim {

// Writes down how often each request was logged, and reads every fact the way a log format would.
class CountingLogger final : public stream::AccessLogger {
 public:
  void log(const stream::LogSubject& subject, event::Lane& lane) const override;
  mutable std::map<uint64_t, int> logged;  // by x-sim-id
  mutable std::set<uint64_t> ended_here;   // those that the proxy did not let come to their end
  mutable uint64_t lines = 0;
  mutable uint64_t bytes = 0;
  mutable std::map<std::string, uint64_t> details;
};

class SimWorld {
 public:
  explicit SimWorld(uint64_t seed);
  ~SimWorld();

  // Everything until the last client has gone, with updates in between.
  void run(uint32_t clients);
  // Removes all configuration, lets every timeout pass, and looks for what is left. Returns what is wrong.
  std::vector<std::string> drain_and_check();
  const ClientShared& clients() const { return shared_; }
  uint64_t updates() const { return updates_; }
  // Of everything that went over the network: the same for the same seed.
  uint64_t digest() const { return network_.digest(); }
  const std::map<std::string, uint64_t>& details() const { return logger_->details; }

 private:
  void step_lanes();
  void advance_clock(bool moved);
  bool step_peers();
  // --- Configuration ---
  void update();
  void publish_listeners(event::Publisher::Batch& batch);
  void publish_clusters(event::Publisher::Batch& batch);
  void publish_routes(event::Publisher::Batch& batch);
  std::shared_ptr<const filter::HttpChainConfig> make_chain();
  uint16_t port() const;
  std::string describe_state() const;
  void check_tunnels(std::vector<std::string>& wrong);
  void check_gauges(std::vector<std::string>& wrong);

  struct ClusterState {
    bool present = true;
    std::vector<size_t> servers;
    upstream::ClusterSpec spec;
    uint64_t spec_version = 1;
    uint64_t host_version = 1;
    bool least_request = false;
  };

  Random random_;
  const uint64_t seed_;
  SimNetwork network_;
  test::FakeClock clock_;
  test::PluginScope plugins_;
  stats::Store store_;
  std::vector<std::string> server_violations_;
  std::vector<std::unique_ptr<SimServer>> servers_;
  ClientShared shared_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  std::shared_ptr<CountingLogger> logger_ = std::make_shared<CountingLogger>();
  std::vector<std::shared_ptr<test::ChaosConfig>> chaos_;
  std::vector<std::unique_ptr<server::Worker>> workers_;  // main first
  std::unique_ptr<event::Publisher> publisher_;
  std::unique_ptr<dns::ResolverSource> resolvers_;
  std::unique_ptr<server::ClusterManager> cluster_manager_;
  server::InheritedSockets inherited_;
  std::unique_ptr<server::ListenerManager> listener_manager_;
  std::map<std::string, ClusterState> clusters_;
  // Held so that the statistics of things that come and go can be read at the end.
  std::vector<std::shared_ptr<const void>> kept_statistics_;
  std::vector<std::shared_ptr<upstream::ClusterLimits>> limits_;
  uint64_t versions_ = 0;
  uint64_t updates_ = 0;
  uint32_t idle_rounds_ = 0;
  bool listening_ = true;
  int64_t bugs_before_ = 0;
};

}  // namespace weir::sim
