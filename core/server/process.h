// What a process asks of its system: processors, descriptors, another user, and the protocols of service managers
// (sd_notify(3), sd_listen_fds(3)), without their library. [main]
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/event/lane.h"
#include "core/net/address.h"

namespace weir::server {

// As many descriptors as the system lets us have: two per proxied connection go quickly.
void raise_descriptor_limit();

// Those that this process may run on, of which a container may use so many at once: a quota of 1.5 counts as 2.
uint32_t usable_processors();
// The quota of this process's control group and of those above it, in processors, rounded up; 0: none. `membership`:
// the text of /proc/self/cgroup; `root`: where the groups are mounted (both versions).
uint32_t processors_by_quota(std::string_view membership, const std::string& root);

// Whom to become once everything is bound. Names or numbers; the group of an empty one is the user's.
struct Identity {
  bool any = false;
  uid_t user = 0;
  gid_t group = 0;
  std::string name;  // of the user, for its further groups; empty if it has none
};
Result<Identity> find_identity(const std::string& user, const std::string& group);
// For good: an error if this process can still come back. All threads.
Status become(const Identity& identity);

// A file with the process's number, which goes with this object. Not if another process has written its own meanwhile.
class PidFile {
 public:
  PidFile() = default;
  ~PidFile();
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;
  Status write(const std::string& path);

 private:
  std::string path_;
};

// Tells the service manager where the process is, if one wants to know ($NOTIFY_SOCKET).
class ServiceManager {
 public:
  ServiceManager();
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;
  void ready(std::string_view status) const;
  void reloading(MonoTime now) const;
  void stopping() const;
  // The manager's variables, which are no more in this process's environment: for a process that takes over.
  const std::vector<std::string>& environment() const { return environment_; }
  // Another process is the manager's from now on; this one has nothing to say any more.
  void leave();
  // From now on, as often as the manager's watchdog wants it ($WATCHDOG_USEC), as long as the lane turns.
  void keep_alive(event::Lane& lane);
  // Before the lane goes.
  void stop_keeping_alive();

 private:
  class Heartbeat;
  void tell(const std::string& text) const;
  int fd_ = -1;  // connected; -1: nobody wants to know
  Duration interval_{};
  std::vector<std::string> environment_;
  std::unique_ptr<Heartbeat> heartbeat_;
};

// Listening sockets that the service manager has opened ($LISTEN_FDS), for listeners with the same address.
class InheritedSockets {
 public:
  InheritedSockets() = default;
  ~InheritedSockets();
  InheritedSockets(const InheritedSockets&) = delete;
  InheritedSockets& operator=(const InheritedSockets&) = delete;
  // What the environment says is for this process; it is removed there. Descriptors that neither listen for streams nor
  // are bound for datagrams are closed and told.
  void find();
  // The caller's from then on; -1: none.
  int take(const net::Address& address, bool datagrams);
  // Closes and tells what no listener wanted.
  void drop_rest();

 private:
  struct Socket {
    int fd;
    net::Address address;
    bool datagrams;
  };
  std::vector<Socket> sockets_;
};

}  // namespace weir::server
