#include "core/server/cluster_table.h"

#include <functional>

#include "core/config/report.h"

namespace weir::server {

void ClusterTable::add(std::string_view name, const ClusterFacts& facts) {
  rows_.push_back({std::string(name), facts});
  by_name_.clear();  // its keys are in the rows
  digest_ += config::combine(config::combine(std::hash<std::string_view>{}(name), facts.settings), facts.hosts);
}

size_t ClusterTable::find(std::string_view name, size_t& near) const {
  size_t found = near;
  if (found >= rows_.size() || rows_[found].name != name) {
    if (by_name_.empty()) {
      by_name_.reserve(rows_.size());
      for (size_t i = 0; i < rows_.size(); ++i) by_name_.emplace(rows_[i].name, i);
    }
    const auto at = by_name_.find(name);
    if (at == by_name_.end()) return kNone;
    found = at->second;
  }
  near = found + 1;
  return found;
}

}  // namespace weir::server
