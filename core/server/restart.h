// A process's part in restarts, from its first moment (does another one run that it takes over from?) to its last (has
// another one taken over from it?). README.md beside this tells the whole story.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/event/lane.h"
#include "core/server/carried_stats.h"
#include "core/server/predecessors.h"
#include "core/server/successor.h"
#include "core/stats/store.h"

namespace weir::server {

class Server;

// [main]
class Restart final : private SuccessorHost, private event::Timer {
 public:
  explicit Restart(Server& server);
  ~Restart();
  Restart(const Restart&) = delete;
  Restart& operator=(const Restart&) = delete;

  // Before anything is bound: asks the running process, if the options say so, and finds the place to wait for a
  // successor. The exit code; 0: go on. `user`: whom the process becomes (--user).
  int begin(Options& options, std::optional<uid_t> user);
  // A process has given its sockets and serves still.
  bool taking_over() const { return given_ != nullptr; }
  HandedSockets* sockets() { return given_ != nullptr ? &given_->sockets : nullptr; }
  // This process cannot serve; the other one goes on.
  void give_up(const std::string& why);
  // This process serves: the other one is to end. `done`: it does (or, with an error, goes on, and this one is to end).
  void take_over(absl::AnyInvocable<void(const Status&)> done);
  // From now on another process may take over.
  void wait_for_successor();
  // SIGUSR2: starts a process of the same command line that takes over.
  Status start_successor();
  // A successor has been given the sockets, and has not failed.
  bool handing_over() const { return successor_ != nullptr && successor_->under_way(); }
  bool has_successor() const { return heir_pid_ != 0; }
  // A process that serves, or is about to, has the sockets, too.
  bool shares_sockets() const { return has_successor() || (successor_ != nullptr && successor_->has_given()); }
  // The end of this process is near: nobody takes over from it, and those before it are to end as well.
  void end(Duration deadline);
  // The last word to the successor: how many connections had not ended when this process did.
  void say_goodbye(int64_t cut_off);

  size_t draining_predecessors() const { return predecessors_.draining(); }
  int64_t predecessor_connections() const { return predecessors_.connections(); }
  uint32_t epoch() const { return epoch_; }
  Duration earlier_uptime() const { return earlier_uptime_; }
  void refresh_stats();

 private:
  // SuccessorHost
  std::string why_not() const override;
  std::string facts() const override;
  void list_sockets(const std::function<void(const HandedSocket&)>& visit) const override;
  void list_states(const std::function<void(std::string_view name, std::string_view state)>& visit) const override;
  void on_failed(pid_t successor, const std::string& why) override;
  void on_taken_over(pid_t successor, Link link, const LinkMessage& plan,
                     const std::vector<HandedSocket>& left) override;

  int listen(Options& options);
  void on_timer() override;  // tells the successor what has been counted
  void on_successor_message(LinkMessage* message);
  bool tell(Duration wait);

  Server& server_;
  Predecessors predecessors_;
  std::unique_ptr<Predecessors::Given> given_;
  std::unique_ptr<Successor> successor_;
  int waiting_ = -1;  // of listen_link(), until it is the successor's
  std::unique_ptr<WatchedLink> heir_;
  StatsSender sender_;
  bool send_stats_ = true;
  pid_t heir_pid_ = 0;  // of the process that has taken over
  uint32_t epoch_ = 0;
  uint64_t generation_ = 0;
  Duration earlier_uptime_{};
  stats::Gauge epoch_gauge_, generation_gauge_, parent_connections_;
};

}  // namespace weir::server
