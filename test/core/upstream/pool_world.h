// A cluster "c" on one lane, whose host is one that the test plays.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "core/event/publisher.h"
#include "core/stats/store.h"
#include "core/upstream/lane_clusters.h"
#include "test/support/test_lane.h"

namespace weir::upstream {

// Always the first host that may be used.
class FirstHost final : public lb::Table {
 public:
  explicit FirstHost(const lb::BuildInput& input) : usable_(input.usable.begin(), input.usable.end()) {}
  lb::HostIndex pick(const lb::PickInput&, lb::LaneView&, lb::LaneState&) const noexcept override {
    return usable_.front();
  }

 private:
  std::vector<lb::HostIndex> usable_;
};

class PoolWorld : public ::testing::Test {
 protected:
  PoolWorld() {
    policy_.build = [](const lb::BuildInput& input, const void*) { return std::make_unique<FirstHost>(input); };
    spec_.name = spec_.stat_name = "c";
  }
  // Nothing is there before.
  void begin(const net::Address& address) {
    host_ = std::make_shared<lb::Host>(address, "server", "", 2);
    publish_cluster();
    publish_hosts({host_});
  }
  void publish_cluster() { publish(cluster_, std::make_unique<Cluster>(spec_, stats_, limits_)); }
  void publish_hosts(const std::vector<std::shared_ptr<lb::Host>>& hosts) {
    std::vector<lb::HostEntry> entries;
    for (const auto& host : hosts) entries.emplace_back().host = host;
    publish_entries(std::move(entries));
  }
  // The host, to be reached at these.
  void publish_addresses(std::vector<net::Address> addresses) {
    std::vector<lb::HostEntry> entries(1);
    entries[0].host = host_;
    entries[0].addresses = std::make_shared<const std::vector<net::Address>>(std::move(addresses));
    publish_entries(std::move(entries));
  }
  void publish_entries(std::vector<lb::HostEntry> entries) {
    publish(hosts_, std::make_unique<lb::HostSet>(std::move(entries), policy_, nullptr, lb::HostSet::Options{}));
  }
  template <class Version>
  void publish(event::SlotId slot, std::unique_ptr<Version> version) {
    event::Publisher::Batch batch;
    batch.set(slot, std::move(version));
    publish(std::move(batch));
  }
  void publish(event::Publisher::Batch batch) {
    publisher_.publish(std::move(batch));
    lane_.turns(2);
  }
  void remove(std::initializer_list<event::SlotId> slots) {
    event::Publisher::Batch batch;
    for (const event::SlotId slot : slots) batch.remove(slot);
    publish(std::move(batch));
  }
  ClusterLocal& cluster() { return *clusters_.find(cluster_); }
  ConnPool& pool() { return *cluster().pick({}); }

  stats::Store store_;
  std::shared_ptr<ClusterStats> stats_ = std::make_shared<ClusterStats>(store_, "c");
  std::shared_ptr<ClusterLimits> limits_ = std::make_shared<ClusterLimits>(CircuitBreakers{}, 2);
  ClusterSpec spec_;
  lb::PolicyDescriptor policy_;
  std::shared_ptr<lb::Host> host_;
  test::TestLane lane_{0};
  LaneClusters clusters_{lane_.lane()};
  event::Publisher publisher_{{&lane_.lane()}};
  const event::SlotId hosts_ = publisher_.intern(event::SlotKind::kHostSet, "c");
  const event::SlotId cluster_ = publisher_.intern(event::SlotKind::kCluster, "c");
};

}  // namespace weir::upstream
