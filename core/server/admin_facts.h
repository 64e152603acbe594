// Joins the admin endpoints to the server they tell about.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/net/address.h"
#include "core/server/admin/admin_server.h"
#include "core/server/admin/admin_source.h"

namespace weir::server {

class Server;

// [main]
class AdminFacts final : public admin::AdminSource {
 public:
  explicit AdminFacts(Server& server) : server_(server) {}
  ~AdminFacts() override;

  // Binds, and writes the address to `--admin-address-path` if there is one.
  Status listen(const net::Address& address);
  // Ends the admin's connections; before the lane goes.
  void stop();

  // admin::AdminSource
  admin::ServerState state() const override;
  std::string version() const override;
  Duration uptime() const override;
  const envoy::config::bootstrap::v3::Bootstrap& bootstrap() const override;
  WallTime bootstrap_loaded_at() const override;
  void fill_command_line(envoy::admin::v3::CommandLineOptions& out) const override;
  stats::Store& stats() override;
  std::string weir_info() const override;
  void for_each_cluster(const std::function<void(const admin::ClusterView&)>& visit) const override;
  void for_each_listener(const std::function<void(const admin::ListenerView&)>& visit) const override;
  void for_each_resource(admin::ResourceKind kind,
                         const std::function<void(const admin::ResourceView&)>& visit) const override;
  void shutdown() override;
  void fail_health_check(bool fail) override;
  void reopen_logs() override;

 private:
  Server& server_;
  std::unique_ptr<admin::AdminServer> admin_;
};

}  // namespace weir::server
