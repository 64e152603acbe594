/* What a plugin in a shared library and weir say to each other. DRAFT: any part may change until abi_major is 1.
 *
 * A plugin is a shared library that exports one symbol, `weir_plugin_entry`. weir hands it one table of functions,
 * `weir_api`. There is nothing else to link. C can use this file alone; C++ has <weir/sdk/...>, made of it.
 *
 * Five rules hold everywhere.
 *  1. Tables only grow at their end, and begin with their own size: look at struct_size before you read what may be
 *     beyond it. A hook that is NULL is not called.
 *  2. Handles are numbers, not addresses. Every call with a handle is total: if what it names has ended, or belongs to
 *     another thread, or never was, the answer is WEIR_GONE and nothing happens.
 *  3. Bytes are borrowed: what weir hands out is valid until the hook returns or the thing itself is changed; what you
 *     hand in is copied before the call returns. Nobody frees what the other allocated.
 *  4. No call into weir calls back into the plugin before it returns. What has consequences (reply, resume) takes
 *     effect after your hook has returned.
 *  5. No exception may leave the plugin.
 *
 * Thread tags: [main] the thread of configuration. [worker] the thread that owns the stream or asks for a host; it must
 * never wait. [any] any thread, the plugin's own included.
 *
 * Log of changes (one line per bump of major.minor; also in CHANGELOG.md):
 *   0.1  2026-11-22  first draft: HTTP filter, load balancer
 *   0.2  2026-11-26  body_* also in trailers hooks: bytes ahead of the trailers
 */
#ifndef WEIR_PLUGIN_H
#define WEIR_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_ABI_MAJOR 0u
#define WEIR_ABI_MINOR 2u

/* ---- Words of both sides ------------------------------------------------------------------------------------------
 */

typedef struct weir_bytes {
  const char* data; /* NULL: absent, which is not the same as empty */
  uint64_t size;
} weir_bytes;

typedef struct weir_header {
  weir_bytes name; /* lower case when weir hands it out */
  weir_bytes value;
} weir_header;

typedef uint64_t weir_stream; /* one filter's view of one stream; never 0 */
typedef uint64_t weir_scope;  /* a configuration while it is being built */
typedef uint64_t weir_pick;   /* a choice of a host while it is being made */

/* What calls return, and what hooks of type int32_t return unless they say "verdict". */
enum {
  WEIR_OK = 0,
  WEIR_GONE = 1,        /* the handle names nothing that lives on this thread */
  WEIR_ABSENT = 2,      /* no such header, map or text */
  WEIR_NOT_NOW = 3,     /* not in this hook, or not after reply() or on_complete */
  WEIR_INVALID = 4,     /* an argument makes no sense, or is no valid HTTP */
  WEIR_LIMIT = 5,       /* more than weir allows */
  WEIR_UNSUPPORTED = 6, /* not in this version, not for this kind of plugin */
  WEIR_FAILED = 7       /* for hooks: it did not work */
};

/* Verdicts of stream hooks. */
enum {
  WEIR_CONTINUE = 0, /* on to the next filter */
  WEIR_PAUSE = 1,    /* this direction waits for resume() */
  WEIR_DONE = 2      /* answered with reply(): of the hooks only on_complete still comes */
};

enum { WEIR_REQUEST = 0, WEIR_RESPONSE = 1 }; /* directions */
enum { WEIR_REQUEST_HEADERS = 0, WEIR_RESPONSE_HEADERS = 1, WEIR_REQUEST_TRAILERS = 2, WEIR_RESPONSE_TRAILERS = 3 };
enum { WEIR_LOG_DEBUG = 0, WEIR_LOG_INFO = 1, WEIR_LOG_WARNING = 2, WEIR_LOG_ERROR = 3 };
enum { WEIR_HEALTHY = 0, WEIR_DEGRADED = 1, WEIR_UNHEALTHY = 2, WEIR_DRAINING = 3 };
#define WEIR_NO_ENDPOINT UINT32_MAX

typedef struct weir_reply {
  uint32_t struct_size;
  int32_t status; /* 200 to 599 */
  weir_bytes body;
  weir_bytes details; /* for the access log: "api_key.missing"; empty: "plugin_reply" */
  const weir_header* headers;
  uint32_t header_count;
  uint32_t reserved;
} weir_reply;

/* ---- What weir offers ---------------------------------------------------------------------------------------------
 */

typedef struct weir_api {
  uint32_t struct_size;
  uint32_t abi_major;
  uint32_t abi_minor;
  uint32_t reserved;

  /* [any] `component` is who speaks; "plugin" if empty. */
  void (*log)(uint32_t level, weir_bytes component, weir_bytes text);
  /* [any] Further tables, by name and revision ("weir.tls_info/1"). NULL: this weir does not have it. */
  const void* (*get_extension)(const char* id);

  /* While config_create runs, with its scope. [main] */

  /* Says what is wrong; `field` is the place below the plugin's own configuration, or empty. */
  int32_t (*config_error)(weir_scope scope, weir_bytes field, weir_bytes message);
  /* A counter "<prefix of the listener's statistics>dynamic.<name>"; its number is for counter_add. */
  int32_t (*config_counter)(weir_scope scope, weir_bytes name, uint32_t* counter);
  /* The data hook of this direction shall run once, with the whole body; more than `limit` bytes: 413 or 500. */
  int32_t (*config_buffer_body)(weir_scope scope, uint32_t direction, uint32_t limit);

  /* Headers and trailers of a stream, from create to destroy; no changes after reply() or in on_complete. [worker]
   * Names are taken in any case. Pseudo-headers (":path") can be read and, where they are present, set. */

  int32_t (*get_header)(weir_stream stream, uint32_t map, weir_bytes name, weir_bytes* value);
  /* values[i].data is NULL for a header that is not there. One call for many. */
  int32_t (*get_headers)(weir_stream stream, uint32_t map, const weir_bytes* names, weir_bytes* values, uint32_t count);
  /* All of them, in order, as far as there is room; `count` is how many there are. */
  int32_t (*list_headers)(weir_stream stream, uint32_t map, weir_header* headers, uint32_t room, uint32_t* count);
  int32_t (*set_header)(weir_stream stream, uint32_t map, weir_bytes name, weir_bytes value);
  int32_t (*add_header)(weir_stream stream, uint32_t map, weir_bytes name, weir_bytes value);
  int32_t (*remove_header)(weir_stream stream, uint32_t map, weir_bytes name);

  /* The piece of a body that the running data hook was called with; in a trailers hook, an empty piece that goes on
   * ahead of the trailers. [worker] Who changes the length of a body removes content-length from the headers before
   * they go on. */

  int32_t (*body_views)(weir_stream stream, weir_bytes* views, uint32_t room, uint32_t* count, uint64_t* total);
  int32_t (*body_drain)(weir_stream stream, uint64_t size); /* from the front */
  int32_t (*body_append)(weir_stream stream, weir_bytes bytes);
  int32_t (*body_replace)(weir_stream stream, weir_bytes bytes);

  /* Course of a stream. [worker] */

  /* Answers instead of the upstream; if the response is on its way already, it is cut off. Once. */
  int32_t (*reply)(weir_stream stream, const weir_reply* reply);
  /* Continues a direction that a hook of this filter paused, or is about to pause. Late by less than a turn. */
  int32_t (*resume)(weir_stream stream, uint32_t direction);
  /* Calls on_timer(timer) once, not before `ms` milliseconds have passed. Arming again moves it. At most 8 numbers. */
  int32_t (*timer_arm)(weir_stream stream, uint32_t timer, uint64_t ms);
  int32_t (*timer_cancel)(weir_stream stream, uint32_t timer);
  /* [any] Calls on_posted(token) on the stream's thread, or nothing if the stream has ended by then. */
  int32_t (*post)(weir_stream stream, uint64_t token);

  /* Further services for a stream. [worker] */

  /* Memory that lives as long as the stream. `alignment`: a power of two, at most 64. */
  int32_t (*arena_alloc)(weir_stream stream, uint64_t size, uint32_t alignment, void** memory);
  int32_t (*counter_add)(weir_stream stream, uint32_t counter, uint64_t amount);
  /* What the route says to this filter; WEIR_ABSENT: nothing. In hooks with a verdict only. */
  int32_t (*route_config)(weir_stream stream, weir_bytes* text);

  /* [worker] Requests in flight to an endpoint (by its place in build()), while `pick` runs. */
  int32_t (*pick_in_flight)(weir_pick pick, uint32_t endpoint, int64_t* requests);
} weir_api;

/* ---- What a plugin offers -----------------------------------------------------------------------------------------
 */

/* An HTTP filter. Order, promised: config_create; per stream, on its worker, create, hooks, destroy: once and last;
 * config_destroy when no stream uses the configuration any more. A stream whose request never reaches the filter makes
 * no instance. Request hooks and response hooks may alternate. */
typedef struct weir_http_filter {
  uint32_t struct_size;
  uint32_t reserved;

  /* [main] `name` says which of the plugin's filters is meant; `text` is what was written under `config:`. Not WEIR_OK:
   * the configuration is refused, with what config_error was told. */
  int32_t (*config_create)(weir_scope scope, weir_bytes name, weir_bytes text, void** config);
  void (*config_destroy)(void* config); /* [main] */

  /* [worker] Before the first hook. NULL: hooks get the configuration as instance, and destroy is not called. Not
   * WEIR_OK: the request is answered with 500, and destroy is not called. */
  int32_t (*create)(void* config, weir_stream stream, void** instance);
  /* [worker] The stream's handle is WEIR_GONE already. Also without on_complete, if create alone has run. */
  void (*destroy)(void* instance);

  /* [worker] Verdicts. `end`: nothing follows in this direction. Headers once, data any number of times, trailers at
   * most once. */
  int32_t (*on_request_headers)(void* instance, weir_stream stream, uint32_t end);
  int32_t (*on_request_data)(void* instance, weir_stream stream, uint32_t end);
  int32_t (*on_request_trailers)(void* instance, weir_stream stream);
  int32_t (*on_response_headers)(void* instance, weir_stream stream, uint32_t end);
  int32_t (*on_response_data)(void* instance, weir_stream stream, uint32_t end);
  int32_t (*on_response_trailers)(void* instance, weir_stream stream);

  void (*on_timer)(void* instance, weir_stream stream, uint32_t timer);  /* [worker] */
  void (*on_posted)(void* instance, weir_stream stream, uint64_t token); /* [worker] */
  /* [worker] The stream has ended, well or not. Once; its headers can still be read. */
  void (*on_complete)(void* instance, weir_stream stream);
} weir_http_filter;

typedef struct weir_endpoint {
  weir_bytes address;  /* "10.0.0.1:80" */
  weir_bytes hostname; /* may be empty */
  weir_bytes zone;     /* may be empty */
  uint32_t weight;
  uint32_t health; /* WEIR_HEALTHY ... */
  uint32_t priority;
  uint32_t reserved;
} weir_endpoint;

typedef struct weir_endpoints {
  const weir_endpoint* items; /* the next one is `stride` bytes on */
  uint32_t count;
  uint32_t stride;
} weir_endpoints;

typedef struct weir_pick_input {
  uint32_t struct_size;
  uint32_t attempt; /* 1: the first */
  uint64_t hash;    /* of the request, as the route says */
  uint32_t has_hash;
  uint32_t excluded_count;
  const uint32_t* excluded; /* tried before by this request; avoid them while there are others */
  uint64_t random;
  uint64_t* lane_state; /* a word that this worker keeps for the cluster, 0 at first; it survives new tables */
  weir_pick pick;
} weir_pick_input;

/* A load balancer: a table of pure data, built on main, read on workers without locks. */
typedef struct weir_load_balancer {
  uint32_t struct_size;
  uint32_t reserved;
  int32_t (*config_create)(weir_scope scope, weir_bytes name, weir_bytes text, void** config); /* [main] */
  void (*config_destroy)(void* config);                                                        /* [main] */
  /* [main] Whenever hosts or their health change. There is at least one endpoint. Not WEIR_OK: the cluster has no
   * host until the next change. */
  int32_t (*build)(void* config, const weir_endpoints* endpoints, void** table);
  /* [worker] The place of the chosen endpoint, or WEIR_NO_ENDPOINT. Allocates nothing, waits for nothing. */
  uint32_t (*pick)(const void* table, const weir_pick_input* input);
  void (*table_destroy)(void* table); /* [main] When no worker uses it any more; before config_destroy. */
} weir_load_balancer;

/* The exported symbol, by this name and type:
 *   WEIR_PLUGIN_SYMBOL const weir_plugin weir_plugin_entry = { sizeof(weir_plugin), WEIR_ABI_MAJOR, ... };
 */
typedef struct weir_plugin {
  uint32_t struct_size;
  uint32_t abi_major;
  uint32_t abi_minor;
  uint32_t reserved;
  const char* id; /* "com.example.api_key/1" */
  /* [main] Once, first of all. `api` stays valid for ever. Not WEIR_OK: the plugin is refused. */
  int32_t (*start)(const weir_api* api);
  const weir_http_filter* http_filter;     /* NULL: none */
  const weir_load_balancer* load_balancer; /* NULL: none */
} weir_plugin;

#if defined(__cplusplus)
#define WEIR_PLUGIN_SYMBOL extern "C" __attribute__((visibility("default")))
#else
#define WEIR_PLUGIN_SYMBOL __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
}
#endif

#endif /* WEIR_PLUGIN_H */
