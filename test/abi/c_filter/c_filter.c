/* A filter in plain C over weir/plugin.h alone: counts the bytes of the request's body, tells the response how many,
 * and answers requests that carry "x-c-filter: stop"; those with "x-c-filter: hang" keep it computing for 1.5 s. Its
 * configuration is the name of the header to add. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <weir/plugin.h>

static const weir_api* api;

struct config {
  char header[64];
  uint32_t stopped;
};

struct instance {
  const struct config* config;
  uint64_t bytes;
};

static weir_bytes text(const char* s) {
  weir_bytes bytes;
  bytes.data = s;
  bytes.size = strlen(s);
  return bytes;
}

static int32_t start(const weir_api* host) {
  api = host;
  return host->struct_size >= sizeof(weir_api) ? WEIR_OK : WEIR_UNSUPPORTED;
}

static int32_t config_create(weir_scope scope, weir_bytes name, weir_bytes config_text, void** out) {
  struct config* config;
  (void)name;
  if (config_text.size == 0 || config_text.size >= sizeof(config->header)) {
    api->config_error(scope, text(""), text("must be the name of a header, 1 to 63 characters"));
    return WEIR_FAILED;
  }
  config = calloc(1, sizeof(*config));
  if (config == NULL) return WEIR_FAILED;
  memcpy(config->header, config_text.data, (size_t)config_text.size);
  api->config_counter(scope, text("c_filter.stopped"), &config->stopped);
  *out = config;
  return WEIR_OK;
}

static void config_destroy(void* config) { free(config); }

static int32_t create(void* config, weir_stream stream, void** out) {
  void* memory;
  struct instance* instance;
  int32_t status = api->arena_alloc(stream, sizeof(*instance), sizeof(void*), &memory);
  if (status != WEIR_OK) return status;
  instance = memory;
  instance->config = config;
  instance->bytes = 0;
  *out = instance;
  return WEIR_OK;
}

static int32_t on_request_headers(void* self, weir_stream stream, uint32_t end) {
  const struct instance* instance = self;
  weir_bytes value;
  (void)end;
  if (api->get_header(stream, WEIR_REQUEST_HEADERS, text("x-c-filter"), &value) != WEIR_OK || value.size != 4)
    return WEIR_CONTINUE;
  if (memcmp(value.data, "hang", 4) == 0) {
    const clock_t until = clock() + 3 * CLOCKS_PER_SEC / 2;
    while (clock() < until) {
    }
  }
  if (memcmp(value.data, "stop", 4) == 0) {
    weir_header header;
    weir_reply reply;
    header.name = text("x-stopped-by");
    header.value = text("c_filter");
    memset(&reply, 0, sizeof(reply));
    reply.struct_size = sizeof(reply);
    reply.status = 403;
    reply.body = text("stopped\n");
    reply.details = text("c_filter.stopped");
    reply.headers = &header;
    reply.header_count = 1;
    api->counter_add(stream, instance->config->stopped, 1);
    api->reply(stream, &reply);
    return WEIR_DONE;
  }
  return WEIR_CONTINUE;
}

static int32_t on_request_data(void* self, weir_stream stream, uint32_t end) {
  struct instance* instance = self;
  uint64_t total = 0;
  (void)end;
  if (api->body_views(stream, NULL, 0, NULL, &total) == WEIR_OK) instance->bytes += total;
  return WEIR_CONTINUE;
}

static int32_t on_response_headers(void* self, weir_stream stream, uint32_t end) {
  const struct instance* instance = self;
  char number[24];
  (void)end;
  sprintf(number, "%lu", (unsigned long)instance->bytes);
  api->set_header(stream, WEIR_RESPONSE_HEADERS, text(instance->config->header), text(number));
  return WEIR_CONTINUE;
}

static const weir_http_filter filter = {sizeof(weir_http_filter),
                                        0,
                                        config_create,
                                        config_destroy,
                                        create,
                                        NULL,
                                        on_request_headers,
                                        on_request_data,
                                        NULL,
                                        on_response_headers,
                                        NULL,
                                        NULL,
                                        NULL,
                                        NULL,
                                        NULL};

WEIR_PLUGIN_SYMBOL const weir_plugin weir_plugin_entry;
const weir_plugin weir_plugin_entry = {sizeof(weir_plugin),    WEIR_ABI_MAJOR, WEIR_ABI_MINOR, 0,
                                       "weir.test.c_filter/1", start,          &filter,        NULL};
