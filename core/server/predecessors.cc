#include "core/server/predecessors.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/log.h"
#include "core/server/carried_stats.h"

namespace weir::server {
namespace {

// The process that serves answers between two turns of its main lane, which may read a configuration just now.
constexpr Duration kHello = 10s;
constexpr Duration kTaken = 15s;

}  // namespace

Predecessors::~Predecessors() {
  for (auto& [source, process] : processes_) WatchedLink::drop(lane_, std::move(process.link));
  WatchedLink::drop(lane_, std::move(answering_));
}

Result<std::unique_ptr<Predecessors::Given>> Predecessors::ask(const Options& options, std::optional<uid_t> user) {
  const std::string address = restart_address(options);
  auto link = connect_link(address);
  if (!link.ok()) return link.status();
  const uid_t peer = link->peer_user();
  if (peer != geteuid() && peer != 0 && peer != user)
    return unavailable("restart: " + address + " belongs to user " + std::to_string(peer) + ", not to this one");
  // One that refuses at sight may have gone: what it said can be read still.
  link->send("hello", "protocol=" + std::string(kRestartProtocol));
  auto given = std::make_unique<Given>();
  for (;;) {
    LinkMessage message;
    switch (link->receive_within(kHello, message)) {
      case Link::Got::kNothing:
        return unavailable("restart: the process at " + address + " does not answer");
      case Link::Got::kEnd:
        return unavailable("restart: the process at " + address + " ended, or is another version of weir");
      case Link::Got::kMessage:
        break;
    }
    if (message.kind == "hello") {
      given->pid = static_cast<pid_t>(message.number("pid"));
      given->epoch = static_cast<uint32_t>(message.number("epoch"));
      given->generation = message.number("generation");
      given->uptime = std::chrono::milliseconds(message.number("uptime_ms"));
    } else if (message.kind == "socket" && message.fd >= 0) {
      HandedSocket socket;
      const bool understood = HandedSocket::from_text(message.text, socket);
      socket.fd = message.fd;
      if (understood) {
        given->sockets.add(std::move(socket));
      } else {
        close(message.fd);
      }
    } else if (message.kind == "state") {
      const size_t end = message.text.find('\n');
      if (end != std::string::npos)
        given->states.emplace_back(message.text.substr(0, end), message.text.substr(end + 1));
    } else if (message.kind == "waiting") {
      if (given->waiting >= 0) close(given->waiting);
      given->waiting = message.fd;
    } else if (message.kind == "refused") {
      return unavailable("restart: the process at " + address + " refuses: " + message.text);
    } else if (message.kind == "end") {
      break;
    }
  }
  asked_ = std::make_unique<Link>(std::move(*link));
  asked_pid_ = given->pid;
  asked_epoch_ = given->epoch;
  return given;
}

void Predecessors::give_up(const std::string& why) {
  if (asked_ == nullptr) return;
  asked_->send("failed", why, -1, Duration::zero());
  asked_.reset();
}

void Predecessors::serve(const std::string& plan, const std::vector<HandedSocket>& left,
                         absl::AnyInvocable<void(const Status&)> taken) {
  taken_ = std::move(taken);
  for (const HandedSocket& one : left) asked_->send("left", one.to_text());
  asked_->send("serving", plan);
  answering_ = std::make_unique<WatchedLink>(lane_, std::move(*std::exchange(asked_, nullptr)),
                                             [this](LinkMessage* message) { on_answer(message); });
  lane_.arm_in(*this, kTaken);
}

void Predecessors::on_timer() {
  WatchedLink::drop(lane_, std::exchange(answering_, nullptr));
  answer(unavailable("process " + std::to_string(asked_pid_) + " does not answer"));
}

void Predecessors::answer(const Status& status) {
  cancel();
  if (taken_) std::exchange(taken_, nullptr)(status);
}

void Predecessors::on_answer(LinkMessage* message) {
  const uint64_t source = last_source_ + 1;  // that it gets in add()
  if (message == nullptr) {
    WatchedLink::drop(lane_, std::exchange(answering_, nullptr));
    // Nobody else serves: there is nothing to leave to it.
    WEIR_LOG(kWarning, "server", "restart: process %d has ended without a word; its connections are lost",
             static_cast<int>(asked_pid_));
    answer(absl::OkStatus());
  } else if (message->kind == "refused") {
    WatchedLink::drop(lane_, std::exchange(answering_, nullptr));
    answer(unavailable("process " + std::to_string(asked_pid_) + " goes on serving: " + message->text));
  } else if (message->kind == "taken") {
    add(asked_pid_, asked_epoch_, answering_->release());
    processes_[last_source_].connections = asked_connections_;
    WatchedLink::drop(lane_, std::exchange(answering_, nullptr));
    answer(absl::OkStatus());
  } else if (message->kind == "connections") {
    asked_connections_ = static_cast<int64_t>(message->number("open"));
  } else {
    receive_stats(*message, source, store_);
  }
}

void Predecessors::add(pid_t pid, uint32_t epoch, Link link) {
  const uint64_t source = ++last_source_;
  Process& process = processes_[source];
  process.source = source;
  process.pid = pid;
  process.epoch = epoch;
  process.link = std::make_unique<WatchedLink>(lane_, std::move(link),
                                               [this, source](LinkMessage* message) { on_message(source, message); });
}

void Predecessors::on_message(uint64_t source, LinkMessage* message) {
  auto at = processes_.find(source);
  if (at == processes_.end()) return;
  Process& process = at->second;
  if (message == nullptr) {
    const int64_t cut_off = process.cut_off >= 0 ? process.cut_off : process.connections;
    if (cut_off > 0) {
      WEIR_LOG(kWarning, "server", "restart: process %d (epoch %u) has ended: %lld connections were cut off",
               static_cast<int>(process.pid), process.epoch, static_cast<long long>(cut_off));
    } else {
      WEIR_LOG(kInfo, "server", "restart: process %d (epoch %u) has ended, all its connections had",
               static_cast<int>(process.pid), process.epoch);
    }
    store_.drop_carried_gauges(source);
    WatchedLink::drop(lane_, std::move(process.link));
    processes_.erase(at);
  } else if (message->kind == "connections") {
    process.connections = static_cast<int64_t>(message->number("open"));
  } else if (message->kind == "ended") {
    process.cut_off = static_cast<int64_t>(message->number("cut_off"));
  } else if (message->kind == "generation" && message->fd >= 0) {
    // One of those before it, which still drains.
    add(static_cast<pid_t>(message->number("pid")), static_cast<uint32_t>(message->number("epoch")),
        Link(std::exchange(message->fd, -1)));
    processes_[last_source_].link->link().send("again", {}, -1, Duration::zero());
  } else {
    receive_stats(*message, source, store_);
  }
}

int64_t Predecessors::connections() const {
  int64_t sum = 0;
  for (const auto& [source, process] : processes_) sum += process.connections;
  return sum;
}

void Predecessors::end_within(Duration deadline) {
  for (auto& [source, process] : processes_) {
    process.link->link().send("end",
                              "seconds=" + std::to_string(std::chrono::ceil<std::chrono::seconds>(deadline).count()),
                              -1, Duration::zero());
  }
}

std::vector<std::pair<std::string, Link>> Predecessors::give() {
  std::vector<std::pair<std::string, Link>> all;
  for (auto& [source, process] : processes_) {
    all.emplace_back("pid=" + std::to_string(process.pid) + "\nepoch=" + std::to_string(process.epoch),
                     process.link->release());
    store_.drop_carried_gauges(source);
    WatchedLink::drop(lane_, std::move(process.link));
  }
  processes_.clear();
  return all;
}

}  // namespace weir::server
