// The table of functions that plugins get. Each checks its handle and its arguments before anything else.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/filter/factory.h"
#include "core/lb/policy.h"
#include "core/stats/handles.h"
#include "weir/plugin.h"

namespace weir::extensions::dynamic {

const weir_api& host_api();

inline weir_bytes bytes_of(std::string_view text) { return {text.data() != nullptr ? text.data() : "", text.size()}; }
// The arguments of a plugin are checked: a null pointer with a size is no text.
inline bool is_text(weir_bytes bytes) { return bytes.data != nullptr || bytes.size == 0; }
inline std::string_view view_of(weir_bytes bytes) {
  return {bytes.data != nullptr ? bytes.data : "", static_cast<size_t>(bytes.size)};
}

// What a plugin may do while its config_create runs; its handle is good until the object goes. [main]
class ConfigScope {
 public:
  struct Error {
    std::string field, message;
  };
  // `factory`: nullptr for kinds that have none.
  explicit ConfigScope(filter::FactoryScope* factory);
  ~ConfigScope();
  ConfigScope(const ConfigScope&) = delete;
  ConfigScope& operator=(const ConfigScope&) = delete;
  // Of the calling thread, if `handle` is its.
  static ConfigScope* find(weir_scope handle);

  weir_scope handle() const { return handle_; }
  int32_t counter(std::string_view name, uint32_t& number);

  std::vector<Error> errors;
  std::vector<stats::Counter> counters;
  uint32_t body_limits[2] = {0, 0};  // by direction; 0: as it comes

 private:
  filter::FactoryScope* factory_;
  weir_scope handle_;
  ConfigScope* before_;
};

// While a table picks on this thread: lets the plugin ask about hosts. [worker]
class PickScope {
 public:
  PickScope(lb::LaneView& view, const std::vector<lb::HostIndex>& endpoints);
  ~PickScope();
  PickScope(const PickScope&) = delete;
  PickScope& operator=(const PickScope&) = delete;
  static PickScope* find(weir_pick handle);

  weir_pick handle() const { return handle_; }
  int32_t in_flight(uint32_t endpoint, int64_t& requests);

 private:
  lb::LaneView& view_;
  const std::vector<lb::HostIndex>& endpoints_;
  weir_pick handle_;
};

}  // namespace weir::extensions::dynamic
