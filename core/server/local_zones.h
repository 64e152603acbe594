// The cluster that weir itself is a member of, and what is made by where its members are: host sets that prefer hosts
// of weir's own locality.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/lb/host_set.h"
#include "core/lb/zones.h"
#include "core/stats/store.h"
#include "core/upstream/cluster.h"

namespace weir::server {

// [main]
class LocalZones {
 public:
  // Of what a host set is made, so that it can be made once more.
  struct Made {
    const lb::PolicyDescriptor* policy = nullptr;  // null: it never was
    std::shared_ptr<const void> config;
    lb::HostSet::Options options;
    lb::HostSet::Division division;
  };

  void set_local(const std::string& cluster, const lb::Locality& where);
  const std::string& local() const { return name_; }
  bool is_local(std::string_view cluster) const { return !name_.empty() && cluster == name_; }
  bool known() const { return now_ != nullptr; }
  void note(const lb::HostSet& set);
  void forget() {
    if (now_ == nullptr) return;
    now_ = nullptr;
    ++changes_;
  }
  // Grows whenever something that was up to date may be so no more.
  uint64_t changes() const { return changes_; }

  // Fills in what `made` lacks. A set of the local cluster is noted.
  std::unique_ptr<lb::HostSet> make(std::vector<lb::HostEntry> hosts, Made& made, const upstream::ClusterSpec& cluster,
                                    stats::Store& store);
  bool is_up_to_date(const Made& made, std::string_view cluster) const;

 private:
  std::string name_;  // empty: none
  lb::Locality where_;
  std::shared_ptr<const lb::LocalCluster> now_;  // null: its members are not known
  uint64_t changes_ = 0;
};

}  // namespace weir::server
