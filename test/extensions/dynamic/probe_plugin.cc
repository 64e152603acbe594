// See probe.h. PROBE_REVISION makes files of different content.
#include <cstdlib>
#include <string>

#include "test/extensions/dynamic/probe.h"

#ifndef PROBE_REVISION
#define PROBE_REVISION "1"
#endif
#ifndef PROBE_MINOR
#define PROBE_MINOR WEIR_ABI_MINOR
#endif

namespace {

const weir_api* api;

int32_t start(const weir_api* host) {
  api = host;
  return WEIR_OK;
}

struct Instance {
  Probe* probe;
};

int32_t ask(void* object, const char* event, uint64_t handle, uint64_t argument = 0) {
  Probe& probe = *static_cast<Instance*>(object)->probe;
  return static_cast<int32_t>(probe.on(probe, event, object, handle, argument));
}

int32_t config_create(weir_scope scope, weir_bytes name, weir_bytes text, void** config) {
  std::string given(text.data, text.size);
  if (given.compare(0, 6, "probe:") != 0) return WEIR_FAILED;
  auto* probe = reinterpret_cast<Probe*>(std::strtoull(given.c_str() + 6, nullptr, 10));
  probe->api = api;
  *config = new Instance{probe};
  int32_t status = ask(*config, "config_create", scope, name.size);
  if (status != WEIR_OK) delete static_cast<Instance*>(*config);
  return status;
}
void config_destroy(void* config) {
  ask(config, "config_destroy", 0);
  delete static_cast<Instance*>(config);
}

int32_t create(void* config, weir_stream stream, void** instance) {
  auto* made = new Instance(*static_cast<Instance*>(config));
  int32_t status = ask(made, "create", stream);
  if (status == WEIR_OK) *instance = made;
  if (status != WEIR_OK) delete made;
  return status;
}
void destroy(void* instance) {
  ask(instance, "destroy", 0);
  delete static_cast<Instance*>(instance);
}
int32_t request_headers(void* i, weir_stream s, uint32_t end) { return ask(i, "request_headers", s, end); }
int32_t request_data(void* i, weir_stream s, uint32_t end) { return ask(i, "request_data", s, end); }
int32_t request_trailers(void* i, weir_stream s) { return ask(i, "request_trailers", s); }
int32_t response_headers(void* i, weir_stream s, uint32_t end) { return ask(i, "response_headers", s, end); }
int32_t response_data(void* i, weir_stream s, uint32_t end) { return ask(i, "response_data", s, end); }
int32_t response_trailers(void* i, weir_stream s) { return ask(i, "response_trailers", s); }
void timer(void* i, weir_stream s, uint32_t number) { ask(i, "timer", s, number); }
void posted(void* i, weir_stream s, uint64_t token) { ask(i, "posted", s, token); }
void complete(void* i, weir_stream s) { ask(i, "complete", s); }

const weir_http_filter kFilter = {sizeof(weir_http_filter),
                                  0,
                                  config_create,
                                  config_destroy,
                                  create,
                                  destroy,
                                  request_headers,
                                  request_data,
                                  request_trailers,
                                  response_headers,
                                  response_data,
                                  response_trailers,
                                  timer,
                                  posted,
                                  complete};

int32_t build(void* config, const weir_endpoints* endpoints, void** table) {
  auto* made = new Instance(*static_cast<Instance*>(config));
  int32_t status = ask(made, "build", reinterpret_cast<uint64_t>(endpoints));
  if (status == WEIR_OK) *table = made;
  if (status != WEIR_OK) delete made;
  return status;
}
uint32_t pick(const void* table, const weir_pick_input* input) {
  return static_cast<uint32_t>(ask(const_cast<void*>(table), "pick", reinterpret_cast<uint64_t>(input)));
}
void table_destroy(void* table) {
  ask(table, "table_destroy", 0);
  delete static_cast<Instance*>(table);
}
const weir_load_balancer kBalancer = {
    sizeof(weir_load_balancer), 0, config_create, config_destroy, build, pick, table_destroy};

}  // namespace

WEIR_PLUGIN_SYMBOL const weir_plugin weir_plugin_entry;
const weir_plugin weir_plugin_entry = {
    sizeof(weir_plugin), WEIR_ABI_MAJOR, PROBE_MINOR, 0, "weir.test.probe/" PROBE_REVISION, start, &kFilter,
    &kBalancer};
