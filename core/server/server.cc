#include "core/server/server.h"

#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <set>

#include "core/base/assert.h"
#include "core/base/log.h"
#include "core/config/proto_loader.h"
#include "core/server/admin_facts.h"
#include "core/stream/log_writer.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"

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
  config_parse_ms_ = store_.gauge("server.config_parse_ms");
  config_apply_ms_ = store_.gauge("server.config_apply_ms");
  reloads_ok_ = store_.counter("server.config_reload_success");
  reloads_failed_ = store_.counter("server.config_reload_failure");
}

// Files of a configuration that was refused may be open, and the writer counts in store_.
Server::~Server() { stream::LogWriter::process().stop(2s); }

uint64_t Server::milliseconds_since(MonoTime time) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(system_clock().mono_now() - time).count());
}

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
  state_ = State::kInitializing;
  admin_ = std::make_unique<AdminFacts>(*this);
  LoadResult loaded = load(true);
  malloc_trim(0);  // what the messages of a large configuration took
  switch (loaded) {
    case LoadResult::kBadConfiguration:
      return 1;
    case LoadResult::kCannotBind:
      return 3;
    case LoadResult::kOk:
      break;
  }
  signals_ = std::make_unique<event::Signals>(lane(), std::initializer_list<int>{SIGTERM, SIGINT, SIGHUP, SIGUSR1},
                                              [this](int signal) { on_signal(signal); });
  for (auto& worker : workers_) worker->start();
  return 0;
}

Server::LoadResult Server::load(bool first) {
  config::Diagnostics diagnostics;
  config::PositionIndex positions;
  auto bootstrap = std::make_unique<envoy::config::bootstrap::v3::Bootstrap>();
  config::BootstrapSource source;
  source.path = options_.config_path;
  source.overlay = options_.config_yaml;
  if (options_.allow_unknown_static_fields) source.options.unknown_fields = config::OnUnknown::kWarn;
  const MonoTime begin = system_clock().mono_now();
  config::load_bootstrap(source, *bootstrap, positions, diagnostics);
  config_parse_ms_.set(milliseconds_since(begin));
  Configuration configuration;
  if (!diagnostics.has_errors()) {
    PublisherSlots slots(*publisher_);
    InForce in_force;
    in_force.has_cluster = [this](auto name, auto fingerprint) { return clusters_->has(name, fingerprint); };
    in_force.has_listener = [this](auto name, auto fingerprint) { return listeners_->has(name, fingerprint); };
    in_force.cluster_names = cluster_names_;
    configuration =
        translate_bootstrap(*bootstrap, positions, registry_, store_, slots, diagnostics, first ? nullptr : &in_force);
  } else {
    check_configuration(*bootstrap, positions, registry_, store_, diagnostics);  // all faults of the file at once
  }
  std::string text = diagnostics.text();
  if (!text.empty()) fprintf(stderr, "%s", options_.json ? diagnostics.json().c_str() : text.c_str());
  if (diagnostics.has_errors()) {
    last_reload_error_ = text;
    return LoadResult::kBadConfiguration;
  }
  // What is kept of the messages is their bytes: a large configuration is large above all as messages.
  std::string bytes = bootstrap->SerializePartialAsString();
  bootstrap.reset();
  positions = {};
  event::Publisher::Batch batch;
  Status bound = listeners_->apply(std::move(configuration.listeners), batch);
  if (!bound.ok()) {
    last_reload_error_ = message_of(bound);
    WEIR_LOG(kError, "server", "%s", last_reload_error_.c_str());
    return LoadResult::kCannotBind;
  }
  clusters_->apply(std::move(configuration.clusters), batch);
  std::map<std::string, uint64_t> routes;
  for (StagedRoute& staged : configuration.routes) {
    routes[staged.slot_name] = staged.fingerprint;
    auto known = routes_.find(staged.slot_name);
    if (known != routes_.end() && known->second == staged.fingerprint) continue;
    batch.set(publisher_->intern(event::SlotKind::kRouteTable, staged.slot_name), std::move(staged.table));
  }
  for (const auto& [name, fingerprint] : routes_) {
    if (configuration.unchanged_routes.contains(name.substr(0, name.rfind('/')))) {
      routes[name] = fingerprint;
      continue;
    }
    if (!routes.contains(name)) batch.remove(publisher_->intern(event::SlotKind::kRouteTable, name));
  }
  routes_ = std::move(routes);
  bootstrap_bytes_ = std::move(bytes);
  bootstrap_.reset();
  cluster_names_ = configuration.cluster_names;
  loaded_at_ = system_clock().wall_now();
  if (first && !configuration.admin_address.empty()) {
    Status admin = admin_->listen(configuration.admin_address);
    if (!admin.ok()) {
      last_reload_error_ = message_of(admin);
      WEIR_LOG(kError, "server", "admin: %s", last_reload_error_.c_str());
      return LoadResult::kCannotBind;
    }
  }
  if (batch.empty() && !first) {
    config_apply_ms_.set(milliseconds_since(configuration.parsed));
  } else {
    publisher_->publish(std::move(batch), [this, first, parsed = configuration.parsed] {
      config_apply_ms_.set(milliseconds_since(parsed));
      if (!first) return;
      if (state_ == State::kInitializing) state_ = State::kLive;
      live_.set(1);
      for (const auto& [name, entry] : listeners_->listeners()) {
        WEIR_LOG(kInfo, "server", "listener %s: %s", name.c_str(), entry.sockets->address.to_string().c_str());
      }
      WEIR_LOG(kInfo, "server", "serving: %zu listeners, %zu clusters, %zu workers", listeners_->listeners().size(),
               clusters_->clusters().size(), workers_.size());
      if (options_.mode == Mode::kInitOnly) finish();
    });
  }
  last_reload_error_.clear();
  return LoadResult::kOk;
}

const envoy::config::bootstrap::v3::Bootstrap& Server::bootstrap() {
  if (bootstrap_ == nullptr) {
    bootstrap_ = std::make_unique<envoy::config::bootstrap::v3::Bootstrap>();
    WEIR_CHECK(bootstrap_->ParsePartialFromString(bootstrap_bytes_));
    lane().post([this] { bootstrap_.reset(); });
  }
  return *bootstrap_;
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

bool Server::reload() {
  if (state_ == State::kDraining) return false;
  LoadResult loaded = load(false);
  malloc_trim(0);
  if (loaded != LoadResult::kOk) {
    reloads_failed_.inc();
    WEIR_LOG(kError, "server", "configuration not reloaded; the one before serves on");
    return false;
  }
  reloads_ok_.inc();
  WEIR_LOG(kInfo, "server", "configuration reloaded");
  return true;
}

int Server::run() {
  main_->lane().run();
  // Everything that listens or serves ends before what it refers to.
  for (auto& worker : workers_) worker->stop();
  for (auto& worker : workers_) worker->join();
  signals_.reset();
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

bool Server::idle() {
  for (const auto& [name, entry] : listeners_->listeners()) {
    if (entry.stats->cx_active.value() > 0) return false;
  }
  return true;
}

void Server::finish() { lane().stop(); }

}  // namespace weir::server
