#include "core/server/listener_manager.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/base/log.h"
#include "core/config/address_config.h"

namespace weir::server {

using event::SlotKind;

namespace {

// Each proxied connection may need two descriptors; some are kept for files, admin and control.
int64_t connections_for_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return INT64_MAX;
  return std::max<int64_t>(16, (static_cast<int64_t>(limit.rlim_cur) - 128) / 2);
}

Result<int> open_socket(const net::Address& address, const net::ListenOptions& options, bool opens_later) {
  if (options.datagrams)
    return opens_later ? net::make_datagram_socket(address, options) : net::open_datagram_socket(address, options);
  return opens_later ? net::open_bound_socket(address, options) : net::open_listen_socket(address, options);
}

// As what is handed over is called. Who manages services may have made the file of a Unix socket, and keeps it.
std::string kind_of(const net::ListenOptions& options, bool foreign_file) {
  return options.datagrams ? "datagram" : foreign_file ? "stream with a foreign file" : "stream";
}

// The same for two that cannot be had at once, or that share what comes.
std::string place_of(const net::ListenAddress& at) {
  return (at.options.datagrams ? "datagrams " : "") + at.address.to_string();
}

bool is_anothers(int fd) {
  struct stat socket;
  return fstat(fd, &socket) == 0 && socket.st_uid != geteuid();
}

void close_all(const proxy::ListenSockets& sockets) {
  sockets.for_each([](int fd, uint32_t) { close(fd); });
}

}  // namespace

ListenerManager::ListenerManager(event::Publisher& publisher, stats::Store& store, uint32_t workers,
                                 InheritedSockets& inherited)
    : publisher_(publisher),
      store_(store),
      workers_(workers),
      inherited_(inherited),
      limit_(std::make_shared<proxy::ConnectionLimit>()),
      added_(store.counter("listener_manager.listener_added")),
      modified_(store.counter("listener_manager.listener_modified")),
      in_place_(store.counter("listener_manager.listener_in_place_updated")),
      removed_(store.counter("listener_manager.listener_removed")),
      create_success_(store.counter("listener_manager.listener_create_success")),
      create_failure_(store.counter("listener_manager.listener_create_failure")),
      stopped_(store.counter("listener_manager.listener_stopped")),
      active_(store.gauge("listener_manager.total_listeners_active")),
      draining_(store.gauge("listener_manager.total_listeners_draining")),
      chains_draining_(store.gauge("listener_manager.total_filter_chains_draining")) {
  limit_->max = connections_for_descriptors();
}

std::shared_ptr<proxy::ListenSockets> ListenerManager::no_sockets(const net::ListenAddress& at) const {
  auto sockets = std::make_shared<proxy::ListenSockets>();
  sockets->options = at.options;
  sockets->by_worker.assign(workers_, -1);
  sockets->address = at.address;
  return sockets;
}

Result<ListenerManager::Sockets> ListenerManager::open_sockets(const std::string& listener,
                                                               const net::ListenAddress& at, bool opens_later) {
  auto sockets = no_sockets(at);
  sockets->opens_later = opens_later;
  if (!at.options.bind_to_port) return Sockets(std::move(sockets));  // others hand connections over to it
  if (const int fd = inherited_.take(at.address, at.options.datagrams); fd >= 0) {
    sockets->options.reuse_port = false;  // there is one: a worker accepts, or reads, for all
    sockets->by_worker[0] = fd;
    if (auto adjusted = at.options.datagrams ? net::adjust_listen_socket(fd, at.address, at.options) : std::string();
        !adjusted.ok()) {
      close_all(*sockets);
      return unavailable("listener " + listener + ": " + message_of(adjusted.status()));
    }
    return Sockets(std::move(sockets));
  }
  if (handed_ != nullptr) {
    for (const bool foreign_file : {false, true}) {
      std::vector<int> fds = handed_->take(kind_of(at.options, foreign_file), listener, at.address,
                                           {.only_ipv6 = !at.options.ipv4_compat});
      if (!fds.empty()) return adopt_sockets(listener, at, std::move(fds), foreign_file);
    }
  }
  uint32_t count = at.options.reuse_port ? workers_ : 1;
  net::Address address = at.address;
  for (uint32_t i = 0; i < count; ++i) {
    auto fd = open_socket(address, at.options, opens_later);
    if (!fd.ok()) {
      close_all(*sockets);
      return unavailable("listener " + listener + ": " + message_of(fd.status()));
    }
    sockets->by_worker[i] = *fd;
    // Port 0: the others join the port chosen.
    if (i == 0 && address.is_ip() && !opens_later) address = net::bound_address(*fd);
  }
  sockets->address = address;
  sockets->file = net::SocketFile::of(address);
  return Sockets(std::move(sockets));
}

Result<ListenerManager::Sockets> ListenerManager::adopt_sockets(const std::string& listener,
                                                                const net::ListenAddress& at, std::vector<int> fds,
                                                                bool foreign_file) {
  auto sockets = std::make_shared<proxy::ListenSockets>();
  sockets->options = at.options;
  sockets->by_worker.assign(workers_, -1);
  sockets->address = net::bound_address(fds.front());
  if (!foreign_file) adopted_.push_back(sockets);
  for (size_t i = 0; i < fds.size(); ++i) {
    if (i < workers_) {
      sockets->by_worker[i] = fds[i];
    } else {
      // Whoever connects is spread over all of them: those of workers that are no more go on, too.
      sockets->extra.push_back({static_cast<uint32_t>(i % workers_), fds[i]});
    }
    handed_->adjust_later("listener " + listener, fds[i], at, sockets);
  }
  int shared = 0;
  socklen_t size = sizeof(shared);
  const bool can_share = getsockopt(fds.front(), SOL_SOCKET, SO_REUSEPORT, &shared, &size) == 0 && shared != 0;
  sockets->options.reuse_port = at.options.reuse_port && can_share;
  // They get their share when this process serves, not before.
  sockets->opens_later = true;
  for (size_t i = fds.size(); i < workers_ && sockets->options.reuse_port && sockets->address.is_ip(); ++i) {
    // Of another user: the kernel lets nobody else join, which those for datagrams would hear too late.
    auto fd = at.options.datagrams && is_anothers(fds.front())
                  ? Result<int>(unavailable("they are another user's"))
                  : open_socket(sockets->address, at.options, sockets->opens_later);
    if (fd.ok()) {
      sockets->by_worker[i] = *fd;
      continue;
    }
    WEIR_LOG(kWarning, "server", "listener %s: %zu of %u workers accept for all: %s", listener.c_str(), i, workers_,
             message_of(fd.status()).c_str());
    sockets->options.reuse_port = false;
  }
  return Sockets(std::move(sockets));
}

void ListenerManager::own_files() {
  for (const auto& one : std::exchange(adopted_, {})) {
    if (const auto sockets = one.lock()) sockets->file = net::SocketFile::of(sockets->address);
  }
}

void ListenerManager::each_handed(const std::function<void(const Sockets&, HandedSocket)>& visit) const {
  for (const auto& [name, entry] : listeners_) {
    if (entry.closed) continue;
    const std::vector<net::ListenAddress> addresses = entry.facts.addresses();
    for (size_t i = 0; i < entry.sockets.size() && i < addresses.size(); ++i) {
      if (config::is_internal_listener_address(addresses[i].address)) continue;
      const bool foreign_file = addresses[i].address.family() == net::Family::kUnix && entry.sockets[i]->file.empty();
      visit(entry.sockets[i], {.kind = kind_of(addresses[i].options, foreign_file),
                               .owner = name,
                               .address = addresses[i].address.to_string()});
    }
  }
}

void ListenerManager::list_sockets(const std::function<void(const HandedSocket&)>& visit) const {
  each_handed([&](const Sockets& sockets, HandedSocket one) {
    sockets->for_each([&](int fd, uint32_t) {
      if (!net::is_open(fd, sockets->options.datagrams)) return;  // it waits to be published
      one.fd = fd;
      visit(one);
      ++one.number;
    });
  });
}

void ListenerManager::note_left_alone(const std::vector<HandedSocket>& left) {
  each_handed([&](const Sockets& sockets, const HandedSocket& one) {
    const auto is_one = [&](const HandedSocket& other) {
      return one.kind == other.kind && one.owner == other.owner && one.address == other.address;
    };
    if (std::none_of(left.begin(), left.end(), is_one)) return;
    sockets->left_alone.store(true, std::memory_order_relaxed);
    sockets->file.remove();
  });
}

void ListenerManager::note_closed(proxy::Which which, Entries* published, bool shared) {
  closed_.add(which);
  std::set<const proxy::ListenSockets*> shut;
  for (const auto& [name, entry] : published != nullptr ? *published : listeners_) {
    if (entry.closed || !closed_.have(entry.inbound, entry.internal)) continue;
    for (const Sockets& sockets : entry.sockets) {
      shut.insert(sockets.get());
      if (!shared) sockets->file.remove();
    }
  }
  // What waits to be published may be of another direction than what the lanes have, and has the same sockets.
  const auto loses = [&](const Entry& entry) {
    return closed_.have(entry.inbound, entry.internal) ||
           std::any_of(entry.sockets.begin(), entry.sockets.end(),
                       [&](const Sockets& sockets) { return shut.contains(sockets.get()); });
  };
  for (auto& [name, entry] : listeners_) {
    if (entry.closed || !loses(entry)) continue;
    entry.closed = true;
    stopped_.inc();
  }
  if (published == nullptr) return;
  for (auto& [name, entry] : *published) entry.closed = entry.closed || loses(entry);
}

void ListenerManager::remove_files() const {
  for (const auto& [name, entry] : listeners_) {
    for (const Sockets& sockets : entry.sockets) sockets->file.remove();
  }
}

// A listener that has only got another name goes on with its sockets: what waits in them is not lost.
Result<ListenerManager::Opened> ListenerManager::find_sockets(const std::string& listener, const net::ListenAddress& at,
                                                              const std::set<std::string>& kept) {
  const bool any_port = at.address.is_ip() && at.address.port() == 0;  // each gets a port of its own
  bool held = false, shared = true;
  for (const auto& [name, entry] : listeners_) {
    if (entry.closed) continue;
    const std::vector<net::ListenAddress> addresses = entry.facts.addresses();
    for (size_t i = 0; i < addresses.size() && !any_port; ++i) {
      if (addresses[i].address != at.address || addresses[i].options.datagrams != at.options.datagrams) continue;
      if (!kept.contains(name) && addresses[i].options == at.options) return Opened{entry.sockets[i], true};
      held = true;
      shared = shared && at.options.reuse_port && addresses[i].options.reuse_port;
    }
  }
  if (Sockets spare = take_spare(listener, at)) return Opened{std::move(spare), true};
  // Whether datagrams can be had beside the other one is known by then.
  auto sockets = open_sockets(listener, at, held && (shared || !at.options.datagrams));
  if (sockets.ok()) return Opened{std::move(*sockets), false};
  if (!held) return sockets.status();
  return unavailable(message_of(sockets.status()) + "; " + std::string(kAddressIsAnothers));
}

ListenerManager::Sockets ListenerManager::take_spare(const std::string& listener, const net::ListenAddress& at) {
  const bool any_port = at.address.is_ip() && at.address.port() == 0;
  for (Spare& one : spare_) {
    if (one.taken || !(one.at == at) || (any_port && one.listener != listener)) continue;
    one.taken = true;
    return one.sockets;
  }
  return nullptr;
}

Result<std::vector<ListenerManager::Opened>> ListenerManager::find_all_sockets(const std::string& listener,
                                                                               const ListenerFacts& facts,
                                                                               const std::set<std::string>& kept,
                                                                               bool opens) {
  std::vector<Opened> all;
  std::set<const proxy::ListenSockets*> used;
  const auto known = listeners_.find(listener);
  const bool has_own = known != listeners_.end() && !known->second.closed;
  if (has_own && opens && address_is_held(known->second.facts, facts))
    return unavailable("listener " + listener + ": " + std::string(kAddressIsHeld));
  for (const net::ListenAddress& at : facts.addresses()) {
    if (!opens) {
      all.push_back({no_sockets(at), false});
      continue;
    }
    Sockets own;
    if (has_own) {
      const std::vector<net::ListenAddress> before = known->second.facts.addresses();
      for (size_t i = 0; i < before.size() && own == nullptr; ++i) {
        const Sockets& sockets = known->second.sockets[i];
        if (before[i] == at && used.insert(sockets.get()).second) own = sockets;
      }
    }
    Result<Opened> found = own != nullptr ? Result<Opened>(Opened{own, true}) : find_sockets(listener, at, kept);
    if (!found.ok()) {
      close_fresh(all);
      return found.status();
    }
    all.push_back(std::move(*found));
  }
  return all;
}

void ListenerManager::close_fresh(const std::vector<Opened>& all) {
  for (const Opened& one : all) {
    if (!one.taken_over) close_all(*one.sockets);
  }
}

namespace {

// What did not change goes on with what it has counted: limits hold for connections of both versions together.
void keep_counts(const proxy::ListenerSpec& before, proxy::ListenerSpec& spec) {
  for (proxy::ListenerFilterEntry& filter : spec.listener_filters) {
    for (const proxy::ListenerFilterEntry& old : before.listener_filters) {
      if (old.fingerprint == filter.fingerprint) filter.config = old.config;
    }
  }
  if (before.udp != nullptr && spec.udp != nullptr) {
    auto udp = std::make_shared<proxy::UdpSpec>(*spec.udp);
    for (proxy::UdpFilterEntry& filter : udp->filters) {
      for (const proxy::UdpFilterEntry& old : before.udp->filters) {
        if (old.fingerprint == filter.fingerprint) filter.config = old.config;
      }
    }
    spec.udp = std::move(udp);
  }
  for (proxy::FilterChain& chain : spec.chains) {
    for (const proxy::FilterChain& old : before.chains) {
      if (old.fingerprint != chain.fingerprint) continue;
      chain.draining = old.draining;
      if (before.buffer_limit == spec.buffer_limit) chain.filters = old.filters;
    }
  }
}

}  // namespace

Status ListenerManager::apply(std::vector<config::ListenerTranslation> listeners, Changes& changes,
                              event::Publisher::Batch& removed, event::Publisher::Batch& removed_last) {
  std::set<std::string> kept;
  for (const config::ListenerTranslation& from : listeners) kept.insert(from.spec.name);
  // First everything that can fail.
  std::map<std::string, std::vector<Opened>> opened;
  for (const config::ListenerTranslation& from : listeners) {
    if (from.unchanged) continue;
    auto known = listeners_.find(from.spec.name);
    const ListenerFacts facts = facts_of(from);
    const bool opens = !closed_.have(from.spec);
    const bool turns = known != listeners_.end() && known->second.closed == opens;
    if (!turns && !effect_of(known != listeners_.end() ? &known->second.facts : nullptr, &facts).rebinds) continue;
    auto found = find_all_sockets(from.spec.name, facts, kept, opens);
    if (!found.ok()) {
      create_failure_.inc();
      for (const auto& [name, others] : opened) close_fresh(others);
      return found.status();
    }
    opened[from.spec.name] = std::move(*found);
  }
  for (config::ListenerTranslation& from : listeners) {
    if (from.unchanged) continue;
    const std::string name = from.spec.name;
    auto [it, fresh] = listeners_.try_emplace(name);
    Entry& entry = it->second;
    ListenerFacts facts = facts_of(from);
    if (effect_of(fresh ? nullptr : &entry.facts, &facts).change == Change::kNone && !opened.contains(name)) continue;
    if (fresh) {
      entry.slot = publisher_.intern(SlotKind::kListener, name);
      entry.connections = std::make_shared<std::atomic<int64_t>>(0);
      entry.draining = std::make_shared<proxy::DrainCount>(draining_);
      added_.inc();
      active_.inc();
    } else {
      modified_.inc();
    }
    if (auto sockets = opened.find(name); sockets != opened.end()) {
      left_.insert(left_.end(), entry.sockets.begin(), entry.sockets.end());
      entry.sockets.clear();
      for (Opened& one : sockets->second) entry.sockets.push_back(std::move(one.sockets));
      const bool was_open = !fresh && !entry.closed;
      entry.closed = closed_.have(from.spec);
      if (entry.closed) {
        if (was_open) stopped_.inc();
        WEIR_LOG(kWarning, "server", "listener %s accepts no connections: /drain_listeners has closed all like it",
                 name.c_str());
      }
    } else {
      in_place_.inc();  // it goes on with its sockets
    }
    if (entry.stats == nullptr || entry.stats->group->thing() != from.stat_name) {
      entry.stats = std::make_shared<proxy::ListenerStats>(store_, from.stat_name);
    }
    if (const auto* before = static_cast<const proxy::Listener*>(publisher_.newest(entry.slot)))
      keep_counts(before->spec, from.spec);
    for (proxy::FilterChain& chain : from.spec.chains) {
      if (chain.draining == nullptr) chain.draining = std::make_shared<proxy::DrainCount>(chains_draining_);
    }
    entry.facts = std::move(facts);
    entry.inbound = from.spec.inbound;
    entry.internal = from.spec.internal;
    from.spec.sockets = entry.sockets.front();
    from.spec.more_sockets.assign(entry.sockets.begin() + 1, entry.sockets.end());
    from.spec.stats = entry.stats;
    from.spec.limit = limit_;
    from.spec.connections = entry.connections;
    from.spec.draining = entry.draining;
    changes[name].set(entry.slot, std::make_unique<proxy::Listener>(std::move(from.spec)));
    create_success_.inc();
  }
  std::set<std::string> came;
  for (const auto& [name, others] : opened) {
    for (const net::ListenAddress& at : listeners_.at(name).facts.addresses()) {
      if (!at.address.is_ip() || at.address.port() != 0) came.insert(place_of(at));  // else each has one of its own
    }
  }
  std::set<const proxy::ListenSockets*> staying;
  for (const auto& [name, entry] : listeners_) {
    if (!kept.contains(name)) continue;
    for (const Sockets& sockets : entry.sockets) staying.insert(sockets.get());
  }
  for (auto it = listeners_.begin(); it != listeners_.end();) {
    if (kept.contains(it->first)) {
      ++it;
      continue;
    }
    const std::vector<Sockets>& own = it->second.sockets;
    // Somebody serves there until who gets the sockets, or opens others at the address, does.
    bool last =
        std::any_of(own.begin(), own.end(), [&](const Sockets& sockets) { return staying.contains(sockets.get()); });
    for (const net::ListenAddress& at : it->second.facts.addresses()) last = last || came.contains(place_of(at));
    // The lanes close their sockets, unless another listener has taken them over.
    (last ? removed_last : removed).remove(it->second.slot);
    left_.insert(left_.end(), own.begin(), own.end());
    removed_.inc();
    active_.dec();
    it = listeners_.erase(it);
  }
  return absl::OkStatus();
}

std::set<const proxy::ListenSockets*> ListenerManager::used() const {
  std::set<const proxy::ListenSockets*> all;
  for (const auto& [name, entry] : listeners_) {
    for (const Sockets& sockets : entry.sockets) all.insert(sockets.get());
  }
  return all;
}

void ListenerManager::note_published() {
  const std::set<const proxy::ListenSockets*> all = used();
  for (const Sockets& sockets : std::exchange(left_, {})) {
    if (!all.contains(sockets.get())) sockets->file.remove();
  }
}

void ListenerManager::take_back(Entries published) {
  listeners_.swap(published);
  active_.set(listeners_.size());
  const std::set<const proxy::ListenSockets*> known = used();
  for (const auto& [name, entry] : published) {
    const std::vector<net::ListenAddress> addresses = entry.facts.addresses();
    for (size_t i = 0; i < entry.sockets.size(); ++i) {
      if (!known.contains(entry.sockets[i].get())) spare_.push_back({name, addresses[i], entry.sockets[i], false});
    }
  }
}

void ListenerManager::put_back(Entries applied) {
  listeners_ = std::move(applied);
  spare_.clear();
  active_.set(listeners_.size());
}

void ListenerManager::close_spare() {
  const std::set<const proxy::ListenSockets*> all = used();
  for (const Spare& one : std::exchange(spare_, {})) {
    if (all.contains(one.sockets.get())) continue;
    close_all(*one.sockets);
    one.sockets->file.remove();
  }
}

}  // namespace weir::server
