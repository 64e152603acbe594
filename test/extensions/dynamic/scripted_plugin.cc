#include "test/extensions/dynamic/scripted_plugin.h"

#include <unistd.h>

#include <algorithm>

namespace weir::test {

Loader& test_loader() {
  static Loader loader(
      {{WEIR_TEST_PLUGINS, WEIR_EXAMPLE_PLUGINS}, "/tmp/weir-test-plugins-" + std::to_string(geteuid())});
  return loader;
}

const Module& test_module(std::string_view name) {
  auto module = test_loader().load(name);
  if (!module.ok()) {
    ADD_FAILURE() << module.status();
    abort();
  }
  return **module;
}

filter::HttpFilterEntry plugin_entry(std::shared_ptr<const HttpConfig> config, std::string name) {
  static const filter::HttpFilterDescriptor descriptor = describe_for_test<HttpConfig, Filter>("weir.test.dynamic");
  return {.descriptor = &descriptor, .config = std::move(config), .name = std::move(name)};
}

ScriptedPlugin::ScriptedPlugin(Script script) : script_(std::move(script)) { on = &on_event; }
ScriptedPlugin::~ScriptedPlugin() = default;

filter::HttpFilterEntry ScriptedPlugin::entry() {
  if (config_ == nullptr) {
    auto config = HttpConfig::make(test_module("probe"), "", text(), "config", scope_.scope());
    if (config.ok()) config_ = *config;
  }
  return plugin_entry(config_);
}

size_t ScriptedPlugin::count(std::string_view event) const {
  return static_cast<size_t>(std::count(events.begin(), events.end(), event));
}

uint32_t ScriptedPlugin::on_event(Probe& probe, const char* event, void*, uint64_t handle, uint64_t argument) {
  auto& self = static_cast<ScriptedPlugin&>(probe);
  std::string_view name = event;
  if (name != "pick") self.events.emplace_back(name);
  bool of_stream = name != "destroy" && name.substr(0, 6) != "config" && name != "build" && name != "pick" &&
                   name != "table_destroy";
  if (of_stream) self.last_stream = handle;
  return self.script_ ? self.script_(name, handle, argument) : uint32_t{WEIR_OK};
}

void exchange(FilterHarness& harness, const Headers& request) {
  harness.send_headers(request, true);
  harness.respond_headers({{":status", "200"}, {"x-from", "upstream"}}, true);
  harness.run();
}

}  // namespace weir::test
