// The two ends of the probe plugin: its hooks do what the test says. The test passes the address of a Probe as the
// plugin's configuration ("probe:<number>"), so that what runs on the far side of the interface can be written in the
// test.
#pragma once

#include "weir/plugin.h"

struct Probe {
  const weir_api* api = nullptr;  // set by the plugin
  // `object`: the plugin's instance or table. Returns the hook's verdict, status or place.
  uint32_t (*on)(Probe& probe, const char* event, void* object, uint64_t handle, uint64_t argument) = nullptr;
};
