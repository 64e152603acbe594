#include "extensions/dynamic/host_api.h"

#include <atomic>

#include "core/base/log.h"
#include "extensions/dynamic/header_rules.h"
#include "extensions/dynamic/http_filter.h"
#include "extensions/dynamic/lane_plugins.h"

namespace weir::extensions::dynamic {
namespace {

constexpr uint32_t kMaxReplyHeaders = 128;
constexpr uint64_t kMaxReplyBody = 1 << 20;
constexpr uint64_t kMaxArenaPiece = 1 << 20;
constexpr uint64_t kMaxBodyPiece = 64 << 20;
constexpr uint32_t kMaxCounters = 256;

// Scopes and picks are known on their own thread only, by numbers that are never used again.
thread_local ConfigScope* current_scope = nullptr;
thread_local PickScope* current_pick = nullptr;
thread_local uint64_t picks = 0;
std::atomic<uint64_t> scopes{0};

// --- Any thread ---

void log_line(uint32_t level, weir_bytes component, weir_bytes text) {
  if (!is_text(component) || !is_text(text)) return;
  static constexpr log::Level kLevels[] = {log::Level::kDebug, log::Level::kInfo, log::Level::kWarning,
                                           log::Level::kError};
  log::Level as = kLevels[level < 4 ? level : 3];
  if (!log::enabled(as, log::component_index("dynamic"))) return;
  std::string line(view_of(text).substr(0, 4096));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  std::string who(component.size > 0 ? view_of(component).substr(0, 64) : "plugin");
  log::write(as, who, {}, "%s", line.c_str());
}

const void* get_extension(const char*) { return nullptr; }

// --- Configuration ---

int32_t config_error(weir_scope handle, weir_bytes field, weir_bytes message) {
  ConfigScope* scope = ConfigScope::find(handle);
  if (scope == nullptr) return WEIR_GONE;
  if (!is_text(field) || !is_text(message)) return WEIR_INVALID;
  scope->errors.push_back({std::string(view_of(field)), std::string(view_of(message))});
  return WEIR_OK;
}

int32_t config_counter(weir_scope handle, weir_bytes name, uint32_t* number) {
  ConfigScope* scope = ConfigScope::find(handle);
  if (scope == nullptr) return WEIR_GONE;
  if (!is_text(name) || name.size == 0 || name.size > 128 || number == nullptr) return WEIR_INVALID;
  return scope->counter(view_of(name), *number);
}

int32_t config_buffer_body(weir_scope handle, uint32_t direction, uint32_t limit) {
  ConfigScope* scope = ConfigScope::find(handle);
  if (scope == nullptr) return WEIR_GONE;
  if (direction > WEIR_RESPONSE || limit == 0) return WEIR_INVALID;
  scope->body_limits[direction] = limit;
  return WEIR_OK;
}

// --- Headers ---

// Finds the filter and its map; `out` is set only with WEIR_OK.
int32_t find_map(weir_stream handle, uint32_t which, http::HeaderMap*& out, bool for_change = false) {
  Filter* filter = LanePlugins::find(handle);
  if (filter == nullptr) return WEIR_GONE;
  if (which > WEIR_RESPONSE_TRAILERS) return WEIR_INVALID;
  if (for_change && !filter->may_change()) return WEIR_NOT_NOW;
  out = filter->map(which);
  return out != nullptr ? WEIR_OK : WEIR_ABSENT;
}

// A look-up allocates only for names that are not well known and not lower case.
std::string_view look_up(const http::HeaderMap& map, std::string_view name) {
  http::HeaderId id = http::find_header_id_folded(name);
  return id != http::HeaderId::kNone ? map.get(id) : map.get(http::HeaderName(name));
}

int32_t get_headers(weir_stream stream, uint32_t which, const weir_bytes* names, weir_bytes* values, uint32_t count) {
  http::HeaderMap* map;
  if (int32_t status = find_map(stream, which, map); status != WEIR_OK) return status;
  if (count > 0 && (names == nullptr || values == nullptr)) return WEIR_INVALID;
  for (uint32_t i = 0; i < count; ++i) {
    if (!is_text(names[i])) return WEIR_INVALID;
    std::string_view value = look_up(*map, view_of(names[i]));
    values[i] = {value.data(), value.size()};
  }
  return WEIR_OK;
}

int32_t get_header(weir_stream stream, uint32_t which, weir_bytes name, weir_bytes* value) {
  int32_t status = get_headers(stream, which, &name, value, 1);
  return status == WEIR_OK && value->data == nullptr ? static_cast<int32_t>(WEIR_ABSENT) : status;
}

int32_t list_headers(weir_stream stream, uint32_t which, weir_header* headers, uint32_t room, uint32_t* count) {
  http::HeaderMap* map;
  if (int32_t status = find_map(stream, which, map); status != WEIR_OK) return status;
  if (count == nullptr || (room > 0 && headers == nullptr)) return WEIR_INVALID;
  *count = static_cast<uint32_t>(map->size());
  uint32_t at = 0;
  map->for_each([&](const http::HeaderEntry& entry) {
    if (at < room) headers[at++] = {bytes_of(entry.name()), bytes_of(entry.value())};
  });
  return WEIR_OK;
}

int32_t set_header(weir_stream stream, uint32_t which, weir_bytes name, weir_bytes value) {
  http::HeaderMap* map;
  if (int32_t status = find_map(stream, which, map, true); status != WEIR_OK) return status;
  if (!is_text(name) || !is_text(value)) return WEIR_INVALID;
  if (int32_t status = check_set(*map, view_of(name), view_of(value)); status != WEIR_OK) return status;
  map->set_copy(http::HeaderName(view_of(name)), view_of(value));
  return WEIR_OK;
}

int32_t add_header(weir_stream stream, uint32_t which, weir_bytes name, weir_bytes value) {
  http::HeaderMap* map;
  if (int32_t status = find_map(stream, which, map, true); status != WEIR_OK) return status;
  if (!is_text(name) || !is_text(value)) return WEIR_INVALID;
  if (int32_t status = check_add(view_of(name), view_of(value)); status != WEIR_OK) return status;
  map->add_copy(view_of(name), view_of(value));
  return WEIR_OK;
}

int32_t remove_header(weir_stream stream, uint32_t which, weir_bytes name) {
  http::HeaderMap* map;
  if (int32_t status = find_map(stream, which, map, true); status != WEIR_OK) return status;
  if (!is_text(name)) return WEIR_INVALID;
  if (int32_t status = check_remove(view_of(name)); status != WEIR_OK) return status;
  return map->remove(http::HeaderName(view_of(name))) > 0 ? WEIR_OK : WEIR_ABSENT;
}

// --- Body ---

int32_t find_body(weir_stream handle, Filter*& filter, Slices*& body) {
  filter = LanePlugins::find(handle);
  if (filter == nullptr) return WEIR_GONE;
  body = filter->body();
  return body != nullptr ? WEIR_OK : WEIR_NOT_NOW;
}

int32_t body_views(weir_stream stream, weir_bytes* views, uint32_t room, uint32_t* count, uint64_t* total) {
  Filter* filter;
  Slices* body;
  if (int32_t status = find_body(stream, filter, body); status != WEIR_OK) return status;
  if (room > 0 && views == nullptr) return WEIR_INVALID;
  if (count != nullptr) *count = static_cast<uint32_t>(body->slice_count());
  if (total != nullptr) *total = body->size();
  for (size_t i = 0; i < body->slice_count() && i < room; ++i) views[i] = bytes_of(body->at(i).view());
  return WEIR_OK;
}

int32_t body_drain(weir_stream stream, uint64_t size) {
  Filter* filter;
  Slices* body;
  if (int32_t status = find_body(stream, filter, body); status != WEIR_OK) return status;
  if (!filter->may_change()) return WEIR_NOT_NOW;
  if (size > body->size()) return WEIR_INVALID;
  body->drop_front(static_cast<size_t>(size));
  return WEIR_OK;
}

int32_t body_append(weir_stream stream, weir_bytes bytes) {
  Filter* filter;
  Slices* body;
  if (int32_t status = find_body(stream, filter, body); status != WEIR_OK) return status;
  if (!filter->may_change()) return WEIR_NOT_NOW;
  if (!is_text(bytes)) return WEIR_INVALID;
  if (bytes.size > kMaxBodyPiece || body->size() > kMaxBodyPiece - bytes.size) return WEIR_LIMIT;
  body->append_copy(view_of(bytes), filter->stream().lane().blocks());
  return WEIR_OK;
}

int32_t body_replace(weir_stream stream, weir_bytes bytes) {
  Filter* filter;
  Slices* body;
  if (int32_t status = find_body(stream, filter, body); status != WEIR_OK) return status;
  if (!filter->may_change()) return WEIR_NOT_NOW;
  if (!is_text(bytes)) return WEIR_INVALID;
  if (bytes.size > kMaxBodyPiece) return WEIR_LIMIT;
  Slices fresh;  // `bytes` may be a view of what goes
  fresh.append_copy(view_of(bytes), filter->stream().lane().blocks());
  *body = std::move(fresh);
  return WEIR_OK;
}

// --- Course ---

int32_t reply(weir_stream stream, const weir_reply* wanted) {
  Filter* filter = LanePlugins::find(stream);
  if (filter == nullptr) return WEIR_GONE;
  if (wanted == nullptr || wanted->struct_size < sizeof(weir_reply)) return WEIR_INVALID;
  if (wanted->status < 200 || wanted->status > 599 || !is_text(wanted->body) || !is_text(wanted->details))
    return WEIR_INVALID;
  if (wanted->header_count > kMaxReplyHeaders || wanted->body.size > kMaxReplyBody || wanted->details.size > 256)
    return WEIR_LIMIT;
  if (wanted->header_count > 0 && wanted->headers == nullptr) return WEIR_INVALID;
  for (uint32_t i = 0; i < wanted->header_count; ++i) {
    const weir_header& header = wanted->headers[i];
    if (!is_text(header.name) || !is_text(header.value)) return WEIR_INVALID;
    if (int32_t status = check_add(view_of(header.name), view_of(header.value)); status != WEIR_OK) return status;
  }
  return filter->reply(*wanted);
}

int32_t resume(weir_stream stream, uint32_t direction) {
  Filter* filter = LanePlugins::find(stream);
  if (filter == nullptr) return WEIR_GONE;
  return direction <= WEIR_RESPONSE ? filter->resume(direction) : static_cast<int32_t>(WEIR_INVALID);
}

int32_t timer_arm(weir_stream stream, uint32_t timer, uint64_t ms) {
  Filter* filter = LanePlugins::find(stream);
  return filter != nullptr ? filter->arm_timer(timer, ms) : static_cast<int32_t>(WEIR_GONE);
}

int32_t timer_cancel(weir_stream stream, uint32_t timer) {
  Filter* filter = LanePlugins::find(stream);
  return filter != nullptr ? filter->cancel_timer(timer) : static_cast<int32_t>(WEIR_GONE);
}

int32_t post(weir_stream stream, uint64_t token) { return LanePlugins::post(stream, token); }

int32_t arena_alloc(weir_stream stream, uint64_t size, uint32_t alignment, void** memory) {
  Filter* filter = LanePlugins::find(stream);
  if (filter == nullptr) return WEIR_GONE;
  if (memory == nullptr || alignment == 0 || alignment > 64 || (alignment & (alignment - 1)) != 0) return WEIR_INVALID;
  if (size > kMaxArenaPiece) return WEIR_LIMIT;
  *memory = filter->stream().arena().allocate(static_cast<size_t>(size), alignment);
  return WEIR_OK;
}

int32_t counter_add(weir_stream stream, uint32_t counter, uint64_t amount) {
  Filter* filter = LanePlugins::find(stream);
  if (filter == nullptr) return WEIR_GONE;
  const auto& counters = filter->config().counters();
  if (counter >= counters.size()) return WEIR_INVALID;
  counters[counter].add(amount);
  return WEIR_OK;
}

int32_t route_config(weir_stream stream, weir_bytes* text) {
  Filter* filter = LanePlugins::find(stream);
  if (filter == nullptr) return WEIR_GONE;
  if (text == nullptr) return WEIR_INVALID;
  const RouteText* route = filter->route_text();
  if (route == nullptr) return WEIR_ABSENT;
  *text = bytes_of(route->text);
  return WEIR_OK;
}

int32_t pick_in_flight(weir_pick pick, uint32_t endpoint, int64_t* requests) {
  PickScope* scope = PickScope::find(pick);
  if (scope == nullptr) return WEIR_GONE;
  return requests != nullptr ? scope->in_flight(endpoint, *requests) : static_cast<int32_t>(WEIR_INVALID);
}

constexpr weir_api kApi = {sizeof(weir_api),
                           WEIR_ABI_MAJOR,
                           WEIR_ABI_MINOR,
                           0,
                           &log_line,
                           &get_extension,
                           &config_error,
                           &config_counter,
                           &config_buffer_body,
                           &get_header,
                           &get_headers,
                           &list_headers,
                           &set_header,
                           &add_header,
                           &remove_header,
                           &body_views,
                           &body_drain,
                           &body_append,
                           &body_replace,
                           &reply,
                           &resume,
                           &timer_arm,
                           &timer_cancel,
                           &post,
                           &arena_alloc,
                           &counter_add,
                           &route_config,
                           &pick_in_flight};

}  // namespace

const weir_api& host_api() { return kApi; }

ConfigScope::ConfigScope(filter::FactoryScope* factory)
    : factory_(factory), handle_(scopes.fetch_add(1, std::memory_order_relaxed) + 1), before_(current_scope) {
  current_scope = this;
}
ConfigScope::~ConfigScope() { current_scope = before_; }

ConfigScope* ConfigScope::find(weir_scope handle) {
  return current_scope != nullptr && current_scope->handle_ == handle ? current_scope : nullptr;
}

int32_t ConfigScope::counter(std::string_view name, uint32_t& number) {
  if (factory_ == nullptr) return WEIR_UNSUPPORTED;
  if (counters.size() >= kMaxCounters) return WEIR_LIMIT;
  for (char c : name) {
    bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
    if (!plain) return WEIR_INVALID;
  }
  number = static_cast<uint32_t>(counters.size());
  counters.push_back(factory_->counter("dynamic." + std::string(name)));
  return WEIR_OK;
}

PickScope::PickScope(lb::LaneView& view, const std::vector<lb::HostIndex>& endpoints)
    : view_(view), endpoints_(endpoints), handle_(++picks) {
  current_pick = this;
}
PickScope::~PickScope() { current_pick = nullptr; }

PickScope* PickScope::find(weir_pick handle) {
  return current_pick != nullptr && current_pick->handle_ == handle ? current_pick : nullptr;
}

int32_t PickScope::in_flight(uint32_t endpoint, int64_t& requests) {
  if (endpoint >= endpoints_.size()) return WEIR_INVALID;
  requests = view_.in_flight(endpoints_[endpoint]);
  return WEIR_OK;
}

}  // namespace weir::extensions::dynamic
