#include "core/server/admin_facts.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iterator>

#include "core/base/log.h"
#include "core/base/log_format.h"
#include "core/filter/transport_socket.h"
#include "core/server/admin/endpoints.h"
#include "core/server/link.h"
#include "core/server/reload_answer.h"
#include "core/server/restart.h"
#include "core/server/server.h"
#include "envoy/admin/v3/server_info.pb.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"

namespace weir::server {
namespace {

// Clusters and hosts that one turn looks at.
constexpr size_t kClusterSlice = 300;

class PackedSnapshot final : public admin::ConfigSnapshot {
 public:
  PackedSnapshot(std::shared_ptr<const std::string> packed, WallTime loaded_at)
      : packed_(std::move(packed)), loaded_at_(loaded_at) {}
  const envoy::config::bootstrap::v3::Bootstrap& bootstrap() override {
    if (bootstrap_ == nullptr) {
      bootstrap_ = std::make_unique<envoy::config::bootstrap::v3::Bootstrap>();
      WEIR_CHECK(bootstrap_->ParsePartialFromString(*packed_));
    }
    return *bootstrap_;
  }
  WallTime loaded_at() const override { return loaded_at_; }
  void for_each_resource(admin::ResourceKind kind,
                         const std::function<void(const admin::ResourceView&)>& visit) override {
    const auto& resources = bootstrap().static_resources();
    const auto show = [&](std::string_view name, const google::protobuf::Message& message) {
      visit({.name = name, .message = message, .last_updated = loaded_at_, .version = {}});
    };
    const auto show_routes = [&](const envoy::config::listener::v3::FilterChain& chain) {
      using Hcm = envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
      for (const auto& one : chain.filters()) {
        Hcm hcm;
        if (one.typed_config().UnpackTo(&hcm) && hcm.has_route_config())
          show(hcm.route_config().name(), hcm.route_config());
      }
    };
    switch (kind) {
      case admin::ResourceKind::kCluster:
        for (const auto& cluster : resources.clusters()) show(cluster.name(), cluster);
        break;
      case admin::ResourceKind::kListener:
        for (const auto& listener : resources.listeners()) show(listener.name(), listener);
        break;
      case admin::ResourceKind::kRouteConfig:
        for (const auto& listener : resources.listeners()) {
          for (const auto& chain : listener.filter_chains()) show_routes(chain);
          if (listener.has_default_filter_chain()) show_routes(listener.default_filter_chain());
        }
        break;
      case admin::ResourceKind::kSecret:
        for (const auto& secret : resources.secrets()) show(secret.name(), secret);
        break;
    }
  }

 private:
  const std::shared_ptr<const std::string> packed_;
  const WallTime loaded_at_;
  std::unique_ptr<envoy::config::bootstrap::v3::Bootstrap> bootstrap_;
};

}  // namespace

AdminFacts::~AdminFacts() { stop(false); }

Status AdminFacts::listen(const AdminPlan& plan, HandedSockets* handed) {
  admin_ = std::make_unique<admin::AdminServer>(
      server_.lane(), server_.store(),
      admin::AdminOptions{
          .allow_path = plan.allows_path, .access_logs = plan.access_logs, .background = &server_.background()});
  admin::add_endpoints(*admin_, *this);
  admin::add_reload_endpoint(*admin_, [this](bool dry_run) {
    Update update = server_.reload(dry_run ? LiveConfiguration::Apply::kLook : LiveConfiguration::Apply::kYes,
                                   LiveConfiguration::Report::kChanges);
    return reload_answer(update, server_.configuration().version());
  });
  configured_ = plan.address;
  std::vector<int> fds;
  if (handed != nullptr) fds = handed->take("admin", "", plan.address);
  if (!fds.empty()) {
    bound_ = net::bound_address(fds.front());
    for (int fd : fds) admin_->adopt(fd);
    for (int fd : fds) handed->adjust_later("admin", fd, {plan.address, plan.listen}, alive_);
  } else {
    auto bound = admin_->listen(plan.address, plan.listen);
    if (!bound.ok()) return bound.status();
    bound_ = *bound;
    file_ = net::SocketFile::of(bound_);
  }
  WEIR_LOG(kInfo, "server", "admin: %s", bound_.to_string().c_str());
  return absl::OkStatus();
}

void AdminFacts::resume() {
  if (admin_ != nullptr) admin_->resume();
  file_ = net::SocketFile::of(bound_);
}

void AdminFacts::list_sockets(const std::function<void(const HandedSocket&)>& visit) const {
  if (admin_ == nullptr) return;
  HandedSocket one{.kind = "admin", .owner = "", .address = configured_.to_string()};
  admin_->list_sockets([&](int fd) {
    one.fd = fd;
    visit(one);
    ++one.number;
  });
}

void AdminFacts::leave_to_successor() {
  if (admin_ != nullptr) admin_->stop_listening();
  file_ = {};
}

Status AdminFacts::write_address(const std::string& path) const {
  if (path.empty()) return absl::OkStatus();
  if (bound_.empty()) {
    WEIR_LOG(kWarning, "server", "no effect: --admin-address-path: the configuration has no admin");
    return absl::OkStatus();
  }
  FILE* file = fopen(path.c_str(), "w");
  if (file == nullptr) return unavailable("--admin-address-path: cannot write " + path + ": " + strerror(errno));
  bool written = fputs(bound_.to_string().c_str(), file) >= 0;
  written = fclose(file) == 0 && written;
  if (!written) return unavailable("--admin-address-path: cannot write " + path + ": " + strerror(errno));
  return absl::OkStatus();
}

void AdminFacts::stop(bool shared) {
  admin_.reset();
  profiler_.reset();
  // A socket file that nobody listens on is only in the way.
  if (!shared) file_.remove();
  bound_ = {};
}

admin::ServerState AdminFacts::state() const {
  if (server_.failed_health()) return admin::ServerState::kDraining;
  switch (server_.state()) {
    case State::kPreInitializing:
      return admin::ServerState::kPreInitializing;
    case State::kInitializing:
      return admin::ServerState::kInitializing;
    case State::kLive:
      return admin::ServerState::kLive;
    case State::kDraining:
      return admin::ServerState::kDraining;
  }
  return admin::ServerState::kDraining;
}

std::string AdminFacts::version() const { return server_.version(); }

std::optional<admin::ReloadView> AdminFacts::last_reload() const {
  if (!server_.last_reload().has_value()) return std::nullopt;
  return admin::ReloadView{server_.last_reload()->at, server_.last_reload()->error};
}

admin::ConfigView AdminFacts::config() const {
  return {server_.configuration().version(), server_.loaded_at(), server_.reloads(), server_.failed_reloads()};
}

Duration AdminFacts::uptime_all_epochs() const { return server_.restart().earlier_uptime() + uptime(); }
std::string AdminFacts::hot_restart_version() const { return restart_version(server_.options()); }
Duration AdminFacts::uptime() const { return server_.lane().clock().mono_now() - server_.started(); }
const envoy::config::core::v3::Node& AdminFacts::node() const { return server_.configuration().node(); }
stats::Reading AdminFacts::read_stats() {
  server_.flusher().on_asked();
  return server_.read_stats();
}
void AdminFacts::reset_counters() { server_.store().reset_counters(); }
std::span<const stats::Tag> AdminFacts::stats_tags() const { return server_.options().stats_tags; }

void AdminFacts::fill_command_line(envoy::admin::v3::CommandLineOptions& out) const {
  using Proto = envoy::admin::v3::CommandLineOptions;
  const Options& options = server_.options();
  out.set_base_id(options.base_id);
  out.set_concurrency(server_.worker_count());
  out.set_config_path(options.config_path);
  out.set_config_yaml(options.config_yaml);
  out.set_allow_unknown_static_fields(options.allow_unknown_static_fields);
  out.set_reject_unknown_dynamic_fields(options.reject_unknown_dynamic_fields);
  out.set_ignore_unknown_dynamic_fields(options.ignore_unknown_dynamic_fields);
  out.set_admin_address_path(options.admin_address_path);
  out.set_log_level(std::string(log::level_name(options.log_level)));
  out.set_component_log_level(options.component_log_level);
  out.set_log_format(options.log_format.empty() ? std::string(log::LineFormat::kDefault) : options.log_format);
  out.set_log_format_escaped(options.log_format_escaped);
  out.set_log_path(options.log_path);
  out.set_service_cluster(options.service_cluster);
  out.set_service_node(options.service_node);
  out.set_service_zone(options.service_zone);
  out.mutable_file_flush_interval()->set_seconds(static_cast<int64_t>(options.file_flush_interval_ms / 1000));
  out.mutable_file_flush_interval()->set_nanos(static_cast<int32_t>(options.file_flush_interval_ms % 1000 * 1'000'000));
  out.mutable_drain_time()->set_seconds(static_cast<int64_t>(options.drain_seconds));
  out.set_drain_strategy(options.drain_strategy == DrainStrategy::kGradual ? Proto::Gradual : Proto::Immediate);
  out.mutable_parent_shutdown_time()->set_seconds(static_cast<int64_t>(options.parent_shutdown_seconds));
  out.set_mode(options.mode == Mode::kInitOnly ? Proto::InitOnly : Proto::Serve);
  out.set_restart_epoch(server_.restart().epoch());
  out.set_disable_hot_restart(!options.hot_restart);
  for (const stats::Tag& tag : options.stats_tags) out.add_stats_tag(tag.name + ":" + tag.value);
}

bool AdminFacts::next_clusters(std::string& after, const std::function<void(const admin::ClusterView&)>& visit) const {
  const auto& clusters = server_.clusters().clusters();
  size_t visited = 0;  // clusters and hosts
  auto next = clusters.upper_bound(after);
  for (; next != clusters.end() && visited < kClusterSlice; ++next) {
    const auto& [name, entry] = *next;
    admin::ClusterView view;
    view.name = name;
    view.observability_name = entry.spec.stat_name;
    auto view_of = [](const upstream::CircuitBreakers& breakers) -> admin::BreakerView {
      return {breakers.max_connections, breakers.max_pending_requests, breakers.max_requests, breakers.max_retries};
    };
    view.default_priority = view_of(entry.spec.breakers);
    view.high_priority = view_of(entry.spec.high_breakers);
    view.hosts = server_.clusters().hosts(entry);
    visit(view);
    visited += 1 + view.hosts.size();
  }
  if (next == clusters.end()) return false;
  after = std::prev(next)->first;
  return true;
}

void AdminFacts::for_each_warming(const std::function<void(std::string_view)>& visit) const {
  for (const auto& [name, entry] : server_.clusters().clusters()) {
    if (entry.unsettled()) visit("Cluster " + name);
  }
}

void AdminFacts::for_each_listener(const std::function<void(const admin::ListenerView&)>& visit) const {
  for (const auto& [name, entry] : server_.listeners().listeners()) {
    std::vector<net::Address> addresses;
    for (const auto& sockets : entry.sockets) addresses.push_back(sockets->address);
    visit({name, addresses});
  }
}

std::shared_ptr<admin::ConfigSnapshot> AdminFacts::config_snapshot() const {
  return std::make_shared<PackedSnapshot>(server_.configuration().packed(), server_.loaded_at());
}

void AdminFacts::for_each_transport(const std::function<void(const filter::TransportSocket&)>& visit) const {
  const event::Publisher& publisher = server_.publisher();
  for (uint32_t i = 0; i < publisher.slot_count(event::SlotKind::kTransport); ++i) {
    const auto* version = publisher.newest({event::SlotKind::kTransport, i});
    if (version != nullptr) visit(static_cast<const filter::TransportSocket&>(*version));
  }
}

const runtime::Layers& AdminFacts::runtime() const { return server_.runtime().layers(); }

bool AdminFacts::modify_runtime(const std::vector<std::pair<std::string, std::string>>& texts) {
  return server_.runtime().override_values(texts);
}

void AdminFacts::shutdown() {
  // After the answer: the request is still being served.
  server_.lane().post([this] { server_.quit(); });
}

void AdminFacts::drain_listeners(bool graceful, bool keep_accepting, bool inbound_only) {
  server_.drain_listeners(graceful, keep_accepting, inbound_only ? proxy::Which::kInbound : proxy::Which::kAll);
}

void AdminFacts::fail_health_check(bool fail) { server_.set_failed_health(fail); }

void AdminFacts::reopen_logs() { server_.reopen_logs(); }

Status AdminFacts::start_cpu_profile() {
  const std::string& path = server_.configuration().admin().profile_path;
  if (path.empty()) return invalid("admin.profile_path must name the file that a profile goes to");
  if (profiler_ == nullptr) profiler_ = std::make_unique<CpuProfiler>(server_.lane());
  return profiler_->start(path);
}

std::function<Status()> AdminFacts::stop_cpu_profile() {
  std::shared_ptr<CpuProfile> profile = profiler_ != nullptr ? profiler_->stop() : nullptr;
  if (profile == nullptr) return nullptr;
  return [profile] { return CpuProfiler::finish(*profile); };
}

}  // namespace weir::server
