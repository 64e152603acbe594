// What the author of a resource monitor reads: how much of something is used up, for the overload manager to act upon.
// Registered as an extension of the kind "resource_monitor" whose configuration is a ResourceMonitorConfig.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "core/base/status.h"

namespace weir::filter {

inline constexpr std::string_view kResourceMonitorKind = "resource_monitor";

// [main]
class ResourceMonitor {
 public:
  virtual ~ResourceMonitor() = default;
  // From 0 (nothing used) to 1 (nothing left) and beyond. Called once every refresh_interval; must not block.
  virtual Result<double> pressure() = 0;
};

// [immutable]
class ResourceMonitorConfig {
 public:
  virtual ~ResourceMonitorConfig() = default;
  virtual std::unique_ptr<ResourceMonitor> make() const = 0;  // nullptr: nothing to ask, see below
  // Downstream connections that there may be at most, which are refused beyond it; 0: it is no monitor of these.
  virtual int64_t max_connections() const { return 0; }
};

}  // namespace weir::filter
