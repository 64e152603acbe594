// Joins the admin endpoints to the server they tell about.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/net/address.h"
#include "core/net/socket.h"
#include "core/server/admin/admin_server.h"
#include "core/server/admin/admin_source.h"
#include "core/server/admin_plan.h"
#include "core/server/cpu_profiler.h"
#include "core/server/handed_sockets.h"

namespace weir::server {

class Server;

// [main]
class AdminFacts final : public admin::AdminSource {
 public:
  explicit AdminFacts(Server& server) : server_(server) {}
  ~AdminFacts() override;

  // What is taken from `handed` (nullptr: nothing) accepts nothing before resume().
  Status listen(const AdminPlan& plan, HandedSockets* handed);
  void resume();
  void list_sockets(const std::function<void(const HandedSocket&)>& visit) const;
  // Another process answers from now on.
  void leave_to_successor();
  // For --admin-address-path; empty: nothing is written.
  Status write_address(const std::string& path) const;
  // Ends the admin's connections; before the lane goes. `shared`: another process has its socket.
  void stop(bool shared);

  // admin::AdminSource
  admin::ServerState state() const override;
  std::string version() const override;
  std::optional<admin::ReloadView> last_reload() const override;
  admin::ConfigView config() const override;
  Duration uptime() const override;
  Duration uptime_all_epochs() const override;
  std::string hot_restart_version() const override;
  const envoy::config::core::v3::Node& node() const override;
  std::shared_ptr<admin::ConfigSnapshot> config_snapshot() const override;
  void fill_command_line(envoy::admin::v3::CommandLineOptions& out) const override;
  stats::Reading read_stats() override;
  void reset_counters() override;
  std::span<const stats::Tag> stats_tags() const override;
  bool next_clusters(std::string& after, const std::function<void(const admin::ClusterView&)>& visit) const override;
  void for_each_warming(const std::function<void(std::string_view)>& visit) const override;
  void for_each_listener(const std::function<void(const admin::ListenerView&)>& visit) const override;
  void for_each_transport(const std::function<void(const filter::TransportSocket&)>& visit) const override;
  const runtime::Layers& runtime() const override;
  bool modify_runtime(const std::vector<std::pair<std::string, std::string>>& texts) override;
  void shutdown() override;
  void drain_listeners(bool graceful, bool keep_accepting, bool inbound_only) override;
  void fail_health_check(bool fail) override;
  void reopen_logs() override;
  Status start_cpu_profile() override;
  std::function<Status()> stop_cpu_profile() override;

 private:
  Server& server_;
  std::unique_ptr<admin::AdminServer> admin_;
  std::unique_ptr<CpuProfiler> profiler_;  // null: nobody has asked for a profile yet
  net::Address bound_, configured_;
  net::SocketFile file_;  // of one that was handed over not before this process serves
  const std::shared_ptr<const void> alive_ = std::make_shared<char>();  // as long as its sockets are
};

}  // namespace weir::server
