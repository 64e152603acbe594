// The probe plugin behind the real loader and the real chain, with a script for its hooks and a record of their order.
#pragma once

#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "extensions/dynamic/http_filter.h"
#include "extensions/dynamic/loader.h"
#include "test/extensions/dynamic/probe.h"
#include "test/support/descriptor.h"
#include "test/support/filter_harness.h"
#include "test/support/plugin_scope.h"

namespace weir::test {

using extensions::dynamic::Filter;
using extensions::dynamic::HttpConfig;
using extensions::dynamic::Loader;
using extensions::dynamic::Module;

// A loader whose copies lie in a directory of the test program's own.
Loader& test_loader();
const Module& test_module(std::string_view name);
// The entry of a chain for any plugin.
filter::HttpFilterEntry plugin_entry(std::shared_ptr<const HttpConfig> config, std::string name = "plugin");

inline weir_bytes text_of(std::string_view text) { return {text.data(), text.size()}; }

class ScriptedPlugin : private Probe {
 public:
  using Script = std::function<uint32_t(std::string_view event, uint64_t handle, uint64_t argument)>;
  explicit ScriptedPlugin(Script script = {});
  ~ScriptedPlugin();
  ScriptedPlugin(const ScriptedPlugin&) = delete;

  void set_script(Script script) { script_ = std::move(script); }
  // Asked for with the first chain; errors are in scope().error_texts().
  filter::HttpFilterEntry entry();
  const weir_api& api() const { return *Probe::api; }
  std::string text() const {
    return "probe:" + std::to_string(reinterpret_cast<uintptr_t>(static_cast<const Probe*>(this)));
  }
  PluginScope& scope() { return scope_; }
  // Gives the configuration back.
  void forget() { config_.reset(); }
  HttpConfig const* config() const { return config_.get(); }

  std::vector<std::string> events;
  weir_stream last_stream = 0;
  // Events of one name so far.
  size_t count(std::string_view event) const;

 private:
  static uint32_t on_event(Probe& probe, const char* event, void* object, uint64_t handle, uint64_t argument);
  Script script_;
  PluginScope scope_;
  std::shared_ptr<const HttpConfig> config_;
};

// A GET through a chain of one scripted plugin, answered with 200.
void exchange(FilterHarness& harness,
              const Headers& request = {{":method", "GET"}, {":path", "/"}, {":authority", "a"}, {"x-one", "1"}});

}  // namespace weir::test
