// The side of a restart that begins: it gets what the running process listens on, tells it when it serves itself, and
// from then on hears of it, and of those before it that still drain, until they have ended.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/event/lane.h"
#include "core/server/handed_sockets.h"
#include "core/server/options.h"
#include "core/server/watched_link.h"
#include "core/stats/store.h"

namespace weir::server {

// [main]
class Predecessors final : private event::Timer {
 public:
  Predecessors(event::Lane& lane, stats::Store& store) : lane_(lane), store_(store) {}
  ~Predecessors();
  Predecessors(const Predecessors&) = delete;
  Predecessors& operator=(const Predecessors&) = delete;

  // What the running process has given.
  struct Given {
    HandedSockets sockets;
    std::vector<std::pair<std::string, std::string>> states;
    int waiting = -1;  // where successors come; the taker's
    pid_t pid = 0;
    uint32_t epoch = 0;
    uint64_t generation = 0;
    Duration uptime{};
  };
  // Asks the process that waits at the address of these options; blocks for some seconds at most. Nothing has changed
  // there when this returns. `user`: whom else that process may belong to (--user). Of status kNobodyThere: there is
  // none.
  Result<std::unique_ptr<Given>> ask(const Options& options, std::optional<uid_t> user);
  // Tells it that this process serves, and how it is to end. `taken`: it has stopped accepting; with an error: it goes
  // on serving, and this process is to end.
  void serve(const std::string& plan, const std::vector<HandedSocket>& left,
             absl::AnyInvocable<void(const Status&)> taken);
  bool asked() const { return asked_ != nullptr; }
  // Tells the running process why this one fails instead. Nothing if it was not asked.
  void give_up(const std::string& why);

  // Those that drain, however many there are.
  size_t draining() const { return processes_.size(); }
  int64_t connections() const;
  // They are to end within this time.
  void end_within(Duration deadline);
  // For a process that takes over from this one: the links, each with the text that describes its process.
  std::vector<std::pair<std::string, Link>> give();

 private:
  struct Process {
    uint64_t source;  // of its gauges
    pid_t pid;
    uint32_t epoch;
    int64_t connections = 0;
    int64_t cut_off = -1;  // -1: it has not said that it ends
    std::unique_ptr<WatchedLink> link;
  };
  void add(pid_t pid, uint32_t epoch, Link link);
  void on_message(uint64_t source, LinkMessage* message);
  void on_answer(LinkMessage* message);
  void answer(const Status& status);
  void on_timer() override;

  event::Lane& lane_;
  stats::Store& store_;
  std::unique_ptr<Link> asked_;  // until it has answered that it is taken over
  std::unique_ptr<WatchedLink> answering_;
  pid_t asked_pid_ = 0;
  uint32_t asked_epoch_ = 0;
  int64_t asked_connections_ = 0;
  absl::AnyInvocable<void(const Status&)> taken_;
  std::map<uint64_t, Process> processes_;
  uint64_t last_source_ = 0;
};

}  // namespace weir::server
