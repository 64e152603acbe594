// A load-balancing policy whose table is a plugin's.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "core/lb/policy.h"
#include "extensions/dynamic/module.h"

namespace weir::extensions::dynamic {

// [immutable] Made and destroyed on main, after the last table built from it.
class LbConfig : public std::enable_shared_from_this<LbConfig> {
 public:
  static Result<std::shared_ptr<const LbConfig>> make(const Module& module, std::string_view name,
                                                      std::string_view text);
  ~LbConfig();
  LbConfig(const LbConfig&) = delete;
  LbConfig& operator=(const LbConfig&) = delete;

  const Module& module() const { return module_; }
  const weir_load_balancer& hooks() const { return module_.load_balancer; }
  // nullptr: the plugin could not; the cluster has no host then. [main]
  std::unique_ptr<const lb::Table> build(const lb::BuildInput& input) const;
  // Logs the first time.
  void note_error(const char* what) const;

 private:
  explicit LbConfig(const Module& module) : module_(module) {}
  const Module& module_;
  void* plugin_config_ = nullptr;
  bool created_ = false;
  mutable std::atomic<bool> logged_{false};
};

}  // namespace weir::extensions::dynamic
