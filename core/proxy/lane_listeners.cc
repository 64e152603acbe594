#include "core/proxy/lane_listeners.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/base/log.h"

namespace weir::proxy {

using event::SlotId;
using event::SlotKind;

size_t LaneLoads::least(size_t self) const {
  size_t best = self;
  for (size_t i = 0; i < workers.size(); ++i) {
    if (loads[i].connections.load(std::memory_order_relaxed) < loads[best].connections.load(std::memory_order_relaxed))
      best = i;
  }
  return best;
}

int64_t LaneLoads::total() const {
  int64_t sum = 0;
  for (size_t i = 0; i < workers.size(); ++i) sum += loads[i].connections.load(std::memory_order_relaxed);
  return sum;
}

// --- LaneListener --------------------------------------------------------------------------------------------------

LaneListener::Door LaneListener::open(const std::shared_ptr<const ListenSockets>& sockets, uint32_t accepts_per_turn) {
  for (Door& door : doors_) {
    if (door.sockets == sockets) return std::move(door);
  }
  event::Lane& lane = owner_.lane();
  Door door{sockets, {}};
  // A door that another listener has shut stays shut: its descriptors are closed.
  if (lane.is_main() || owner_.take_sockets(*this, sockets.get(), door.open)) return door;
  sockets->for_each([&](int fd, uint32_t worker) {
    if (worker + 1 != lane.index()) return;
    if (sockets->listens_later) {
      if (Status status = net::begin_to_listen(fd, sockets->address, sockets->options); !status.ok())
        WEIR_LOG(kError, "server", "%s", message_of(status).c_str());
    }
    door.open.push_back(std::make_unique<net::ListenSocket>(lane, fd, accepts_per_turn, *this));
  });
  return door;
}

bool LaneListener::move_doors(DatagramDoors& from, const ListenSockets* sockets, DatagramDoors& to) {
  const auto moved = std::stable_partition(from.begin(), from.end(),
                                           [&](const auto& door) { return door->sockets().get() != sockets; });
  const bool any = moved != from.end();
  std::move(moved, from.end(), std::back_inserter(to));
  from.erase(moved, from.end());
  return any;
}

void LaneListener::set_datagrams(const Listener& after) {
  event::Lane& lane = owner_.lane();
  if (lane.is_main()) return;
  DatagramDoors doors;
  after.for_each_sockets([&](const std::shared_ptr<const ListenSockets>& sockets) {
    size_t next = doors.size();
    if (!move_doors(datagram_doors_, sockets.get(), doors) &&
        !owner_.take_datagram_doors(*this, sockets.get(), doors)) {
      sockets->for_each([&](int fd, uint32_t worker) {
        if (worker + 1 != lane.index()) return;
        doors.push_back(
            std::make_unique<DatagramDoor>(lane, sockets, fd, after.spec.udp->options, owner_.datagram_reader()));
      });
    }
    for (; next < doors.size(); ++next) doors[next]->serve(after.spec.udp, after.spec.limit, owner_.update_plan());
  });
  leave_doors(datagram_doors_);
  datagram_doors_ = std::move(doors);
}

// Those of addresses that are gone.
void LaneListener::leave_doors(DatagramDoors& doors) {
  for (auto& door : doors) door->leave(owner_.update_plan(), false, owner_.loads().answering);
  owner_.keep_leaving(std::exchange(doors, {}));
}

void LaneListener::keep_transports(const Listener& version) {
  if (version.spec.listener_filters.empty()) return;
  std::shared_ptr<KeptTransports> kept;
  connections_.for_each([&](DownstreamConnection& connection) {
    if (&connection.listener() != &version || !connection.inspecting()) return;
    if (kept == nullptr) {
      kept = std::make_shared<KeptTransports>();
      for (const FilterChain& chain : version.spec.chains) {
        if (!chain.transport) continue;
        kept->emplace_back(*chain.transport, owner_.lane().slots().pin<filter::DownstreamTransport>(*chain.transport));
      }
    }
    connection.keep(kept);
  });
}

void LaneListener::set(const Listener* before, const Listener* after) {
  serve(before, after);
  if (before != nullptr) keep_transports(*before);  // also for whom sockets that were shut have brought
}

void LaneListener::serve(const Listener* before, const Listener* after) {
  if (after == nullptr) {
    shut_doors(owner_.update_plan(), false);
    doors_.clear();
    leave_doors(datagram_doors_);
    connections_.for_each(
        [](DownstreamConnection& connection) { connection.drain_with(connection.listener().spec.draining); });
    return;
  }
  if (after->spec.udp != nullptr) {
    for (Door& door : doors_) {
      for (auto& socket : door.open) socket->drain_and_close();
    }
    doors_.clear();
    set_datagrams(*after);
    connections_.for_each([](DownstreamConnection& connection) {
      connection.drain_with(connection.chain() != nullptr ? connection.chain()->draining : nullptr);
    });
    return;
  }
  leave_doors(datagram_doors_);
  std::vector<Door> doors;
  accepts_for_others_ = false;
  // What the sockets have queued that are not taken over is served (by the old configuration, which is still current
  // here).
  for (Door& door : doors_) {
    bool kept = false;
    after->for_each_sockets([&](const auto& sockets) { kept = kept || sockets == door.sockets; });
    if (kept) continue;
    for (auto& socket : door.open) socket->drain_and_close();
    door.open.clear();
  }
  after->for_each_sockets([&](const auto& sockets) {
    doors.push_back(open(sockets, after->spec.accepts_per_turn));
    for (auto& socket : doors.back().open) socket->serve_by(*this, after->spec.accepts_per_turn);
    accepts_for_others_ = accepts_for_others_ || !sockets->options.reuse_port;
  });
  doors_ = std::move(doors);
  if (owner_.accepting_is_paused() || before != nullptr) {
    const bool paused = owner_.accepting_is_paused() && !after->spec.bypass_overload;
    for (Door& door : doors_) {
      for (auto& socket : door.open) paused ? socket->pause() : socket->resume();
    }
  }
  if (before == nullptr) return;
  connections_.for_each([&](DownstreamConnection& connection) {
    const FilterChain* chain = connection.chain();
    if (chain != nullptr && !after->has_chain(chain->fingerprint)) connection.drain_with(chain->draining);
  });
}

uint64_t LaneListener::next_connection_id() { return owner_.next_id(); }

namespace {

// An abstract name lets everybody connect: who has is another question.
bool comes_from_this_process(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == getpid();
}

}  // namespace

void LaneListener::on_accepted(int fd, const net::Address& remote) {
  const Listener* current = owner_.lane().slots().current<Listener>(slot_);
  if (current != nullptr && current->spec.internal && !comes_from_this_process(fd)) [[unlikely]] {
    current->spec.stats->cx_total.inc();
    current->spec.stats->cx_destroy.inc();
    WEIR_LOG(kWarning, "net", "listener %s: another process has connected to it, and is turned away",
             current->spec.name.c_str());
    ::close(fd);
    return;
  }
  LaneLoads& loads = owner_.loads();
  size_t self = owner_.lane().index() - 1;
  size_t workers = loads.workers.size();
  if (workers > 1) {
    // The kernel spreads connections by hash, which small numbers of long-lived ones can defeat: beyond a gross
    // imbalance (or where only one lane accepts, or the configuration asks for it) the least loaded lane takes over.
    int64_t own = loads.loads[self].connections.load(std::memory_order_relaxed);
    bool always = accepts_for_others_ || (current != nullptr && current->spec.exact_balance);
    if (always || own * static_cast<int64_t>(workers) * 4 > loads.total() * 5 + 16 * static_cast<int64_t>(workers)) {
      size_t target = loads.least(self);
      if (target != self) {
        loads.loads[target].connections.fetch_add(1, std::memory_order_relaxed);
        SlotId slot = slot_;
        event::Lane* lane = loads.workers[target];
        lane->post([lane, slot, fd, remote] {
          LaneListeners& there = LaneListeners::of(*lane);
          there.loads().loads[lane->index() - 1].connections.fetch_sub(1, std::memory_order_relaxed);
          LaneListener* listener = there.find(slot);
          if (listener == nullptr) {
            ::close(fd);
            return;
          }
          listener->adopt(fd, remote);
        });
        return;
      }
    }
  }
  adopt(fd, remote);
}

void LaneListener::adopt(int fd, const net::Address& remote) {
  auto pin = owner_.lane().slots().pin<Listener>(slot_);
  if (!pin) {  // removed meanwhile
    ::close(fd);
    return;
  }
  const ListenerSpec& spec = pin->spec;
  if (owner_.overload() != nullptr && !spec.bypass_overload && refused_by_overload(spec)) [[unlikely]] {
    ::close(fd);
    return;
  }
  const bool counted = spec.limit != nullptr && spec.limit->has_global() && !spec.ignore_global_limit;
  if (counted && spec.limit->global_active.fetch_add(1, std::memory_order_relaxed) >= spec.limit->global_max) {
    spec.limit->global_active.fetch_sub(1, std::memory_order_relaxed);
    spec.stats->global_cx_overflow.inc();
    ::close(fd);
    return;
  }
  if (spec.limit != nullptr) {
    const int64_t others = spec.limit->active.fetch_add(1, std::memory_order_relaxed);
    const bool beyond_runtime = beyond_runtime_limit(spec, others);
    if (beyond_runtime || others >= spec.limit->max) {
      spec.limit->active.fetch_sub(1, std::memory_order_relaxed);
      if (counted) spec.limit->global_active.fetch_sub(1, std::memory_order_relaxed);
      (beyond_runtime ? spec.stats->global_cx_overflow : spec.stats->cx_overflow).inc();
      ::close(fd);
      return;
    }
  }
  if (spec.connections != nullptr && !count_connection(spec)) [[unlikely]] {
    if (spec.limit != nullptr) spec.limit->active.fetch_sub(1, std::memory_order_relaxed);
    if (counted) spec.limit->global_active.fetch_sub(1, std::memory_order_relaxed);
    spec.stats->cx_overflow.inc();
    ::close(fd);
    return;
  }
  DownstreamConnection* connection = owner_.make(*this, std::move(pin), fd, remote);
  connections_.push_back(*connection);
  if (counted) connection->set_counted();
  connection->start();
  if (owner_.draining(connection->listener().spec)) connection->set_came_late();
}

bool LaneListener::count_connection(const ListenerSpec& spec) {
  const int64_t others = spec.connections->fetch_add(1, std::memory_order_relaxed);
  const runtime::Value* most = runtime::find(owner_.lane().slots(), spec.most_connections);
  if (most == nullptr || !most->has_whole || static_cast<uint64_t>(others) < most->whole) [[likely]]
    return true;
  spec.connections->fetch_sub(1, std::memory_order_relaxed);
  return false;
}

bool LaneListener::beyond_runtime_limit(const ListenerSpec& spec, int64_t others) {
  if (spec.ignore_global_limit || spec.limit->has_global()) return false;
  const runtime::Value* most = runtime::find(owner_.lane().slots(), spec.limit->most_connections);
  if (most == nullptr || !most->has_whole) [[likely]]
    return false;
  const int64_t connections = others - spec.limit->sessions.load(std::memory_order_relaxed);
  return static_cast<uint64_t>(std::max<int64_t>(connections, 0)) >= most->whole;
}

bool LaneListener::refused_by_overload(const ListenerSpec& spec) {
  const Overload& overload = *owner_.overload();
  Random& random = owner_.lane().random();
  if (overload.hits(OverloadAction::kRejectIncomingConnections, random)) {
    spec.stats->cx_overload_reject.inc();
    return true;
  }
  return overload.sheds(ShedPoint::kListenerAccept, random);
}

void LaneListener::pause_accepting(bool paused) {
  const Listener* listener = owner_.lane().slots().current<Listener>(slot_);
  if (listener == nullptr || listener->spec.bypass_overload) paused = false;
  for (Door& door : doors_) {
    for (auto& socket : door.open) paused ? socket->pause() : socket->resume();
  }
}

void LaneListener::pass(DownstreamConnection& connection, LaneListener& to) {
  connection.node_.unlink();
  to.connections_.push_back(connection);
}

void LaneListener::drain_connections(const DrainPlan& plan) {
  connections_.for_each([&](DownstreamConnection& connection) { connection.drain_over(plan); });
}

void LaneListener::close_connections() {
  connections_.for_each([](DownstreamConnection& connection) { connection.close(); });
  for (auto& door : datagram_doors_) {
    if (door->left()) door->close();
  }
}

bool LaneListener::is(Which which) const {
  if (which == Which::kAll) return true;
  const Listener* listener = owner_.lane().slots().current<Listener>(slot_);
  return listener != nullptr && listener->spec.inbound;
}

bool LaneListener::has_chain(const FilterChain& chain) const {
  const Listener* listener = owner_.lane().slots().current<Listener>(slot_);
  return listener != nullptr && listener->has_chain(chain.fingerprint);
}

void LaneListener::stop_accepting(const DrainPlan& plan, bool shared) {
  // Connections that drain may still need it: it goes when all of them have gone.
  const Listener* listener = owner_.lane().slots().current<Listener>(slot_);
  if (listener == nullptr || !listener->spec.internal) shut_doors(plan, shared);
}

void LaneListener::shut_doors(const DrainPlan& plan, bool shared) {
  for (Door& door : doors_) {
    for (auto& socket : door.open) socket->drain_and_close();
    door.open.clear();
  }
  for (auto& door : datagram_doors_) door->leave(plan, shared, owner_.loads().answering);
}

// --- LaneListeners -------------------------------------------------------------------------------------------------

LaneListeners::LaneListeners(event::Lane& lane, std::shared_ptr<LaneLoads> loads)
    : lane_(lane), loads_(std::move(loads)) {
  lane.set_local(event::LocalKey::kNet, this);
  lane.slots().observe(SlotKind::kListener, this);
}

LaneListeners::~LaneListeners() {
  lane_.slots().observe(SlotKind::kListener, nullptr);
  lane_.set_local(event::LocalKey::kNet, nullptr);
}

void LaneListeners::on_slot_changed(SlotId id, const event::Versioned* before, const event::Versioned* after) {
  by_address_is_current_ = false;
  if (id.index >= listeners_.size()) listeners_.resize(id.index + 1);
  if (listeners_[id.index] == nullptr) listeners_[id.index] = std::make_unique<LaneListener>(*this, id);
  LaneListener& listener = *listeners_[id.index];
  listener.set(static_cast<const Listener*>(before), static_cast<const Listener*>(after));
  if (after != nullptr && (shut_ || (shut_inbound_ && listener.is(Which::kInbound))))
    listener.stop_accepting(update_plan_, false);
}

LaneListener* LaneListeners::find_by_address(const net::Address& address) {
  if (!by_address_is_current_) {
    by_address_is_current_ = true;
    by_address_.clear();
    for (const auto& listener : listeners_) {
      const Listener* current = listener != nullptr ? lane_.slots().current<Listener>(listener->slot()) : nullptr;
      if (current == nullptr || current->spec.udp != nullptr) continue;
      current->for_each_sockets([&](const auto& sockets) {
        by_address_.emplace(sockets->address.to_string(), listener.get());
        // All addresses of IPv6 are those of IPv4, too, if the socket takes them.
        if (sockets->options.ipv4_compat && sockets->address.is_any())
          by_address_.emplace("0.0.0.0:" + std::to_string(sockets->address.port()), listener.get());
      });
    }
  }
  auto found = by_address_.find(address.to_string());
  if (found == by_address_.end()) {
    const char* any = address.family() == net::Family::kIpv4 ? "0.0.0.0:" : "[::]:";
    found = by_address_.find(any + std::to_string(address.port()));
  }
  return found != by_address_.end() ? found->second : nullptr;
}

// The update that gives a listener the sockets of another one removes that one, later in the same batch.
bool LaneListeners::take_sockets(LaneListener& taker, const ListenSockets* sockets, OpenSockets& open) {
  for (auto& other : listeners_) {
    if (other == nullptr || other.get() == &taker) continue;
    for (LaneListener::Door& door : other->doors_) {
      if (door.sockets.get() != sockets) continue;
      open = std::exchange(door.open, {});
      return true;
    }
  }
  return false;
}

bool LaneListeners::take_datagram_doors(LaneListener& taker, const ListenSockets* sockets, DatagramDoors& doors) {
  for (auto& other : listeners_) {
    if (other == nullptr || other.get() == &taker) continue;
    if (LaneListener::move_doors(other->datagram_doors_, sockets, doors)) return true;
  }
  return false;
}

void LaneListeners::keep_leaving(DatagramDoors doors) {
  std::erase_if(leaving_doors_, [](const auto& door) { return door->closed(); });
  for (auto& door : doors) {
    if (!door->closed()) leaving_doors_.push_back(std::move(door));
  }
}

DownstreamConnection* LaneListeners::make(LaneListener& listener, event::Pin<Listener> pin, int fd,
                                          const net::Address& remote) {
  if (!lane_.is_main()) loads_->loads[lane_.index() - 1].connections.fetch_add(1, std::memory_order_relaxed);
  return slab_.make(listener, lane_, std::move(pin), fd, remote);
}

void LaneListeners::destroy(DownstreamConnection& connection) {
  if (!lane_.is_main()) loads_->loads[lane_.index() - 1].connections.fetch_sub(1, std::memory_order_relaxed);
  slab_.destroy(&connection);
}

void LaneListeners::stop_accepting(const DrainPlan& plan, bool shared, Which which) {
  (which == Which::kAll ? shut_ : shut_inbound_) = true;
  for (auto& listener : listeners_) {
    if (listener != nullptr && listener->is(which)) listener->stop_accepting(plan, shared);
  }
}
void LaneListeners::pause_accepting(bool paused) {
  accepting_is_paused_ = paused;
  for (auto& listener : listeners_) {
    if (listener != nullptr) listener->pause_accepting(paused);
  }
}
void LaneListeners::drain(const DrainPlan& plan, Which which) {
  (which == Which::kAll ? draining_ : draining_inbound_) = true;
  for (auto& listener : listeners_) {
    if (listener != nullptr && listener->is(which)) listener->drain_connections(plan);
  }
}
void LaneListeners::close_all() {
  for (auto& listener : listeners_) {
    if (listener != nullptr) listener->close_connections();
  }
  leaving_doors_.clear();
}

}  // namespace weir::proxy
