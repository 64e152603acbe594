// Slots of a configuration that will never be published.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/server/configuration.h"

namespace weir::server {

class NumberedSlots final : public SlotNames {
 public:
  event::SlotId intern(event::SlotKind kind, std::string_view name) override {
    auto& names = names_[static_cast<size_t>(kind)];
    auto [it, fresh] = names.try_emplace(std::string(name), static_cast<uint32_t>(names.size()));
    return {kind, it->second};
  }
  RouteSlot route_slot(const std::string& key, uint64_t /*version*/) override {
    return {key, std::make_shared<const int>()};
  }

 private:
  std::map<std::string, uint32_t> names_[event::kSlotKinds];
};

}  // namespace weir::server
