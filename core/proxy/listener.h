// A listener's configuration: sockets, listener filters, filter chains. Lanes see it through a slot; connections pin
// it.
#pragma once

#include <atomic>
#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/time.h"
#include "core/event/slot.h"
#include "core/filter/registry.h"
#include "core/match/matcher_tree.h"
#include "core/net/address.h"
#include "core/net/datagrams.h"
#include "core/net/socket.h"
#include "core/proxy/chain_table.h"
#include "core/runtime/runtime.h"
#include "core/stats/store.h"
#include "core/stream/access_logger.h"
#include "core/stream/metadata.h"

namespace weir::proxy {

// `listener.<address>.*`. [any]
struct ListenerStats {
  ListenerStats(stats::Store& store, const std::string& name);
  std::shared_ptr<stats::Group> group;
  stats::Counter cx_total, cx_destroy, cx_overflow, cx_overload_reject, global_cx_overflow, pre_cx_timeout,
      cx_transport_socket_connect_timeout, no_filter_chain_match;
  stats::Gauge cx_active, pre_cx_active;
  stats::Histogram cx_length_ms;
};

// The listening descriptors of one address, one per worker lane (or one in all). Kept over updates of the listener that
// do not change address or options. [main] makes them; each lane takes its own.
struct ListenSockets {
  net::Address address;  // as bound: port 0 resolved
  net::ListenOptions options;
  std::vector<int> by_worker;  // index: lane index - 1; -1: this lane has none (handed connections by another)
  // Of a predecessor that had more workers: connections of the address arrive in these too. Spread over the lanes.
  struct Extra {
    uint32_t worker;  // lane index - 1
    int fd;
  };
  std::vector<Extra> extra;
  // Sockets listen, or those for datagrams are bound, when a lane takes them: until then others, which have the address
  // too, get all there is.
  bool opens_later = false;
  // [main] To be removed with the listener; empty: there is none, or it is somebody else's.
  mutable net::SocketFile file;
  // Another process has taken over, and not these.
  mutable std::atomic<bool> left_alone = false;
  // visit(fd, worker) for each descriptor, those of the workers first.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (uint32_t i = 0; i < by_worker.size(); ++i) {
      if (by_worker[i] >= 0) visit(by_worker[i], i);
    }
    for (const Extra& one : extra) visit(one.fd, one.worker);
  }
};

// Of a listener or a filter chain, over all versions of it: in the gauge of those that drain while connections are left
// that were told to end because it is gone. [any]
class DrainCount {
 public:
  explicit DrainCount(stats::Gauge draining) : draining_(draining) {}
  void enter() {
    if (connections_.fetch_add(1, std::memory_order_relaxed) == 0) draining_.inc();
  }
  void leave() {
    if (connections_.fetch_sub(1, std::memory_order_relaxed) == 1) draining_.dec();
  }

 private:
  const stats::Gauge draining_;
  std::atomic<int64_t> connections_{0};
};

struct NetworkFilterEntry {
  const filter::NetworkFilterDescriptor* descriptor = nullptr;
  filter::ConfigPtr config;
};

struct FilterChain {
  std::string name;
  std::vector<NetworkFilterEntry> filters;  // the last is terminal
  // Shows the filter::DownstreamTransport of its connections; none: bytes are what they are.
  std::optional<event::SlotId> transport;
  Duration handshake_timeout = 15s;      // transport_socket_connect_timeout; zero: none
  uint64_t fingerprint = 0;              // of its configuration: equal chains of two versions need no draining
  std::shared_ptr<DrainCount> draining;  // null: nobody counts
};

struct ListenerFilterEntry {
  const filter::ListenerFilterDescriptor* descriptor = nullptr;
  filter::ConfigPtr config;
  // Local ports of connections that it does not see; nullptr: it sees all.
  std::shared_ptr<const std::bitset<65536>> disabled_ports;
  uint64_t fingerprint = 0;  // of its configuration
};

// Connections of all listeners, and the most there may be. [any]
struct ConnectionLimit {
  std::atomic<int64_t> active{0};
  int64_t max = INT64_MAX;
  std::atomic<int64_t> sessions{0};  // of UDP: those of `active` that are no connections
  // Connections at most, says the runtime, where the overload manager does not.
  runtime::Key most_connections = runtime::Key("overload.global_downstream_max_connections");
  // Of the overload manager; those of listeners that ignore it do not count.
  std::atomic<int64_t> global_active{0};
  int64_t global_max = INT64_MAX;  // before the lanes run
  bool has_global() const { return global_max != INT64_MAX; }
};

// `listener.<address>.udp.*`. [any]
struct UdpListenerStats {
  UdpListenerStats(stats::Store& store, const std::string& name);
  std::shared_ptr<stats::Group> group;
  stats::Counter rx_datagram_dropped;
};

struct UdpFilterEntry {
  const filter::UdpFilterDescriptor* descriptor = nullptr;
  filter::ConfigPtr config;
  uint64_t fingerprint = 0;  // of its configuration
};

// Of a listener for datagrams.
struct UdpSpec {
  std::vector<UdpFilterEntry> filters;  // one or more
  net::DatagramOptions options;
  std::shared_ptr<const UdpListenerStats> stats;
};

struct ListenerSpec {
  std::string name;
  std::shared_ptr<const ListenSockets> sockets;
  std::vector<std::shared_ptr<const ListenSockets>> more_sockets;  // of additional addresses
  std::shared_ptr<const UdpSpec> udp;                              // null: it is one for streams; else it has no chains
  std::vector<FilterChain> chains;
  // Which of them serves a connection: what one of these says, or the first chain if there is neither.
  std::shared_ptr<const ChainTable> chain_table;
  std::shared_ptr<const match::Tree> chain_matcher;  // its actions are positions of chains
  uint32_t default_chain = ChainTable::kNone;        // the position of the chain for those that no other one matches
  std::vector<ListenerFilterEntry> listener_filters;
  Duration listener_filters_timeout = 15s;
  bool continue_on_listener_filters_timeout = false;
  uint32_t buffer_limit = 1024 * 1024;
  uint32_t accepts_per_turn = 16;
  bool inbound = false;                                    // by traffic_direction
  bool internal = false;                                   // for connections of this process alone
  bool hands_over = false;                                 // to the listener of a connection's restored destination
  bool exact_balance = false;                              // every connection goes to the lane that has fewest
  std::shared_ptr<const stream::StaticMetadata> metadata;  // null: none
  std::vector<std::shared_ptr<const stream::AccessLogger>> access_logs;  // of every connection, when it has ended
  std::shared_ptr<ListenerStats> stats;
  std::shared_ptr<ConnectionLimit> limit;  // that of all listeners
  // Its own, over all versions of it; null: nobody counts. How many there may be the runtime says, if it says anything.
  std::shared_ptr<std::atomic<int64_t>> connections;
  runtime::Key most_connections;
  std::shared_ptr<DrainCount> draining;  // once it is removed; null: nobody counts
  bool ignore_global_limit = false;
  bool drains_with_health = true;  // connections are told to end while the process fails health checks
  bool bypass_overload = false;    // it accepts whatever the overload manager does
};

// [immutable]
class Listener final : public event::Versioned {
 public:
  explicit Listener(ListenerSpec spec) : spec(std::move(spec)) {}
  const ListenerSpec spec;
  // visit(sockets) for each address.
  template <class Visit>
  void for_each_sockets(Visit&& visit) const {
    visit(spec.sockets);
    for (const auto& sockets : spec.more_sockets) visit(sockets);
  }
  // Whether the chain depends on the connection.
  bool has_choice() const { return spec.chain_table != nullptr || spec.chain_matcher != nullptr; }
  bool has_chain(uint64_t fingerprint) const {
    for (const FilterChain& chain : spec.chains) {
      if (chain.fingerprint == fingerprint) return true;
    }
    return false;
  }
};

}  // namespace weir::proxy
