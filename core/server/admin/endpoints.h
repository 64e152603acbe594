// The built-in endpoints, in the published text and JSON shapes: tools parse them.
#pragma once

#include "core/server/admin/admin_server.h"
#include "core/server/admin/admin_source.h"

namespace weir::admin {

// Both outlive the server's last request.
void add_endpoints(AdminServer& server, AdminSource& source);

// Parts of it.
void add_pages(AdminServer& server, AdminSource& source);              // /, /help
void add_server_endpoints(AdminServer& server, AdminSource& source);   // /ready, /server_info, /memory, /logging, ...
void add_stats_endpoints(AdminServer& server, AdminSource& source);    // /stats, /stats/prometheus, /reset_counters
void add_cluster_endpoints(AdminServer& server, AdminSource& source);  // /clusters, /listeners
void add_runtime_endpoints(AdminServer& server, AdminSource& source);  // /runtime, /runtime_modify
void add_config_endpoints(AdminServer& server, AdminSource& source);   // /config_dump, /certs

}  // namespace weir::admin
