// A lane's listeners: its listening sockets, whose configuration they serve now, and the connections they brought.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/slab.h"
#include "core/event/lane.h"
#include "core/net/socket.h"
#include "core/proxy/downstream_connection.h"
#include "core/proxy/lane_datagrams.h"
#include "core/proxy/listener.h"
#include "core/proxy/overload.h"

namespace weir::proxy {

class LaneListeners;

// Listeners by traffic_direction.
enum class Which : uint8_t { kAll, kInbound };

// Those that accept no more connections, for good. Main, which opens sockets, and the lanes, which shut them, go by the
// same rule, and each by the version that it is about to have.
struct ClosedListeners {
  bool all = false;
  bool inbound = false;
  void add(Which which) { (which == Which::kAll ? all : inbound) = true; }
  // An internal one stays: connections that drain may still need it. It goes when all of them have gone.
  bool have(bool is_inbound, bool is_internal) const { return !is_internal && (all || (inbound && is_inbound)); }
  bool have(const ListenerSpec& listener) const { return have(listener.inbound, listener.internal); }
};

// Those of one address on one lane: one, but after a restart with fewer workers.
using OpenSockets = std::vector<std::unique_ptr<net::ListenSocket>>;

// One listener slot on one lane. [worker]
class LaneListener final : public net::AcceptHandler {
 public:
  LaneListener(LaneListeners& owner, event::SlotId slot) : owner_(owner), slot_(slot) {}
  LaneListeners& owner() { return owner_; }
  void set(const Listener* before, const Listener* after);
  // Takes over a connection that another lane accepted.
  void adopt(int fd, const net::Address& remote);
  void drain_connections(const DrainPlan& plan);
  void close_connections();
  void pause_accepting(bool paused);
  bool is(Which which) const;
  // Of the current version.
  bool has_chain(const FilterChain& chain) const;
  size_t connection_count() const { return connections_.count(); }
  uint64_t next_connection_id();
  event::SlotId slot() const { return slot_; }
  // A connection of this listener becomes one of another one of this lane.
  void pass(DownstreamConnection& connection, LaneListener& to);
  void on_accepted(int fd, const net::Address& remote) override;

 private:
  friend class DownstreamConnection;
  friend class LaneListeners;
  LaneListeners& owner_;
  event::SlotId slot_;
  // One for each address.
  struct Door {
    std::shared_ptr<const ListenSockets> sockets;
    OpenSockets open;  // empty: other lanes accept there, or none does any more
  };
  // Whether the overload manager has a connection closed that has just come.
  bool refused_by_overload(const ListenerSpec& spec);
  // Whether `others` are as many connections as the runtime allows for all listeners. Where the overload manager limits
  // them it alone does, as published.
  bool beyond_runtime_limit(const ListenerSpec& spec, int64_t others);
  // Counts it among those of this listener. False: there are as many as there may be.
  bool count_connection(const ListenerSpec& spec);
  Door open(const std::shared_ptr<const ListenSockets>& sockets, uint32_t accepts_per_turn);
  std::vector<Door> doors_;
  // Instead of them, if it is one for datagrams: of the addresses at which this lane reads.
  DatagramDoors datagram_doors_;
  void serve(const Listener* before, const Listener* after);
  // For connections that are to be served by this version, whose slots may be emptied with it.
  void keep_transports(const Listener& version);
  void set_datagrams(const Listener& after);
  void leave_doors(DatagramDoors& doors);
  // `shared`: another process has the same sockets.
  void shut_doors(const DrainPlan& plan, bool shared);
  // Those with these descriptors. False: there are none.
  static bool move_doors(DatagramDoors& from, const ListenSockets* sockets, DatagramDoors& to);
  bool accepts_for_others_ = false;  // at some address only one lane accepts
  IntrusiveList<DownstreamConnection, &DownstreamConnection::node_> connections_;
};

// What the lanes know of each other's load, for handing connections over. [any]
struct LaneLoads {
  struct alignas(64) Load {
    std::atomic<int32_t> connections{0};
  };
  explicit LaneLoads(std::vector<event::Lane*> workers)
      : workers(std::move(workers)), loads(new Load[this->workers.size()]) {}
  std::vector<event::Lane*> workers;  // index: lane index - 1
  std::unique_ptr<Load[]> loads;
  // Sockets of UDP listeners that have stopped, and over which answers are still to go.
  std::atomic<int32_t> answering{0};
  // The worker with the fewest connections; `self` if none has fewer.
  size_t least(size_t self) const;
  int64_t total() const;
};

class LaneListeners final : public event::SlotObserver {
 public:
  LaneListeners(event::Lane& lane, std::shared_ptr<LaneLoads> loads);
  ~LaneListeners() override;
  static LaneListeners& of(event::Lane& lane) {
    return *static_cast<LaneListeners*>(lane.local(event::LocalKey::kNet));
  }

  event::Lane& lane() { return lane_; }
  LaneLoads& loads() { return *loads_; }
  void on_slot_changed(event::SlotId id, const event::Versioned* before, const event::Versioned* after) override;
  // For connections of listeners that are removed and of filter chains that change. Before the lane runs.
  void set_update_plan(const DrainPlan& plan) { update_plan_ = plan; }
  const DrainPlan& update_plan() const { return update_plan_; }
  // For the end of the process: no more connections; those there, and those still on their way from another lane,
  // finish. What datagrams still wait for has the plan's time. Also what comes later is shut. `shared`: another process
  // has the same sockets.
  void stop_accepting(const DrainPlan& plan, bool shared, Which which = Which::kAll);
  void drain(const DrainPlan& plan, Which which = Which::kAll);
  // Before the lane runs. nullptr: there is no overload manager.
  void set_overload(const Overload* overload) { overload_ = overload; }
  const Overload* overload() const { return overload_; }
  // Connections wait in the kernel's queues meanwhile, but for listeners that bypass it.
  void pause_accepting(bool paused);
  bool accepting_is_paused() const { return accepting_is_paused_; }
  // Also what is still to come to this listener.
  bool draining(const ListenerSpec& listener) const { return draining_ || (draining_inbound_ && listener.inbound); }
  void close_all();
  size_t connection_count() const { return slab_.live(); }

  DownstreamConnection* make(LaneListener& listener, event::Pin<Listener> pin, int fd, const net::Address& remote);
  void destroy(DownstreamConnection& connection);
  LaneListener* find(event::SlotId id) { return id.index < listeners_.size() ? listeners_[id.index].get() : nullptr; }
  // The sockets of these descriptors from the listener of this lane that has them (none: it has closed them). False:
  // no listener has.
  bool take_sockets(LaneListener& taker, const ListenSockets* sockets, OpenSockets& open);
  // The same of those for datagrams.
  bool take_datagram_doors(LaneListener& taker, const ListenSockets* sockets, DatagramDoors& doors);
  // Those of which answers are still to go stay until then.
  void keep_leaving(DatagramDoors doors);
  net::DatagramReader& datagram_reader() {
    if (datagram_reader_ == nullptr) datagram_reader_ = std::make_unique<net::DatagramReader>();
    return *datagram_reader_;
  }
  // The listener at this address or, if there is none, at its port of every address; nullptr: neither.
  LaneListener* find_by_address(const net::Address& address);
  uint64_t next_id() { return ++last_id_ << 8 | lane_.index(); }

 private:
  event::Lane& lane_;
  std::shared_ptr<LaneLoads> loads_;
  Slab<DownstreamConnection> slab_;
  std::unique_ptr<net::DatagramReader> datagram_reader_;  // null: not used yet
  DatagramDoors leaving_doors_;
  std::vector<std::unique_ptr<LaneListener>> listeners_;
  std::unordered_map<std::string, LaneListener*> by_address_;  // made when it is asked for
  bool by_address_is_current_ = false;
  uint64_t last_id_ = 0;
  DrainPlan update_plan_;
  bool draining_ = false;
  bool draining_inbound_ = false;
  ClosedListeners closed_;
  bool closed_are_shared_ = false;
  bool accepting_is_paused_ = false;
  const Overload* overload_ = nullptr;
};

}  // namespace weir::proxy
