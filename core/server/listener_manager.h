// Main's side of the listeners: sockets, which outlive updates, and the versions to publish.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/config/listener_config.h"
#include "core/event/publisher.h"
#include "core/proxy/lane_listeners.h"
#include "core/proxy/listener.h"
#include "core/server/change_plan.h"
#include "core/server/handed_sockets.h"
#include "core/server/process.h"
#include "core/stats/store.h"

namespace weir::server {

// [main]
class ListenerManager {
 public:
  ListenerManager(event::Publisher& publisher, stats::Store& store, uint32_t workers, InheritedSockets& inherited);

  // By listener: what is to be published of it.
  using Changes = std::map<std::string, event::Publisher::Batch>;
  // Binds what is new, then adds to `changes` what differs from what was published before, and to `removed` what goes
  // at once, or, if others take its sockets over, to `removed_last`: behind all changes. An address that cannot be
  // bound is an error, and nothing has changed then.
  Status apply(std::vector<config::ListenerTranslation> listeners, Changes& changes, event::Publisher::Batch& removed,
               event::Publisher::Batch& removed_last);

  struct Entry {
    event::SlotId slot;
    ListenerFacts facts;
    // One for each address, in their order; the first is that of the listener itself.
    std::vector<std::shared_ptr<const proxy::ListenSockets>> sockets;
    std::shared_ptr<proxy::ListenerStats> stats;
    std::shared_ptr<std::atomic<int64_t>> connections;
    std::shared_ptr<proxy::DrainCount> draining;
    bool inbound = false;
    bool internal = false;
    bool closed = false;  // it accepts nothing, for good: its sockets are shut, or about to be, or were never opened
  };
  using Entries = std::map<std::string, Entry>;
  const Entries& listeners() const { return listeners_; }
  // Takes back what was applied and not published: these are what the lanes have. Sockets that were opened since are
  // for the next apply(), and close behind it (close_spare()).
  void take_back(Entries published);
  // It was not to be: all is as it was.
  void put_back(Entries applied);
  void close_spare();
  // All that was applied is published.
  void note_published();

  proxy::ConnectionLimit& limit() { return *limit_; }
  // Sockets of a process before this one, for the next apply(); nullptr: none.
  void set_handed(HandedSockets* handed) { handed_ = handed; }
  // That process does not serve any more: the files of its Unix sockets are this one's to remove.
  void own_files();
  // What a process after this one takes over.
  void list_sockets(const std::function<void(const HandedSocket&)>& visit) const;
  // It has, but for these: with them goes what goes with a listener that is removed.
  void note_left_alone(const std::vector<HandedSocket>& left);
  // The lanes close the sockets of all listeners, or of the inbound ones, for good. `published`: what they have, if
  // that is not all that was applied. `shared`: another process has the same sockets, and keeps the files of Unix
  // sockets.
  void note_closed(proxy::Which which, Entries* published, bool shared);
  // No process goes on with them: the files of Unix sockets go.
  void remove_files() const;

 private:
  using Sockets = std::shared_ptr<const proxy::ListenSockets>;
  // Those of each address that may be handed over, with what their descriptors have in common.
  void each_handed(const std::function<void(const Sockets&, HandedSocket)>& visit) const;
  struct Opened {
    Sockets sockets;
    bool taken_over = false;  // from a listener that goes, or it is its own already
  };
  // What the process before has opened, on the workers of this one.
  Result<Sockets> adopt_sockets(const std::string& listener, const net::ListenAddress& at, std::vector<int> fds,
                                bool foreign_file);
  std::shared_ptr<proxy::ListenSockets> no_sockets(const net::ListenAddress& at) const;
  // `opens_later`: see ListenSockets.
  Result<Sockets> open_sockets(const std::string& listener, const net::ListenAddress& at, bool opens_later);
  Result<Opened> find_sockets(const std::string& listener, const net::ListenAddress& at,
                              const std::set<std::string>& kept);
  // nullptr: there is none.
  Sockets take_spare(const std::string& listener, const net::ListenAddress& at);
  // For all addresses: those that it has already, those of listeners that go, new ones. After a fault none are left.
  // `opens`: false for one that comes when listeners of its kind have closed: it gets none.
  Result<std::vector<Opened>> find_all_sockets(const std::string& listener, const ListenerFacts& facts,
                                               const std::set<std::string>& kept, bool opens);
  std::set<const proxy::ListenSockets*> used() const;
  static void close_fresh(const std::vector<Opened>& all);

  event::Publisher& publisher_;
  stats::Store& store_;
  const uint32_t workers_;
  InheritedSockets& inherited_;
  HandedSockets* handed_ = nullptr;
  std::vector<std::weak_ptr<proxy::ListenSockets>> adopted_;  // until own_files()
  Entries listeners_;
  proxy::ClosedListeners closed_;
  struct Spare {
    std::string listener;
    net::ListenAddress at;
    Sockets sockets;
    bool taken;
  };
  std::vector<Spare> spare_;
  std::vector<Sockets> left_;  // by listeners that were applied, not published, perhaps to others
  const std::shared_ptr<proxy::ConnectionLimit> limit_;
  stats::Counter added_, modified_, in_place_, removed_, create_success_, create_failure_, stopped_;
  stats::Gauge active_, draining_, chains_draining_;
};

}  // namespace weir::server
