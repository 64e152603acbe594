#include "core/server/restart.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "core/base/log.h"
#include "core/server/admin_facts.h"
#include "core/server/server.h"

extern "C" char** environ;

namespace weir::server {
namespace {

constexpr Duration kTellEvery = 1s;

std::string number(uint64_t value) { return std::to_string(value); }

// What the new process is started with: the command line of this one, but for where and how it takes over.
std::vector<std::string> successor_arguments(const Options& options) {
  std::vector<std::string> out;
  for (size_t i = 0; i < options.arguments.size(); ++i) {
    const std::string& argument = options.arguments[i];
    const std::string name = argument.substr(0, argument.find('='));
    const bool has_value = name == "--restart-epoch" || name == "--base-id" || name == "--socket-path";
    if (i > 0 && (has_value || name == "--restart" || name == "--use-dynamic-base-id")) {
      if (has_value && name == argument) ++i;
      continue;
    }
    out.push_back(argument);
  }
  for (std::string one : {std::string("--restart"), std::string("--base-id"), number(options.base_id),
                          std::string("--socket-path"), options.socket_path})
    out.push_back(std::move(one));
  return out;
}

// The file that was started, by the name it was started by: a new version may have its place now.
std::string program_of(const Options& options) {
  std::error_code failed;
  const std::string name = options.arguments.empty() ? std::string() : options.arguments.front();
  if (name.find('/') != std::string::npos) return std::filesystem::absolute(name, failed).string();
  std::string path = std::filesystem::read_symlink("/proc/self/exe", failed).string();
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
  return path;
}

}  // namespace

Restart::Restart(Server& server)
    : server_(server),
      predecessors_(server.lane(), server.store()),
      sender_(server.store()),
      epoch_gauge_(server.store().gauge("server.hot_restart_epoch")),
      generation_gauge_(server.store().gauge("server.hot_restart_generation")),
      parent_connections_(server.store().gauge("server.parent_connections")) {
  generation_ = 1;
  generation_gauge_.set(1);
}

Restart::~Restart() {
  cancel();
  if (waiting_ >= 0) close(waiting_);
  WatchedLink::drop(server_.lane(), std::move(heir_));
}

int Restart::begin(Options& options, std::optional<uid_t> user) {
  if (!options.hot_restart || options.mode != Mode::kServe) return 0;
  if (!options.restart) return listen(options);
  auto given = predecessors_.ask(options, user);
  if (!given.ok()) {
    const bool nobody = given.status().code() == kNobodyThere;
    if (nobody && (!options.restart_epoch_given || options.skip_restart_on_no_parent)) {
      WEIR_LOG(kWarning, "server", "restart: %s; this one just starts", message_of(given.status()).c_str());
      return listen(options);
    }
    WEIR_LOG(kError, "server", "%s%s", nobody ? "restart: " : "", message_of(given.status()).c_str());
    return 1;
  }
  given_ = std::move(*given);
  if (options.restart_epoch_given && options.restart_epoch != given_->epoch + 1) {
    const std::string why = "--restart-epoch: " + number(options.restart_epoch) + ", but the running process has " +
                            number(given_->epoch) + "; give the next number, or --restart";
    WEIR_LOG(kError, "server", "%s", why.c_str());
    give_up(why);
    return 1;
  }
  epoch_ = given_->epoch + 1;
  generation_ = given_->generation + 1;
  earlier_uptime_ = given_->uptime;
  epoch_gauge_.set(epoch_);
  generation_gauge_.set(generation_);
  waiting_ = std::exchange(given_->waiting, -1);
  for (const auto& [type, state] : given_->states) {
    if (Status restored = server_.registry().restore_transport_socket(type, state); !restored.ok())
      WEIR_LOG(kWarning, "server", "restart: %s: %s", type.c_str(), message_of(restored).c_str());
  }
  WEIR_LOG(kInfo, "server", "restart: process %d (epoch %u) has given %zu listening sockets",
           static_cast<int>(given_->pid), given_->epoch, given_->sockets.size());
  return 0;
}

int Restart::listen(Options& options) {
  Result<int> fd = unavailable("");
  for (int i = 0; i < (options.dynamic_base_id ? 100 : 1) && !fd.ok(); ++i) {
    if (options.dynamic_base_id) options.base_id = 1 + static_cast<uint32_t>(server_.lane().random().next() % 999'999);
    fd = listen_link(restart_address(options), options.socket_mode);
  }
  if (fd.ok()) {
    waiting_ = *fd;
  } else if (options.restart_address_given || options.dynamic_base_id) {
    WEIR_LOG(kError, "server", "restart: %s", message_of(fd.status()).c_str());
    return 3;
  } else {
    WEIR_LOG(kInfo, "server", "nobody can take over from this process (--restart): %s; give each a --base-id",
             message_of(fd.status()).c_str());
  }
  if (options.base_id_path.empty()) return 0;
  FILE* file = fopen(options.base_id_path.c_str(), "we");
  bool written = file != nullptr && fprintf(file, "%u", options.base_id) > 0;
  written = file != nullptr && fclose(file) == 0 && written;
  if (written) return 0;
  WEIR_LOG(kError, "server", "--base-id-path: cannot write %s: %s", options.base_id_path.c_str(), strerror(errno));
  return 2;
}

void Restart::give_up(const std::string& why) { predecessors_.give_up(why); }

void Restart::take_over(absl::AnyInvocable<void(const Status&)> done) {
  const Options& options = server_.options();
  const std::vector<HandedSocket> rest = given_->sockets.rest();
  for (const std::string& address : given_->sockets.drop_rest()) {
    WEIR_LOG(kInfo, "server", "restart: nobody listens at %s any more; the process before serves what waits there",
             address.c_str());
  }
  const pid_t pid = given_->pid;
  predecessors_.serve(
      "deadline_s=" + number(options.parent_shutdown_seconds) + "\ndrain_s=" + number(options.drain_seconds) +
          "\ngradual=" + (options.drain_strategy == DrainStrategy::kGradual ? "1" : "0") +
          "\nstats=" + (options.skip_parent_stats ? "0" : "1"),
      rest, [this, pid, done = std::move(done)](const Status& taken) mutable {
        if (taken.ok()) given_->sockets.adjust();
        given_.reset();
        if (taken.ok())
          WEIR_LOG(kInfo, "server", "restart: taken over from process %d, epoch %u", static_cast<int>(pid), epoch_);
        done(taken);
      });
}

void Restart::wait_for_successor() {
  if (waiting_ < 0) return;
  claim_link(waiting_);
  SuccessorHost& host = *this;
  successor_ = std::make_unique<Successor>(server_.lane(), host, std::exchange(waiting_, -1),
                                           std::chrono::seconds(server_.options().restart_timeout_seconds));
}

Status Restart::start_successor() {
  const Options& options = server_.options();
  if (has_successor())
    return unavailable("process " + std::to_string(heir_pid_) + " has taken over already; signal that one");
  if (server_.configuration().read_only_once())
    return unavailable((options.config_path == "-" ? "standard input" : options.config_path) + " " +
                       LiveConfiguration::kReadOnlyOnce);
  if (successor_ == nullptr)
    return unavailable(options.hot_restart ? "nobody can take over from this process; it needs a --base-id of its own"
                                           : "--disable-hot-restart");
  if (std::string why = why_not(); !why.empty()) return unavailable(why);
  std::vector<std::string> environment = server_.manager_environment();
  for (char** one = environ; *one != nullptr; ++one) environment.emplace_back(*one);
  return successor_->start_process(program_of(options), successor_arguments(options), environment);
}

std::string Restart::why_not() const {
  switch (server_.state()) {
    case State::kLive:
      return {};
    case State::kDraining:
      return "the process is about to end";
    default:
      return "the process has only begun itself";
  }
}

std::string Restart::facts() const {
  const Duration uptime = earlier_uptime_ + (server_.lane().now() - server_.started());
  return "epoch=" + number(epoch_) + "\ngeneration=" + number(generation_) +
         "\nuptime_ms=" + number(static_cast<uint64_t>(to_ms(uptime)));
}

void Restart::list_sockets(const std::function<void(const HandedSocket&)>& visit) const {
  server_.listeners().list_sockets(visit);
  server_.admin().list_sockets(visit);
}

void Restart::list_states(const std::function<void(std::string_view name, std::string_view state)>& visit) const {
  server_.registry().save_transport_sockets(visit);
}

void Restart::on_failed(pid_t successor, const std::string& why) { server_.on_restart_failed(successor, why); }

void Restart::on_taken_over(pid_t successor, Link link, const LinkMessage& plan,
                            const std::vector<HandedSocket>& left) {
  WEIR_LOG(kInfo, "server", "restart: process %d serves; this one takes nothing new any more",
           static_cast<int>(successor));
  heir_pid_ = successor;
  server_.listeners().note_left_alone(left);
  send_stats_ = plan.number("stats") != 0;
  heir_ = std::make_unique<WatchedLink>(server_.lane(), std::move(link),
                                        [this](LinkMessage* message) { on_successor_message(message); });
  tell(5s);
  server_.lane().post([gone = std::shared_ptr<Successor>(std::move(successor_))] {});
  proxy::DrainPlan drain{.time = std::chrono::seconds(plan.number("drain_s")), .gradual = plan.number("gradual") != 0};
  // Once it hears that, all that connects is its own.
  server_.end_as_predecessor(std::chrono::seconds(plan.number("deadline_s")), drain, [this] {
    heir_->link().send("taken");
    for (auto& [text, one] : predecessors_.give()) heir_->link().send("generation", text, one.fd());
  });
  server_.lane().arm_in(*this, kTellEvery);
}

bool Restart::tell(Duration wait) {
  if (heir_ == nullptr || !heir_->link().open()) return false;
  server_.refresh_stats();
  Link& link = heir_->link();
  return link.send("connections", "open=" + number(static_cast<uint64_t>(server_.connections())), -1, wait) &&
         (!send_stats_ || sender_.send(link, wait));
}

void Restart::on_timer() {
  const MonoTime begun = system_clock().mono_now();
  tell(Duration::zero());
  // Ten thousand clusters take their time to be gone through.
  const Duration took = system_clock().mono_now() - begun;
  server_.lane().arm_in(*this, std::max<Duration>(kTellEvery, took * 20));
}

void Restart::say_goodbye(int64_t cut_off) {
  if (heir_ == nullptr) return;
  cancel();
  tell(1s);
  heir_->link().send("ended", "cut_off=" + number(static_cast<uint64_t>(cut_off)));
  heir_->link().close();
}

void Restart::on_successor_message(LinkMessage* message) {
  if (message == nullptr) {
    cancel();
    return;
  }
  if (message->kind == "again") sender_.resend_gauges();
  if (message->kind == "end") server_.hasten_end(std::chrono::seconds(message->number("seconds")));
}

void Restart::end(Duration deadline) {
  if (successor_ != nullptr) successor_->stop();
  predecessors_.end_within(deadline);
}

void Restart::refresh_stats() { parent_connections_.set(static_cast<uint64_t>(predecessors_.connections())); }

}  // namespace weir::server
