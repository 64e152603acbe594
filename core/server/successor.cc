#include "core/server/successor.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <utility>

#include "core/base/log.h"
#include "core/server/options.h"

namespace weir::server {
namespace {

std::string ending(int status) {
  if (WIFEXITED(status)) return "it ended with status " + std::to_string(WEXITSTATUS(status)) + " before it served";
  return "it was ended by signal " + std::to_string(WTERMSIG(status)) + " before it served";
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (const std::string& text : texts) all.push_back(const_cast<char*>(text.c_str()));
  all.push_back(nullptr);
  return all;
}

}  // namespace

Successor::Successor(event::Lane& lane, SuccessorHost& host, int listening, Duration timeout)
    : lane_(lane), host_(host), listening_(listening), timeout_(timeout) {
  lane_.poller().add_level(listening_, *this);
}

Successor::~Successor() {
  stop();
  child_signals_.reset();
}

void Successor::stop() {
  cancel();
  if (listening_ < 0) return;
  lane_.poller().remove(listening_);
  close(listening_);
  listening_ = -1;
  if (link_ != nullptr) {
    // Who has been given everything serves, whether this process waits for it or not.
    if (peer_ == 0) refuse(link_->link(), "the process is about to end");
    WatchedLink::drop(lane_, std::move(link_));
  }
}

void Successor::on_ready(uint32_t) {
  while (listening_ >= 0) {
    Link link = accept_link(listening_);
    if (!link.open()) return;
    // Whoever takes over gets sockets and keys: nobody but this user and the one who may do anything.
    const uid_t user = link.peer_user();
    if (user != geteuid() && user != 0) {
      WEIR_LOG(kWarning, "server", "restart: process %d of user %u may not take over",
               static_cast<int>(link.peer_pid()), static_cast<unsigned>(user));
      refuse(link, "it belongs to user " + std::to_string(geteuid()));
      continue;
    }
    if (link_ != nullptr) {
      refuse(link, "process " + std::to_string(link_->link().peer_pid()) + " is about to take over already");
      continue;
    }
    link_ =
        std::make_unique<WatchedLink>(lane_, std::move(link), [this](LinkMessage* message) { on_message(message); });
    if (child_ == 0) lane_.arm_in(*this, timeout_);
  }
}

void Successor::refuse(Link& link, const std::string& why) {
  link.stop_receiving();
  link.send("refused", why, -1, Duration::zero());
}

void Successor::on_message(LinkMessage* message) {
  if (message == nullptr) {
    WatchedLink::drop(lane_, std::exchange(link_, nullptr));
    if (peer_ == 0) {  // somebody who only looked
      if (child_ == 0) cancel();
      return;
    }
    if (child_ == peer_) return;  // its end says more
    fail("it ended before it served");
    return;
  }
  if (message->kind == "hello" && peer_ == 0) return greet(*message);
  if (message->kind == "serving" && peer_ != 0) {
    cancel();
    const pid_t peer = std::exchange(peer_, 0);
    child_ = 0;
    Link link = link_->release();
    WatchedLink::drop(lane_, std::exchange(link_, nullptr));
    host_.on_taken_over(peer, std::move(link), *message, std::exchange(left_, {}));
    return;
  }
  if (HandedSocket one; message->kind == "left" && peer_ != 0 && HandedSocket::from_text(message->text, one))
    left_.push_back(std::move(one));
  if (message->kind == "failed") return fail(message->text);
}

void Successor::greet(const LinkMessage& hello) {
  std::string why = host_.why_not();
  if (why.empty() && hello.get("protocol") != kRestartProtocol)
    why = "it speaks version " + std::string(kRestartProtocol) + " of the restart protocol, not " +
          hello.get("protocol").substr(0, 20);
  if (!why.empty()) {
    refuse(link_->link(), why);
    WEIR_LOG(kWarning, "server", "restart: process %d is refused: %s", static_cast<int>(link_->link().peer_pid()),
             why.c_str());
    WatchedLink::drop(lane_, std::exchange(link_, nullptr));
    if (child_ == 0) cancel();
    return;
  }
  peer_ = link_->link().peer_pid();
  left_.clear();
  Link& link = link_->link();
  bool sent = link.send("hello", "pid=" + std::to_string(getpid()) + "\n" + host_.facts());
  size_t sockets = 0;
  host_.list_sockets([&](const HandedSocket& socket) {
    ++sockets;
    sent = sent && link.send("socket", socket.to_text(), socket.fd);
  });
  host_.list_states([&](std::string_view name, std::string_view state) {
    sent = sent && link.send("state", std::string(name) + "\n" + std::string(state));
  });
  sent = sent && link.send("waiting", {}, listening_) && link.send("end");
  WEIR_LOG(kInfo, "server", "restart: process %d takes %zu listening sockets over", static_cast<int>(peer_), sockets);
  if (!sent) fail("it does not read what it is given");
}

void Successor::fail(const std::string& why) {
  const pid_t failed = peer_ != 0 ? peer_ : child_;
  if (failed == child_ && child_ != 0) failed_.push_back(std::exchange(child_, 0));
  peer_ = 0;
  cancel();
  if (link_ != nullptr) WatchedLink::drop(lane_, std::exchange(link_, nullptr));
  host_.on_failed(failed, why);
}

void Successor::on_timer() {
  const std::string why = "it did not serve within " +
                          std::to_string(std::chrono::duration_cast<std::chrono::seconds>(timeout_).count()) +
                          " s (--restart-timeout-s)";
  if (link_ != nullptr) refuse(link_->link(), why);
  if (child_ > 0) kill(child_, SIGTERM);
  fail(why);
}

Status Successor::start_process(const std::string& program, const std::vector<std::string>& arguments,
                                const std::vector<std::string>& environment) {
  if (under_way())
    return unavailable("process " + std::to_string(peer_ != 0 ? peer_ : child_) + " is about to take over already");
  if (child_signals_ == nullptr)
    child_signals_ =
        std::make_unique<event::Signals>(lane_, std::initializer_list<int>{SIGCHLD}, [this](int) { on_child(); });
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t child = 0;
  const int error = posix_spawn(&child, program.c_str(), nullptr, &attributes, pointers(arguments).data(),
                                pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return unavailable("cannot start " + program + ": " + strerror(error));
  child_ = child;
  lane_.arm_in(*this, timeout_);
  WEIR_LOG(kInfo, "server", "restart: process %d is to take over: %s", static_cast<int>(child), program.c_str());
  return absl::OkStatus();
}

void Successor::on_child() {
  std::erase_if(failed_, [](pid_t one) { return waitpid(one, nullptr, WNOHANG) == one; });
  int status = 0;
  if (child_ <= 0 || waitpid(child_, &status, WNOHANG) != child_) return;
  peer_ = std::exchange(child_, 0);
  fail(ending(status));
}

}  // namespace weir::server
