// From Bootstrap.overload_manager to what the process does under pressure. [main]
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/time.h"
#include "core/filter/factory.h"
#include "core/filter/resource_monitor.h"
#include "core/proxy/overload.h"

namespace envoy::config::overload::v3 {
class OverloadManager;
}

namespace weir::config {

// Of one monitor: at which pressure something begins, and where it is in full force. Equal: all or nothing.
struct OverloadTrigger {
  size_t monitor = 0;
  double from = 0;
  double full = 0;
};

struct OverloadTranslation {
  struct Monitor {
    std::string name;
    std::shared_ptr<const filter::ResourceMonitorConfig> config;
  };
  struct Action {
    std::string name;
    proxy::OverloadAction action{};
    std::vector<OverloadTrigger> triggers;
  };
  struct Point {
    std::string name;
    proxy::ShedPoint point{};
    std::vector<OverloadTrigger> triggers;
  };
  bool any = false;  // there is an overload manager
  Duration refresh_interval = 1s;
  std::vector<Monitor> monitors;
  std::vector<Action> actions;
  std::vector<Point> points;
  uint32_t smallest_account = 0;  // as in proxy::Overload
  std::array<proxy::Overload::Reduction, static_cast<size_t>(proxy::ScaledTimeout::kCount)> reductions{};
};

// `scope`: at the message.
OverloadTranslation translate_overload(const envoy::config::overload::v3::OverloadManager& proto,
                                       filter::FactoryScope& scope);

}  // namespace weir::config
