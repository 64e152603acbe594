// Where connections find the routes of their chain: a slot for each version of a chain, as long as somebody uses it.
// [main]
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/event/publisher.h"

namespace weir::server {

struct RouteSlot {
  std::string name;
  std::shared_ptr<const void> use;  // the table is there for as long as somebody has this
};

class RouteSlots {
 public:
  explicit RouteSlots(event::Publisher& publisher) : publisher_(publisher) {}
  // `key`: of the chain, whatever its version. A version that has been there, and is still used, has the slot that it
  // had.
  RouteSlot of(const std::string& key, uint64_t version);

 private:
  struct Used {
    uint64_t version;
    std::string name;
    std::weak_ptr<const void> use;
  };
  bool is_free(const Used& one) const;

  event::Publisher& publisher_;
  std::map<std::string, std::vector<Used>> by_key_;
};

}  // namespace weir::server
