// What an update changes, said: for `weir diff`, POST /reload and its dry run. Text for people, JSON for scripts.
#pragma once

#include <string>
#include <vector>

#include "core/server/change_plan.h"
#include "core/server/field_diff.h"

namespace weir::server {

struct ReportedChange {
  const char* kind;  // "listener", "routes", "cluster", "secret", "runtime", "bootstrap"
  std::string name;
  Change change;
  std::string effect;  // "chain web drains its connections"
  std::vector<std::string> drains = {};
  std::vector<FieldChange> fields = {};
  size_t more_fields = 0;
};

class ChangeReport {
 public:
  // `plan` is that from one to the other.
  ChangeReport(const Plan& plan, const Inventory& before, const envoy::config::bootstrap::v3::Bootstrap& before_proto,
               const Inventory& after, const envoy::config::bootstrap::v3::Bootstrap& after_proto);

  const std::vector<ReportedChange>& changes() const { return changes_; }
  // Aligned; ends with a line that sums up.
  std::string text() const;
  // {"changes": [...], "drains": false, "refused": false}
  std::string json() const;
  // A reload would say so, and change nothing.
  bool refused() const { return refused_; }

 private:
  void add_listeners(const Plan& plan, const Inventory& before, const Inventory& after);
  void add_routes(const Plan& plan, const Inventory& before, const Inventory& after);
  void add_clusters(const Plan& plan);
  void add_secrets(const Plan& plan, const Inventory& before, const Inventory& after);
  void add_transports(const Plan& plan, const Inventory& after);
  void add_bootstrap_field(const char* kind, const std::string& name, const char* effect);
  std::string summary() const;

  const envoy::config::bootstrap::v3::Bootstrap& before_;
  const envoy::config::bootstrap::v3::Bootstrap& after_;
  std::vector<ReportedChange> changes_;
  bool refused_ = false;
};

}  // namespace weir::server
