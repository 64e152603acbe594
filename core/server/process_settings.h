// What a bootstrap says of the process itself. Faults go to the report, with their paths. [main]
#pragma once

#include <string>

#include "core/config/report.h"
#include "core/filter/factory.h"
#include "core/server/admin_plan.h"
#include "core/server/options.h"
#include "core/server/watchdog.h"

namespace envoy::config::bootstrap::v3 {
class Admin;
class Bootstrap;
}  // namespace envoy::config::bootstrap::v3

namespace weir::server {

void read_admin(const envoy::config::bootstrap::v3::Admin& proto, filter::FactoryScope& scope, config::Report& report,
                AdminPlan& out);
WatchdogPlan read_watchdogs(const envoy::config::bootstrap::v3::Bootstrap& bootstrap);
// Of the process log; empty: the bootstrap does not say.
std::string read_log_format(const envoy::config::bootstrap::v3::Bootstrap& bootstrap, const Options& options,
                            config::Report& report);
// Those that are none are errors; those that are have no settings.
void read_bootstrap_extensions(const envoy::config::bootstrap::v3::Bootstrap& bootstrap, config::Report& report);

}  // namespace weir::server
