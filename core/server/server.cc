#include "core/server/server.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "core/base/log.h"
#include "core/event/activity.h"
#include "core/filter/server_health.h"
#include "core/server/admin/memory_use.h"
#include "core/server/admin_facts.h"
#include "core/server/reload_answer.h"
#include "core/server/restart.h"
#include "core/stream/log_writer.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"

namespace weir::server {

namespace {

constexpr int kExitCutOff = 4;        // connections were cut off
constexpr Duration kLongestEnd = 5s;  // of workers that were told to

}  // namespace

// The end of /drain_listeners.
class Server::StopAccepting final : public event::Timer {
 public:
  StopAccepting(Server& server, proxy::Which which) : server_(server), which_(which) {}
  void on_timer() override {
    WEIR_LOG(kInfo, "server", "%slisteners accept no more connections",
             which_ == proxy::Which::kInbound ? "inbound " : "");
    const bool shared = server_.restart_->shares_sockets();
    for (auto& worker : server_.workers_) {
      worker->lane().post([one = worker.get(), which = which_, shared] {
        proxy::LaneListeners& listeners = one->listeners();
        listeners.stop_accepting(listeners.update_plan(), shared, which);
      });
    }
    server_.configuration_->note_closed(which_, shared);
  }

 private:
  Server& server_;
  const proxy::Which which_;
};

// What changes with time alone.
class Server::Tending final : public event::Timer {
 public:
  explicit Tending(Server& server) : server_(server) { server_.lane().arm_in(*this, kEvery); }
  void on_timer() override {
    server_.registry_.tend_transport_sockets(server_.lane().now());
    server_.lane().arm_in(*this, kEvery);
  }

 private:
  static constexpr Duration kEvery = 1min;
  Server& server_;
};

Server::Server(const Options& options, const filter::Registry& registry, std::string_view version)
    : options_(options), registry_(registry), started_(system_clock().mono_now()), version_(version) {
  live_ = store_.gauge("server.live");
  state_gauge_ = store_.gauge("server.state");
  concurrency_ = store_.gauge("server.concurrency");
  uptime_ = store_.gauge("server.uptime");
  connections_ = store_.gauge("server.total_connections");
  memory_allocated_ = store_.gauge("server.memory_allocated");
  memory_heap_ = store_.gauge("server.memory_heap_size");
  memory_physical_ = store_.gauge("server.memory_physical_size");
  workers_started_ = store_.gauge("listener_manager.workers_started");
  initialization_time_ = store_.histogram("server.initialization_time_ms");
  reloads_ok_ = store_.counter("server.config_reload_success");
  reloads_failed_ = store_.counter("server.config_reload_failure");
  restart_failures_ = store_.counter("server.restart_failure");
}

// Files of a configuration that was refused may be open, and the writer counts in store_.
Server::~Server() { stream::LogWriter::process().stop(2s); }

int Server::start() {
  WEIR_LOG(kInfo, "server", "weir %s, pid %d, configuration %s", version_.c_str(), getpid(),
           options_.config_path.empty() ? "--config-yaml" : options_.config_path.c_str());
  auto identity = find_identity(options_.user, options_.group);
  if (!identity.ok()) {
    WEIR_LOG(kError, "server", "%s", message_of(identity.status()).c_str());
    return 2;
  }
  raise_descriptor_limit();
  inherited_.find();
  stream::LogWriter::process().set_flush_interval(std::chrono::milliseconds(options_.file_flush_interval_ms));
  make_lanes(options_.concurrency != 0 ? options_.concurrency : std::min(usable_processors(), lb::kMaxLanes - 1));
  restart_ = std::make_unique<Restart>(*this);
  if (int code = restart_->begin(options_, identity->any ? std::optional<uid_t>(identity->user) : std::nullopt);
      code != 0)
    return code;
  listeners_->set_handed(restart_->sockets());
  state_ = State::kInitializing;
  tell_health();
  background_ = std::make_unique<event::Background>(lane());
  flusher_ = std::make_unique<StatsFlusher>(lane(), store_, *background_, [this] { return read_stats(); });
  admin_ = std::make_unique<AdminFacts>(*this);
  configuration_ = std::make_unique<LiveConfiguration>(lane(), options_, registry_, store_, *publisher_, *clusters_,
                                                       *listeners_, *runtime_);
  if (restart_->taking_over()) configuration_->set_taking_over();
  // These would end the process if they came while it loads; they wait. Those that are to end it may.
  signals_ = std::make_unique<event::Signals>(lane(), std::initializer_list<int>{SIGHUP, SIGUSR1, SIGUSR2},
                                              [this](int signal) { on_signal(signal); });
  std::string why = "its configuration cannot be used, see its log";
  if (int code = load_first(why); code != 0) {
    restart_->give_up(why + " (exit code " + std::to_string(code) + ")");
    return code;
  }
  listeners_->set_handed(nullptr);
  if (auto overload = configuration_->take_overload(); overload.any)
    overload_ = std::make_unique<OverloadManager>(lane(), workers_, store_, listeners_->limit(), std::move(overload));
  files_ = std::make_unique<event::FileWatcher>(lane(), [this] { on_files_changed(); });
  files_->watch(configuration_->watched());
  tending_ = std::make_unique<Tending>(*this);
  stop_signals_ = std::make_unique<event::Signals>(lane(), std::initializer_list<int>{SIGTERM, SIGINT},
                                                   [this](int signal) { on_signal(signal); });
  inherited_.drop_rest();
  if (!restart_->taking_over()) {
    if (Status written = pid_file_.write(options_.pid_file); !written.ok()) {
      WEIR_LOG(kError, "server", "%s", message_of(written).c_str());
      return 2;
    }
  }
  // Everything is bound and open. What a later configuration binds or reads has to be allowed to this user.
  if (identity->any && identity->user != geteuid()) {
    log::give_file(identity->user, identity->group);
    stream::LogWriter::process().give_files(identity->user, identity->group);
    // It takes the right to, which is gone by the time that this process serves.
    if (restart_->taking_over()) restart_->sockets()->adjust();
  }
  if (Status done = become(*identity); !done.ok()) {
    WEIR_LOG(kError, "server", "%s", message_of(done).c_str());
    restart_->give_up(message_of(done));
    return 2;
  }
  for (auto& worker : workers_) worker->start();
  workers_started_.set(1);
  service_.keep_alive(lane());
  return 0;
}

void Server::make_lanes(uint32_t count) {
  concurrency_.set(count);
  main_ = std::make_unique<Worker>(event::Lane::Options{});
  main_->lane().enter();
  std::vector<event::Lane*> lanes = {&main_->lane()};
  std::vector<event::Lane*> worker_lanes;
  for (uint32_t i = 1; i <= count; ++i) {
    event::Lane::Options lane_options;
    lane_options.index = i;
    workers_.push_back(std::make_unique<Worker>(lane_options));
    lanes.push_back(&workers_.back()->lane());
    worker_lanes.push_back(lanes.back());
  }
  loads_ = std::make_shared<proxy::LaneLoads>(worker_lanes);
  main_->attach(loads_);
  proxy::DrainPlan update = drain_plan();
  update.close_at_end = true;
  for (auto& worker : workers_) {
    worker->attach(loads_);
    worker->listeners().set_update_plan(update);
  }
  publisher_ = std::make_unique<event::Publisher>(lanes);
  publisher_->count_in(store_.gauge("server.config_versions"));
  expiry_ = std::make_unique<ExpiryStats>(store_, *publisher_);
  resolvers_ = std::make_unique<dns::CaresResolvers>(lane(), store_);
  clusters_ =
      std::make_unique<ClusterManager>(lane(), *publisher_, store_, *resolvers_, static_cast<uint32_t>(lanes.size()));
  listeners_ = std::make_unique<ListenerManager>(*publisher_, store_, count, inherited_);
  runtime_ = std::make_unique<RuntimeManager>(*publisher_, store_);
}

int Server::load_first(std::string& why) {
  Update update = configuration_->load(LiveConfiguration::Apply::kYes, LiveConfiguration::Report::kNone,
                                       [this] { on_applied_first(); });
  config::Diagnostics faults, doubts;
  for (const config::Diagnostic& item : update.diagnostics.items()) {
    (item.rule.empty() ? faults : doubts).add(item);
    told_.insert(item.path + item.message);
  }
  std::string text = faults.text();
  if (!text.empty()) fprintf(stderr, "%s", options_.json ? faults.json().c_str() : text.c_str());
  tell(doubts);
  if (!update.error.empty()) WEIR_LOG(kError, "server", "%s", update.error.c_str());
  if (update.result == Update::Result::kBadConfiguration) return 1;
  if (update.result == Update::Result::kCannotBind) {
    why = update.error;
    return 3;
  }
  if (!configuration_->log_format().empty())  // translating has compiled it before
    WEIR_CHECK(log::set_format(configuration_->log_format(), options_.log_format_escaped).ok());
  flusher_->start(configuration_->take_flush_plan());
  if (!configuration_->admin().address.empty()) {
    if (Status bound = admin_->listen(configuration_->admin(), restart_->sockets()); !bound.ok()) {
      why = "admin: " + message_of(bound);
      WEIR_LOG(kError, "server", "%s", why.c_str());
      return 3;
    }
  }
  if (restart_->taking_over()) return 0;
  if (Status written = admin_->write_address(options_.admin_address_path); !written.ok()) {
    WEIR_LOG(kError, "server", "%s", message_of(written).c_str());
    return 2;
  }
  return 0;
}

void Server::tell(const config::Diagnostics& diagnostics) const {
  std::string text = diagnostics.text();
  for (std::string_view rest = text; !rest.empty();) {
    std::string line(rest.substr(0, rest.find('\n')));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (diagnostics.has_errors()) {
      WEIR_LOG(kError, "config", "%s", line.c_str());
    } else {
      WEIR_LOG(kWarning, "config", "%s", line.c_str());
    }
  }
}

void Server::on_applied_first() {
  if (state_ != State::kInitializing) return;  // it was told to end meanwhile
  if (!restart_->taking_over()) return go_live();
  restart_->take_over([this](const Status& taken) {
    if (state_ != State::kInitializing) return;
    if (!taken.ok()) {
      WEIR_LOG(kError, "server", "restart: %s; this process ends", message_of(taken).c_str());
      exit_code_ = 1;
      begin_shutdown();
      return;
    }
    for (const Status& written :
         {pid_file_.write(options_.pid_file), admin_->write_address(options_.admin_address_path)}) {
      if (!written.ok()) WEIR_LOG(kError, "server", "%s", message_of(written).c_str());
    }
    admin_->resume();
    listeners_->own_files();
    go_live();
  });
}

void Server::go_live() {
  state_ = State::kLive;
  live_.set(1);
  initialization_time_.record(static_cast<uint64_t>(to_ms(lane().now() - started_)));
  for (const auto& [name, entry] : listeners_->listeners()) {
    for (const auto& sockets : entry.sockets)
      WEIR_LOG(kInfo, "server", "listener %s: %s", name.c_str(), sockets->address.to_string().c_str());
  }
  WEIR_LOG(kInfo, "server", "serving: %zu listeners, %zu clusters, %zu workers", listeners_->listeners().size(),
           clusters_->clusters().size(), workers_.size());
  service_.ready("serving " + std::to_string(listeners_->listeners().size()) + " listeners");
  if (options_.mode == Mode::kInitOnly) return quit();
  restart_->wait_for_successor();
}

void Server::on_signal(int signal) {
  switch (signal) {
    case SIGHUP:
      reload();
      break;
    case SIGUSR1:
      reopen_logs();
      break;
    case SIGUSR2:
      start_restart();
      break;
    default:
      begin_shutdown();
  }
}

void Server::reopen_logs() {
  if (!log::set_path(options_.log_path)) {
    WEIR_LOG(kError, "server", "--log-path: cannot open %s: %s; the old file stays in use", options_.log_path.c_str(),
             strerror(errno));
  }
  stream::LogWriter::process().reopen();
  WEIR_LOG(kInfo, "server", "log files are reopened");
}

Update Server::reload(LiveConfiguration::Apply apply, LiveConfiguration::Report report) {
  if (state_ == State::kDraining) {
    WEIR_LOG(kWarning, "server", "not reloaded, for the process is about to end");
    Update refused;
    refused.result = Update::Result::kBadConfiguration;
    refused.error = "the server is draining and takes no other configuration";
    return refused;
  }
  if (apply != LiveConfiguration::Apply::kYes) return configuration_->load(apply, report);
  if (restart_->handing_over()) {
    WEIR_LOG(kWarning, "server", "not reloaded: another process is about to take over, and has read the configuration");
    Update refused;
    refused.result = Update::Result::kCannotBind;
    refused.error = "another process is about to take over";
    return refused;
  }
  service_.reloading(lane().now());
  static constexpr std::string_view kDoing = "the configuration, which is read again";
  const event::ActivityScope doing(kDoing);
  Update update = configuration_->load(apply, report);
  file_fault_.reset();
  if (!update.ok()) file_fault_ = LastReload{system_clock().wall_now(), update.faults()};
  note(update, "configuration reloaded");
  service_.ready(update.ok() ? "serving" : "serving the configuration before: the new one is wrong, see the log");
  return update;
}

void Server::on_files_changed() {
  if (state_ == State::kDraining) return;
  Update update = configuration_->read_files_again();
  // Events come for other files of the directories, too.
  if (update.ok() && update.plan.empty() && update.kept == 0 && kept_.empty()) return;
  note(update, "files of the configuration changed");
}

bool Server::note_kept(const Update& update) {
  std::set<std::string> kept;
  config::Diagnostics fresh, all;
  for (const config::Diagnostic& item : update.diagnostics.items()) {
    if (update.kept == 0 || !item.message.ends_with(kGoesOn)) continue;
    kept.insert(item.path + item.message);
    all.add(item);
    if (!kept_.contains(item.path + item.message)) fresh.add(item);
  }
  kept_ = std::move(kept);
  const WallTime at = !fresh.items().empty() || !kept_fault_ ? system_clock().wall_now() : kept_fault_->at;
  kept_fault_.reset();
  if (!kept_.empty()) kept_fault_ = LastReload{at, all.text()};
  if (fresh.items().empty()) return false;
  tell(fresh);
  reloads_failed_.inc();
  return true;
}

void Server::remember(const Update& update) {
  const WallTime now = system_clock().wall_now();
  LastReload last{now, {}};
  const auto add = [&last](const LastReload& fault) {
    if (last.error.find(fault.error) != std::string::npos) return;
    last.at = last.error.empty() ? fault.at : std::max(last.at, fault.at);
    last.error += fault.error;
  };
  if (file_fault_) add(*file_fault_);
  if (kept_fault_) add(*kept_fault_);
  if (!update.ok()) add({now, update.faults()});
  last_reload_ = std::move(last);
}

void Server::note(const Update& update, const char* what) {
  // What goes on as it was is told each time that something else is wrong with it.
  const bool kept = note_kept(update);
  remember(update);
  if (update.ok() && update.kept > 0 && update.plan.empty()) {
    files_->watch(configuration_->watched());
    return;
  }
  config::Diagnostics fresh;
  for (const config::Diagnostic& item : update.diagnostics.items()) {
    if (update.kept > 0 && item.message.ends_with(kGoesOn)) continue;
    if (item.severity == config::Severity::kError || told_.insert(item.path + item.message).second) fresh.add(item);
  }
  tell(fresh);
  if (!update.ok()) {
    reloads_failed_.inc();
    if (!update.error.empty()) WEIR_LOG(kError, "server", "%s", update.error.c_str());
    WEIR_LOG(kError, "server", "configuration not reloaded; the one before serves on");
    return;
  }
  // Behind what was published: whoever sees it counted meets the new configuration on every worker.
  if (!kept) configuration_->when_published([this] { reloads_ok_.inc(); });
  files_->watch(configuration_->watched());
  for (const std::string& field : update.plan.start_only) {
    WEIR_LOG(kWarning, "server", "%s differs from what is in force: it is read at start only, and needs a restart",
             field.c_str());
  }
  WEIR_LOG(kInfo, "server", "%s: %s (read in %lld ms, built in %lld ms, published in %lld ms; version %s)", what,
           update.plan.summary().c_str(), static_cast<long long>(to_ms(update.read)),
           static_cast<long long>(to_ms(update.built)), static_cast<long long>(to_ms(update.applied)),
           configuration_->version().c_str());
  if (!update.waiting.empty()) {
    std::string waiting = text_of_waiting(update.waiting);
    waiting.pop_back();  // the newline
    std::replace(waiting.begin(), waiting.end(), '\n', ';');
    WEIR_LOG(kInfo, "server", "%s", waiting.c_str());
  }
}

// What others refer to cannot be taken down under a thread that still runs.
void Server::end_without(Worker& stuck) {
  WEIR_LOG(kError, "server", "worker %u is stuck and does not end: the process ends without it", stuck.lane().index());
  if (!restart_->shares_sockets()) listeners_->remove_files();
  stream::LogWriter::process().stop(1s);
  std::_Exit(kExitCutOff);
}

int Server::run() {
  watchdog_ = std::make_unique<Watchdog>(store_);
  watchdog_->watch(lane(), pthread_self());
  for (auto& worker : workers_) watchdog_->watch(worker->lane(), worker->thread());
  watchdog_->start(configuration_->watchdog());
  main_->lane().run();
  watchdog_->stop();
  // Everything that listens or serves ends before what it refers to.
  for (auto& worker : workers_) worker->stop();
  const MonoTime last = system_clock().mono_now() + kLongestEnd;
  for (auto& worker : workers_) {
    if (!worker->join(last)) end_without(*worker);
  }
  signals_.reset();
  files_.reset();
  stop_signals_.reset();
  // It ends already; a signal that comes late is no crash.
  for (int late : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) std::signal(late, SIG_IGN);
  service_.stop_keeping_alive();
  shutdown_.reset();
  stop_accepting_.reset();
  stop_inbound_.reset();
  tending_.reset();
  overload_.reset();
  admin_->stop(restart_->shares_sockets());
  background_.reset();
  flusher_->flush_last();
  flusher_.reset();
  if (!restart_->shares_sockets()) listeners_->remove_files();
  restart_->say_goodbye(cut_off_);
  restart_.reset();
  clusters_->stop();
  main_->wind_down();
  stream::LogWriter::process().stop(2s);
  main_->lane().enter();
  for (int i = 0; i < 4; ++i) main_->lane().turn(Duration::zero());
  admin_.reset();
  publisher_.reset();
  workers_.clear();
  main_.reset();
  return exit_code_;
}

void Server::begin_shutdown() {
  if (state_ == State::kDraining && restart_->has_successor() && !hastened_) {
    hasten_end(std::chrono::seconds(options_.shutdown_deadline_seconds));
    return;
  }
  if (state_ == State::kDraining) {
    int64_t open = loads_->total();
    WEIR_LOG(kWarning, "server", "told to stop a second time: %lld connections are cut off",
             static_cast<long long>(open));
    return end(open);
  }
  configuration_->discard();  // listeners that come later would not be drained
  state_ = State::kDraining;
  service_.stopping();
  tell_health();
  live_.set(0);
  Shutdown::Plan plan;
  plan.delay = std::chrono::seconds(options_.shutdown_delay_seconds);
  plan.deadline = std::chrono::seconds(options_.shutdown_deadline_seconds);
  // With a longer drain time than that somebody would be cut off before being told; all are told at once then.
  if (drain_plan().time < plan.deadline - plan.delay) plan.drain = drain_plan();
  plan.handed_over = restart_->shares_sockets();
  restart_->end(plan.deadline);
  plan.others = [this] { return restart_->draining_predecessors(); };
  shutdown_ = std::make_unique<Shutdown>(lane(), workers_, *loads_, plan, [this](int64_t cut_off) { end(cut_off); });
}

void Server::end(int64_t cut_off) {
  cut_off_ = cut_off;
  if (cut_off > 0) exit_code_ = kExitCutOff;
  quit();
}

void Server::start_restart() {
  service_.reloading(lane().now());
  if (Status started = restart_->start_successor(); !started.ok()) {
    WEIR_LOG(kError, "server", "restart: %s", message_of(started).c_str());
    if (!restart_->handing_over()) service_.ready("serving; not restarted, see the log");
  }
}

void Server::on_restart_failed(pid_t successor, const std::string& why) {
  WEIR_LOG(kError, "server", "restart: process %d has failed, this one serves on: %s", static_cast<int>(successor),
           why.c_str());
  restart_failures_.inc();
  service_.ready("serving; the process that was to take over has failed, see the log");
}

void Server::end_as_predecessor(Duration deadline, const proxy::DrainPlan& drain, std::function<void()> closed) {
  configuration_->discard();
  state_ = State::kDraining;
  live_.set(0);
  admin_->leave_to_successor();
  flusher_->leave_gauges();
  service_.leave();
  Shutdown::Plan plan;
  plan.closed = std::move(closed);
  plan.deadline = deadline;
  plan.handed_over = true;
  if (drain.time < deadline) plan.drain = drain;
  shutdown_ = std::make_unique<Shutdown>(lane(), workers_, *loads_, plan, [this](int64_t cut_off) { end(cut_off); });
}

void Server::hasten_end(Duration deadline) {
  hastened_ = true;
  if (shutdown_ == nullptr) return;
  WEIR_LOG(kInfo, "server", "told to end: %lld connections are told to end, cut off in %lld s",
           static_cast<long long>(loads_->total()),
           static_cast<long long>(std::chrono::ceil<std::chrono::seconds>(deadline).count()));
  shutdown_->hasten(deadline);
}

proxy::DrainPlan Server::drain_plan() const {
  return {.time = std::chrono::seconds(options_.drain_seconds),
          .gradual = options_.drain_strategy == DrainStrategy::kGradual};
}

void Server::drain_listeners(bool graceful, bool keep_accepting, proxy::Which which) {
  std::unique_ptr<StopAccepting>& stop = which == proxy::Which::kAll ? stop_accepting_ : stop_inbound_;
  if (graceful) {
    // It has begun, for these at least.
    if (stop_accepting_ != nullptr || stop != nullptr) return;
    WEIR_LOG(kInfo, "server", "%sconnections are told to end over %llu s",
             which == proxy::Which::kInbound ? "inbound " : "",
             static_cast<unsigned long long>(options_.drain_seconds));
    for (auto& worker : workers_) {
      worker->lane().post([one = worker.get(), which, plan = drain_plan()] { one->listeners().drain(plan, which); });
    }
  }
  if (keep_accepting) return;
  if (which == proxy::Which::kAll && !graceful) stop_inbound_.reset();  // it is among them
  stop = std::make_unique<StopAccepting>(*this, which);
  lane().arm_in(*stop, graceful ? drain_plan().time : Duration::zero());
}

void Server::quit() { lane().stop(); }

void Server::set_failed_health(bool failed) {
  failed_health_ = failed;
  tell_health();
}

// With a successor the service is well: its requests on connections from before are no reason to leave.
void Server::tell_health() {
  const bool ends = state_ == State::kDraining && !restart_->has_successor();
  filter::ServerHealth::set_failing(failed_health_ || ends);
  filter::ServerHealth::set_told_to_fail(failed_health_);
}

stats::Reading Server::read_stats() {
  return stats::Reading(store_,
                        [this, round = ClusterManager::StatsRound()]() mutable { return refresh_stats(round); });
}

void Server::refresh_stats() {
  ClusterManager::StatsRound round;
  while (refresh_stats(round)) continue;
}

// Beside the lanes: what the allocator has is long to count. It is the only thread that writes these, and is done
// before whatever is submitted next.
void Server::refresh_memory() {
  if (background_ == nullptr) return;
  background_->submit(
      [allocated = memory_allocated_, heap = memory_heap_, physical = memory_physical_] {
        const admin::MemoryUse memory = admin::memory_use();
        allocated.set(memory.allocated);
        heap.set(memory.heap);
        physical.set(memory.physical);
      },
      [] {});
}

bool Server::refresh_stats(ClusterManager::StatsRound& round) {
  if (clusters_ != nullptr && clusters_->refresh_stats(round)) return true;
  uptime_.set(std::chrono::duration_cast<std::chrono::seconds>(lane().now() - started_).count());
  restart_->refresh_stats();
  connections_.set(static_cast<uint64_t>(loads_->total() + restart_->predecessor_connections()));
  refresh_memory();
  if (expiry_ != nullptr) expiry_->refresh(lane().now(), lane().wall_now());
  // The published numbers of the states.
  bool draining = state_ == State::kDraining || failed_health_;
  state_gauge_.set(draining ? 1 : state_ == State::kLive ? 0 : state_ == State::kPreInitializing ? 2 : 3);
  return false;
}

}  // namespace weir::server
