#include "core/server/admin/endpoints.h"

namespace weir::admin {

std::string_view state_name(ServerState state) {
  switch (state) {
    case ServerState::kLive:
      return "LIVE";
    case ServerState::kDraining:
      return "DRAINING";
    case ServerState::kPreInitializing:
      return "PRE_INITIALIZING";
    case ServerState::kInitializing:
      return "INITIALIZING";
  }
  return "LIVE";
}

void add_endpoints(AdminServer& server, AdminSource& source) {
  add_pages(server, source);
  add_server_endpoints(server, source);
  add_stats_endpoints(server, source);
  add_cluster_endpoints(server, source);
  add_runtime_endpoints(server, source);
  add_config_endpoints(server, source);
}

}  // namespace weir::admin
