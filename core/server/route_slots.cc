#include "core/server/route_slots.h"

#include <algorithm>
#include <utility>

namespace weir::server {

bool RouteSlots::is_free(const Used& one) const {
  return one.use.expired() && publisher_.newest(publisher_.intern(event::SlotKind::kRouteTable, one.name)) == nullptr;
}

RouteSlot RouteSlots::of(const std::string& key, uint64_t version) {
  std::vector<Used>& all = by_key_[key];
  std::erase_if(all, [this](const Used& one) { return is_free(one); });
  auto at = std::find_if(all.begin(), all.end(), [&](const Used& one) { return one.version == version; });
  if (at == all.end()) {
    const auto is_taken = [&](const std::string& name) {
      return std::any_of(all.begin(), all.end(), [&](const Used& one) { return one.name == name; });
    };
    std::string name;
    for (size_t i = 0; name.empty() || is_taken(name); ++i) name = key + "/" + std::to_string(i);
    at = all.insert(all.end(), {version, std::move(name), {}});
  }
  std::shared_ptr<const void> use = at->use.lock();
  if (use == nullptr) at->use = use = std::make_shared<const int>();
  return {at->name, std::move(use)};
}

}  // namespace weir::server
