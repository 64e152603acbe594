#include "core/server/admin_facts.h"

#include <cstdio>

#include "core/base/log.h"
#include "core/server/admin/endpoints.h"
#include "core/server/server.h"
#include "core/stream/log_writer.h"
#include "envoy/admin/v3/server_info.pb.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"

namespace weir::server {

AdminFacts::~AdminFacts() { stop(); }

Status AdminFacts::listen(const net::Address& address) {
  admin_ = std::make_unique<admin::AdminServer>(server_.lane(), server_.store(), admin::AdminOptions{});
  admin::add_endpoints(*admin_, *this);
  auto bound = admin_->listen(address);
  if (!bound.ok()) return bound.status();
  WEIR_LOG(kInfo, "server", "admin: %s", bound->to_string().c_str());
  const std::string& path = server_.options().admin_address_path;
  if (!path.empty()) {
    FILE* file = fopen(path.c_str(), "w");
    if (file == nullptr) return unavailable("--admin-address-path: cannot write " + path);
    fprintf(file, "%s", bound->to_string().c_str());
    fclose(file);
  }
  return absl::OkStatus();
}

void AdminFacts::stop() { admin_.reset(); }

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

std::string AdminFacts::version() const {
#ifdef NDEBUG
  return "0000000000000000000000000000000000000000/0.1.0/Clean/RELEASE/BoringSSL";
#else
  return "0000000000000000000000000000000000000000/0.1.0/Clean/DEBUG/BoringSSL";
#endif
}

Duration AdminFacts::uptime() const { return server_.lane().clock().mono_now() - server_.started(); }
const envoy::config::bootstrap::v3::Bootstrap& AdminFacts::bootstrap() const { return server_.bootstrap(); }
WallTime AdminFacts::bootstrap_loaded_at() const { return server_.loaded_at(); }
stats::Store& AdminFacts::stats() { return server_.store(); }

void AdminFacts::fill_command_line(envoy::admin::v3::CommandLineOptions& out) const {
  const Options& options = server_.options();
  out.set_base_id(options.base_id);
  out.set_concurrency(server_.worker_count());
  out.set_config_path(options.config_path);
  out.set_config_yaml(options.config_yaml);
  out.set_allow_unknown_static_fields(options.allow_unknown_static_fields);
  out.set_admin_address_path(options.admin_address_path);
  out.set_log_level(std::string(log::level_name(options.log_level)));
  out.set_log_path(options.log_path);
  out.set_service_cluster(options.service_cluster);
  out.set_service_node(options.service_node);
  out.set_service_zone(options.service_zone);
  out.mutable_file_flush_interval()->set_seconds(static_cast<int64_t>(options.file_flush_interval_ms / 1000));
  out.mutable_file_flush_interval()->set_nanos(static_cast<int32_t>(options.file_flush_interval_ms % 1000 * 1'000'000));
  out.mutable_drain_time()->set_seconds(static_cast<int64_t>(options.drain_seconds));
  out.set_restart_epoch(options.restart_epoch);
  out.set_disable_hot_restart(true);
}

void AdminFacts::for_each_cluster(const std::function<void(const admin::ClusterView&)>& visit) const {
  for (const auto& [name, entry] : server_.clusters().clusters()) {
    admin::ClusterView view;
    view.name = name;
    view.observability_name = entry.spec.stat_name;
    view.default_priority = {entry.spec.breakers.max_connections, entry.spec.breakers.max_pending_requests,
                             entry.spec.breakers.max_requests, entry.spec.breakers.max_retries};
    view.hosts = server_.clusters().members(entry);
    visit(view);
  }
}

void AdminFacts::for_each_listener(const std::function<void(const admin::ListenerView&)>& visit) const {
  for (const auto& [name, entry] : server_.listeners().listeners()) {
    visit({name, std::span(&entry.sockets->address, 1)});
  }
}

void AdminFacts::for_each_resource(admin::ResourceKind kind,
                                   const std::function<void(const admin::ResourceView&)>& visit) const {
  using Hcm = envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
  const auto& resources = server_.bootstrap().static_resources();
  auto show = [&](std::string_view name, const google::protobuf::Message& message) {
    visit({.name = name, .message = message, .last_updated = server_.loaded_at(), .version = {}});
  };
  switch (kind) {
    case admin::ResourceKind::kCluster:
      for (const auto& cluster : resources.clusters()) show(cluster.name(), cluster);
      break;
    case admin::ResourceKind::kEndpoints:
      for (const auto& cluster : resources.clusters()) {
        if (cluster.has_load_assignment()) show(cluster.name(), cluster.load_assignment());
      }
      break;
    case admin::ResourceKind::kListener:
      for (const auto& listener : resources.listeners()) show(listener.name(), listener);
      break;
    case admin::ResourceKind::kRouteConfig:
      for (const auto& listener : resources.listeners()) {
        for (const auto& chain : listener.filter_chains()) {
          for (const auto& one : chain.filters()) {
            Hcm hcm;
            if (one.typed_config().UnpackTo(&hcm) && hcm.has_route_config())
              show(hcm.route_config().name(), hcm.route_config());
          }
        }
      }
      break;
    case admin::ResourceKind::kSecret:
      break;
  }
}

void AdminFacts::shutdown() {
  // After the answer: the request is still being served.
  server_.lane().post([this] { server_.begin_shutdown(); });
}

void AdminFacts::fail_health_check(bool fail) { server_.set_failed_health(fail); }

void AdminFacts::reopen_logs() { stream::LogWriter::process().reopen(); }

}  // namespace weir::server
