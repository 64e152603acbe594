// A plugin that does anything: in every hook it calls the host with right, stale, foreign and invented handles and with
// arguments of any kind, and returns any verdict. Every call answers, a handle that names nothing is always WEIR_GONE,
// and the chain around the plugin keeps its order.
#include <algorithm>
#include <string>
#include <vector>

#include "core/base/log.h"
#include "extensions/dynamic/host_api.h"
#include "extensions/dynamic/http_filter.h"
#include "test/fuzz/input.h"
#include "test/support/descriptor.h"
#include "test/support/filter_harness.h"
#include "test/support/plugin_scope.h"

namespace weir::extensions::dynamic {
namespace {

using fuzz::Input;
using fuzz::require;

// One run: the plugin's hooks are plain functions.
struct Run {
  Input input;
  std::vector<weir_stream> ended;  // their destroy has been called
  std::vector<weir_stream> living;
  weir_scope scope = 0;  // of the configuration being made
};
Run* current = nullptr;

weir_bytes some_text(std::vector<std::string>& kept) {
  static constexpr const char* kTexts[] = {"x-a", "X-A",    ":path", ":status", "content-length", "cookie", "/",
                                           "a b", "a\r\nb", "",      "200",     ":authority"};
  Input& in = current->input;
  uint8_t kind = in.byte();
  if (kind % 16 == 15) return {nullptr, in.number(8)};
  kept.push_back(kind % 4 == 3 ? in.text() : kTexts[kind / 4 % std::size(kTexts)]);
  return {kept.back().data(), kept.back().size()};
}

// `dead`: what it names has ended or never was.
weir_stream some_handle(weir_stream own, bool& dead) {
  Input& in = current->input;
  weir_stream handle = own;
  switch (in.byte() % 8) {
    case 0:
      handle = in.number(8);
      break;
    case 1:
      handle ^= uint64_t{1} << in.below(64);
      break;
    case 2:
      if (!current->ended.empty()) handle = current->ended[in.below(static_cast<uint32_t>(current->ended.size()))];
      break;
    case 3:
      if (!current->living.empty()) handle = current->living[in.below(static_cast<uint32_t>(current->living.size()))];
      break;
    default:
      break;
  }
  dead = std::find(current->living.begin(), current->living.end(), handle) == current->living.end();
  return handle;
}

void call_something(weir_stream own) {
  const weir_api& api = host_api();
  Input& in = current->input;
  bool dead = false;
  uint8_t call = in.byte() % 24;
  weir_stream stream = some_handle(own, dead);
  uint32_t map = in.below(6);
  std::vector<std::string> kept;
  kept.reserve(16);  // texts do not move
  weir_bytes name = some_text(kept), value = some_text(kept), names[2] = {name, value}, values[2];
  weir_header headers[3] = {{name, value}, {value, name}, {name, name}};
  weir_reply reply{sizeof(weir_reply), static_cast<int32_t>(in.number(2)), value, name, headers, in.below(4), 0};
  uint32_t count = 0;
  uint64_t total = 0;
  void* memory = nullptr;
  bool nothing = in.byte() % 8 == 0;  // null pointers for what is to be filled in
  int32_t answer = WEIR_OK;
  bool checks_handle = true;
  switch (call) {
    case 0:
      answer = api.get_header(stream, map, name, nothing ? nullptr : values);
      break;
    case 1:
      answer = api.get_headers(stream, map, nothing ? nullptr : names, values, in.below(3));
      break;
    case 2:
      answer = api.list_headers(stream, map, nothing ? nullptr : headers, in.below(4), &count);
      break;
    case 3:
      answer = api.set_header(stream, map, name, value);
      break;
    case 4:
      answer = api.add_header(stream, map, name, value);
      break;
    case 5:
      answer = api.remove_header(stream, map, name);
      break;
    case 6:
      answer = api.body_views(stream, nothing ? nullptr : values, in.below(3), nothing ? nullptr : &count, &total);
      break;
    case 7:
      answer = api.body_drain(stream, in.number(in.flag() ? 8 : 1));
      break;
    case 8:
      answer = api.body_append(stream, value);
      break;
    case 9:
      answer = api.body_replace(stream, value);
      break;
    case 10:
      if (in.flag()) reply.status = 200 + reply.status % 400;
      if (in.byte() % 8 == 0) reply.struct_size = in.byte();
      if (in.byte() % 8 == 0) reply.headers = nullptr;
      answer = api.reply(stream, nothing ? nullptr : &reply);
      break;
    case 11:
      answer = api.resume(stream, in.below(4));
      break;
    case 12:
      answer = api.timer_arm(stream, in.below(12), in.number(in.flag() ? 8 : 1));
      break;
    case 13:
      answer = api.timer_cancel(stream, in.below(12));
      break;
    case 14:
      checks_handle = false;  // a letter to another lane may find nobody
      answer = api.post(stream, in.byte());
      break;
    case 15:
      answer = api.arena_alloc(stream, in.number(in.flag() ? 8 : 1), in.below(130), nothing ? nullptr : &memory);
      if (answer == WEIR_OK) *static_cast<volatile char*>(memory) = 1;
      break;
    case 16:
      answer = api.counter_add(stream, in.below(4), in.byte());
      break;
    case 17:
      answer = api.route_config(stream, nothing ? nullptr : values);
      break;
    case 18:
      answer = api.pick_in_flight(stream, in.byte(), nullptr);
      require(answer == WEIR_GONE, "nothing picks");
      break;
    case 19:
    case 20:
    case 21: {
      weir_scope scope = in.flag() ? current->scope : in.number(8);
      answer = call == 19   ? api.config_error(scope, name, value)
               : call == 20 ? api.config_counter(scope, name, nothing ? nullptr : &count)
                            : api.config_buffer_body(scope, in.below(3), in.byte());
      require(scope == current->scope || answer == WEIR_GONE, "a scope that is none");
      checks_handle = false;
      break;
    }
    case 22:
      api.log(in.byte(), name, value);
      return;
    default:
      require(api.get_extension("weir.fuzz/1") == nullptr, "an extension that is none");
      return;
  }
  require(answer >= WEIR_OK && answer < WEIR_FAILED, "an answer that is none");
  if (dead && checks_handle) require(answer == WEIR_GONE, "a dead handle is taken");
  if (!dead && call <= 17) require(answer != WEIR_GONE, "a living handle is not known");
}

void call_some(weir_stream own) {
  for (uint32_t calls = current->input.below(6); calls > 0; --calls) call_something(own);
}
int32_t any_verdict() {
  uint8_t byte = current->input.byte();
  return byte < 200   ? int32_t{WEIR_CONTINUE}
         : byte < 230 ? int32_t{WEIR_PAUSE}
         : byte < 240 ? int32_t{WEIR_DONE}
                      : byte;
}

int32_t hook(void* instance, weir_stream stream) {
  require(instance == &current->living, "another instance");
  call_some(stream);
  return any_verdict();
}
int32_t hook_with_end(void* instance, weir_stream stream, uint32_t) { return hook(instance, stream); }

weir_http_filter hooks() {
  weir_http_filter table{};
  table.struct_size = sizeof(table);
  table.config_create = [](weir_scope scope, weir_bytes, weir_bytes, void** config) -> int32_t {
    current->scope = scope;
    *config = current;
    uint32_t number;
    host_api().config_counter(scope, {"a", 1}, &number);
    call_some(0);
    current->scope = 0;
    return WEIR_OK;
  };
  table.config_destroy = [](void*) {};
  table.create = [](void*, weir_stream stream, void** instance) -> int32_t {
    *instance = &current->living;
    current->living.push_back(stream);
    call_some(stream);
    if (current->input.byte() % 16 != 0) return WEIR_OK;
    current->living.pop_back();
    return WEIR_FAILED;
  };
  table.destroy = [](void*) {
    // Which of two filters goes first is the chain's affair: from now on neither may be used.
    current->ended.insert(current->ended.end(), current->living.begin(), current->living.end());
    current->living.clear();
  };
  table.on_request_headers = table.on_request_data = hook_with_end;
  table.on_response_headers = table.on_response_data = hook_with_end;
  table.on_request_trailers = table.on_response_trailers = hook;
  table.on_timer = [](void* instance, weir_stream stream, uint32_t) { hook(instance, stream); };
  table.on_posted = [](void* instance, weir_stream stream, uint64_t) { hook(instance, stream); };
  table.on_complete = [](void*, weir_stream stream) { call_some(stream); };
  return table;
}

void exchange(const Module& module) {
  static const filter::HttpFilterDescriptor descriptor =
      test::describe_for_test<HttpConfig, Filter>("weir.fuzz.dynamic");
  Input& in = current->input;
  test::PluginScope scope;
  auto config = HttpConfig::make(module, "", "", "config", scope.scope());
  if (!config.ok() || !scope.error_texts().empty()) return;
  filter::HttpFilterEntry entry{.descriptor = &descriptor, .config = *config, .name = "plugin"};
  std::vector<filter::HttpFilterEntry> chain(1 + in.below(2), entry);
  {
    test::FilterHarness harness(std::move(chain));
    uint8_t shape = in.byte();
    harness.send_headers({{":method", "POST"}, {":path", "/"}, {":authority", "a"}, {"x-a", "1"}}, (shape & 1) != 0);
    if ((shape & 1) == 0) harness.send_data("request", (shape & 2) != 0);
    if ((shape & 3) == 0) harness.send_trailers({{"x-t", "1"}});
    if ((shape & 4) != 0) harness.respond_early();
    harness.respond_headers({{":status", "200"}, {"x-a", "2"}}, (shape & 8) != 0);
    if ((shape & 8) == 0) harness.respond_data("response", (shape & 16) != 0);
    if ((shape & 24) == 0) harness.respond_trailers({{"x-t", "2"}});
    for (uint32_t turns = in.below(8); turns > 0; --turns) harness.turn();
    if ((shape & 32) != 0) harness.disconnect();
    harness.run(50ms);
    harness.disconnect();
    for (const std::string& violation : harness.violations()) require(false, violation);
    if ((shape & 64) != 0) call_some(0);
  }
  require(current->living.empty(), "an instance was not destroyed");
  call_some(current->ended.empty() ? 0 : current->ended.back());
}

}  // namespace
}  // namespace weir::extensions::dynamic

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::extensions::dynamic;
  if (size > 4096) return 0;
  static const Module module = [] {
    Module made;
    made.id = "weir.fuzz/1";
    made.has_http_filter = true;
    made.http_filter = hooks();
    return made;
  }();
  static const bool quiet = [] {
    weir::log::set_level(weir::log::Level::kOff);
    return true;
  }();
  (void)quiet;
  Run run{{data, size}, {}, {}};
  current = &run;
  exchange(module);
  current = nullptr;
  return 0;
}
