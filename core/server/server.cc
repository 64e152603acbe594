#include "core/server/server.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "core/base/log.h"
#include "core/server/admin_facts.h"
#include "core/stream/log_writer.h"

namespace weir::server {

// Looks ten times a second whether the last connection has gone, until the deadline.
class Server::DrainCheck final : public event::Timer {
 public:
  DrainCheck(Server& server, MonoTime deadline) : server_(server), deadline_(deadline) {
    server_.lane().arm_in(*this, 50ms);
  }
  void on_timer() override {
    if (server_.idle()) {
      server_.finish();
      return;
    }
    if (server_.lane().now() >= deadline_) {
      WEIR_LOG(kWarning, "server", "drain deadline reached with connections open; closing them");
      server_.exit_code_ = 4;
      server_.finish();
      return;
    }
    server_.lane().arm_in(*this, 100ms);
  }

 private:
  Server& server_;
  MonoTime deadline_;
};

namespace {

// As many descriptors as the system lets us have: two per proxied connection go quickly.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

uint32_t usable_processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return static_cast<uint32_t>(std::max(1, CPU_COUNT(&set)));
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace

Server::Server(const Options& options, const filter::Registry& registry)
    : options_(options), registry_(registry), started_(system_clock().mono_now()) {
  live_ = store_.gauge("server.live");
  state_gauge_ = store_.gauge("server.state");
  concurrency_ = store_.gauge("server.concurrency");
  uptime_ = store_.gauge("server.uptime");
  connections_ = store_.gauge("server.total_connections");
  reloads_ok_ = store_.counter("server.config_reload_success");
  reloads_failed_ = store_.counter("server.config_reload_failure");
}

Server::~Server() = default;

int Server::start() {
  raise_descriptor_limit();
  stream::LogWriter::process().set_flush_interval(std::chrono::milliseconds(options_.file_flush_interval_ms));
  uint32_t count = options_.concurrency != 0 ? options_.concurrency : usable_processors();
  count = std::min(count, lb::kMaxLanes - 1);
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
  auto loads = std::make_shared<proxy::LaneLoads>(worker_lanes);
  main_->attach(loads);
  for (auto& worker : workers_) worker->attach(loads);
  publisher_ = std::make_unique<event::Publisher>(lanes);
  publisher_->count_in(store_.gauge("server.config_versions"));
  clusters_ = std::make_unique<ClusterManager>(*publisher_, store_, static_cast<uint32_t>(lanes.size()));
  listeners_ = std::make_unique<ListenerManager>(*publisher_, store_, count);
  runtime_ = std::make_unique<RuntimeManager>(*publisher_, store_);
  state_ = State::kInitializing;
  admin_ = std::make_unique<AdminFacts>(*this);
  configuration_ =
      std::make_unique<LiveConfiguration>(options_, registry_, store_, *publisher_, *clusters_, *listeners_,
                                          *runtime_);
  if (int code = load_first(); code != 0) return code;
  files_ = std::make_unique<event::FileWatcher>(lane(), [this] { on_files_changed(); });
  files_->watch(configuration_->watched());
  signals_ = std::make_unique<event::Signals>(lane(), std::initializer_list<int>{SIGTERM, SIGINT, SIGHUP, SIGUSR1},
                                              [this](int signal) { on_signal(signal); });
  for (auto& worker : workers_) worker->start();
  return 0;
}

int Server::load_first() {
  Update update = configuration_->load(LiveConfiguration::Apply::kYes, LiveConfiguration::Report::kNone,
                                       [this] { on_applied_first(); });
  std::string text = update.diagnostics.text();
  if (!text.empty()) fprintf(stderr, "%s", options_.json ? update.diagnostics.json().c_str() : text.c_str());
  for (const config::Diagnostic& item : update.diagnostics.items()) told_.insert(item.path + item.message);
  if (update.result == Update::Result::kBadConfiguration) return 1;
  if (update.result == Update::Result::kCannotBind) {
    WEIR_LOG(kError, "server", "%s", update.error.c_str());
    return 3;
  }
  if (configuration_->admin_address().empty()) return 0;
  Status admin = admin_->listen(configuration_->admin_address());
  if (admin.ok()) return 0;
  WEIR_LOG(kError, "server", "admin: %s", message_of(admin).c_str());
  return 3;
}

void Server::on_applied_first() {
  if (state_ == State::kInitializing) state_ = State::kLive;
  live_.set(1);
  for (const auto& [name, entry] : listeners_->listeners()) {
    WEIR_LOG(kInfo, "server", "listener %s: %s", name.c_str(), entry.sockets->address.to_string().c_str());
  }
  WEIR_LOG(kInfo, "server", "serving: %zu listeners, %zu clusters, %zu workers", listeners_->listeners().size(),
           clusters_->clusters().size(), workers_.size());
  if (options_.mode == Mode::kInitOnly) finish();
}

void Server::on_signal(int signal) {
  switch (signal) {
    case SIGHUP:
      reload();
      break;
    case SIGUSR1:
      log::set_path(options_.log_path);
      admin_->reopen_logs();
      break;
    default:
      begin_shutdown();
  }
}

Update Server::reload(LiveConfiguration::Apply apply, LiveConfiguration::Report report) {
  if (state_ == State::kDraining) {
    Update refused;
    refused.result = Update::Result::kBadConfiguration;
    refused.error = "the server is draining and takes no other configuration";
    return refused;
  }
  Update update = configuration_->load(apply, report);
  if (apply == LiveConfiguration::Apply::kYes) note(update, "configuration reloaded");
  return update;
}

void Server::on_files_changed() {
  if (state_ == State::kDraining) return;
  Update update = configuration_->read_files_again();
  // Events come for other files of the directories, too.
  if (update.ok() && update.plan.empty()) return;
  note(update, "files of the configuration changed");
}

void Server::note(const Update& update, const char* what) {
  last_reload_ = {system_clock().wall_now(), update.ok() ? "" : update.faults()};
  config::Diagnostics fresh;
  for (const config::Diagnostic& item : update.diagnostics.items()) {
    if (item.severity == config::Severity::kError || told_.insert(item.path + item.message).second) fresh.add(item);
  }
  if (std::string text = fresh.text(); !text.empty())
    fprintf(stderr, "%s", options_.json ? fresh.json().c_str() : text.c_str());
  if (!update.ok()) {
    reloads_failed_.inc();
    if (!update.error.empty()) WEIR_LOG(kError, "server", "%s", update.error.c_str());
    WEIR_LOG(kError, "server", "configuration not reloaded; the one before serves on");
    return;
  }
  reloads_ok_.inc();
  files_->watch(configuration_->watched());
  for (const std::string& field : update.plan.start_only) {
    WEIR_LOG(kWarning, "server", "%s differs from what is in force: it is read at start only, and needs a restart",
             field.c_str());
  }
  WEIR_LOG(kInfo, "server", "%s: %s (read in %lld ms, built in %lld ms, published in %lld ms; version %s)", what,
           update.plan.summary().c_str(), static_cast<long long>(to_ms(update.read)),
           static_cast<long long>(to_ms(update.built)), static_cast<long long>(to_ms(update.applied)),
           configuration_->version().c_str());
}

int Server::run() {
  main_->lane().run();
  // Everything that listens or serves ends before what it refers to.
  for (auto& worker : workers_) worker->stop();
  for (auto& worker : workers_) worker->join();
  signals_.reset();
  files_.reset();
  drain_check_.reset();
  admin_->stop();
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
  if (state_ == State::kDraining) {
    finish();
    return;
  }
  state_ = State::kDraining;
  live_.set(0);
  WEIR_LOG(kInfo, "server", "draining; up to %llu s",
           static_cast<unsigned long long>(options_.shutdown_deadline_seconds));
  for (auto& worker : workers_) {
    Worker* one = worker.get();
    one->lane().post([one] {
      one->listeners().stop_accepting();
      one->listeners().drain();
    });
  }
  drain_check_ =
      std::make_unique<DrainCheck>(*this, lane().now() + std::chrono::seconds(options_.shutdown_deadline_seconds));
}

// By the lanes' own counts: a listener's statistics may have changed their name, or the listener may be gone, while its
// connections finish.
bool Server::idle() { return main_->listeners().loads().total() == 0; }

void Server::finish() { lane().stop(); }

}  // namespace weir::server
