// The side of a restart that serves: it waits for a process that wants to take over, gives it all that it listens on,
// and is told when that one serves. Until then nothing has changed here, and nothing does if that one fails.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/event/lane.h"
#include "core/event/signals.h"
#include "core/server/handed_sockets.h"
#include "core/server/watched_link.h"

namespace weir::server {

// What the process has to say and to give. [main]
class SuccessorHost {
 public:
  // Why nobody may take over now; empty: somebody may.
  virtual std::string why_not() const = 0;
  // Lines "name=value": epoch, generation, uptime_ms.
  virtual std::string facts() const = 0;
  // The descriptors stay the host's.
  virtual void list_sockets(const std::function<void(const HandedSocket&)>& visit) const = 0;
  // Secrets of plugins (keys of session tickets), each a text under the plugin's name.
  virtual void list_states(const std::function<void(std::string_view name, std::string_view state)>& visit) const = 0;
  // The attempt is over, whoever made it.
  virtual void on_failed(pid_t successor, const std::string& why) = 0;
  // It serves, and says in `plan` how this one is to end, and which sockets it has not taken. The link is the host's,
  // which has to say "taken".
  virtual void on_taken_over(pid_t successor, Link link, const LinkMessage& plan,
                             const std::vector<HandedSocket>& left) = 0;

 protected:
  ~SuccessorHost() = default;
};

class Successor final : private event::Pollable, private event::Timer {
 public:
  // `listening`: of listen_link(), or that of the process before; owned. `timeout`: for one attempt, from its
  // beginning.
  Successor(event::Lane& lane, SuccessorHost& host, int listening, Duration timeout);
  ~Successor();
  Successor(const Successor&) = delete;
  Successor& operator=(const Successor&) = delete;

  // An attempt has begun and has not failed.
  bool under_way() const { return link_ != nullptr || child_ > 0; }
  // Somebody has been given the sockets and has not failed, as far as is known.
  bool has_given() const { return peer_ != 0; }
  // Starts a process that takes over. An error: it could not be started, or one is under way.
  Status start_process(const std::string& program, const std::vector<std::string>& arguments,
                       const std::vector<std::string>& environment);
  // Nobody takes over any more; who waits is refused.
  void stop();

 private:
  void on_ready(uint32_t) override;
  void on_timer() override;
  void on_message(LinkMessage* message);
  void greet(const LinkMessage& hello);
  void refuse(Link& link, const std::string& why);
  void fail(const std::string& why);
  void on_child();

  event::Lane& lane_;
  SuccessorHost& host_;
  int listening_;
  const Duration timeout_;
  std::unique_ptr<WatchedLink> link_;
  pid_t peer_ = 0;                  // who has said hello
  std::vector<HandedSocket> left_;  // what that one has no use for
  pid_t child_ = 0;                 // that was started here and is to take over
  std::vector<pid_t> failed_;       // that were, and have not ended yet
  std::unique_ptr<event::Signals> child_signals_;
};

}  // namespace weir::server
