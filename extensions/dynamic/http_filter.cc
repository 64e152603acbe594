#include "extensions/dynamic/http_filter.h"

#include <utility>

#include "core/base/log.h"
#include "extensions/dynamic/header_rules.h"
#include "extensions/dynamic/host_api.h"
#include "extensions/dynamic/lane_plugins.h"

namespace weir::extensions::dynamic {

using filter::Action;

// --- Configuration ---------------------------------------------------------------------------------------------------

Result<std::shared_ptr<const HttpConfig>> HttpConfig::make(const Module& module, std::string_view name,
                                                           std::string_view text, std::string_view field,
                                                           filter::FactoryScope& scope) {
  if (!module.has_http_filter) return invalid(module.id + " has no HTTP filter");
  std::shared_ptr<HttpConfig> config(new HttpConfig(module));
  ConfigScope plugin_scope(&scope);
  int32_t made =
      module.http_filter.config_create(plugin_scope.handle(), bytes_of(name), bytes_of(text), &config->plugin_config_);
  config->created_ = made == WEIR_OK;
  if (made != WEIR_OK && plugin_scope.errors.empty()) {
    scope.error(field, module.id + " refused its configuration without saying why");
  }
  for (const ConfigScope::Error& error : plugin_scope.errors) {
    scope.error(std::string(field) + (error.field.empty() ? "" : ".") + error.field, error.message);
  }
  config->counters_ = std::move(plugin_scope.counters);
  config->body_limits_[0] = plugin_scope.body_limits[0];
  config->body_limits_[1] = plugin_scope.body_limits[1];
  config->errors_ = scope.counter("dynamic.errors");
  return std::shared_ptr<const HttpConfig>(std::move(config));
}

HttpConfig::~HttpConfig() {
  [[maybe_unused]] event::Lane* lane = event::Lane::current();
  WEIR_ASSERT(lane == nullptr || lane->is_main());
  if (created_) module_.http_filter.config_destroy(plugin_config_);
}

void HttpConfig::note_error(const char* what) const {
  errors_.inc();
  if (!logged_.exchange(true, std::memory_order_relaxed)) {
    WEIR_LOG(kError, "dynamic", "%s: %s; further ones are only counted", module_.id.c_str(), what);
  }
}

// --- The instance's life ---------------------------------------------------------------------------------------------

// Destroyed with the filter; the memory is the stream's.
class Filter::Timer final : public event::Timer {
 public:
  Timer(Filter& owner, uint32_t number, Timer* next) : number(number), next(next), owner_(owner) {}
  void on_timer() override { owner_.timer_fired(*this); }
  const uint32_t number;
  Timer* const next;

 private:
  Filter& owner_;
};

// Marks that plugin code of this instance is on the stack.
class Filter::Inside {
 public:
  Inside(Filter& filter, int direction) : filter_(filter) {
    WEIR_ASSERT(!filter.inside_);
    filter.inside_ = true;
    filter.direction_ = static_cast<uint8_t>(direction);
  }
  ~Inside() {
    filter_.inside_ = false;
    filter_.direction_ = kNoDirection;
  }

 private:
  Filter& filter_;
};

// Copied from the plugin into the stream's arena.
struct Filter::Answer {
  int status = 0;
  std::string_view details, body;
  const weir_header* headers = nullptr;
  uint32_t header_count = 0;

  static void add_headers(http::HeaderMap& map, filter::Stream&, const void* user) {
    const auto& answer = *static_cast<const Answer*>(user);
    for (uint32_t i = 0; i < answer.header_count; ++i) {
      map.add_copy(view_of(answer.headers[i].name), view_of(answer.headers[i].value));
    }
  }
};

filter::BodyMode Filter::body_mode(const HttpConfig& config, int direction) {
  uint32_t limit = config.body_limit(direction);
  return limit > 0 ? filter::BodyMode::buffer(limit) : filter::BodyMode::stream();
}

bool Filter::start(filter::Stream& stream) {
  stream_ = &stream;
  LanePlugins* plugins = LanePlugins::of(stream.lane());
  if (plugins != nullptr) handle_ = plugins->handles().add(*this);
  if (handle_ == 0) {
    config_.note_error("too many streams at once for their handles");
    return false;
  }
  const weir_http_filter& hooks = config_.hooks();
  if (hooks.create == nullptr) {
    instance_ = config_.plugin_config();
    started_ = true;
    return true;
  }
  int32_t made;
  {
    Inside inside(*this, kNoDirection);
    made = hooks.create(config_.plugin_config(), handle_, &instance_);
  }
  started_ = made == WEIR_OK;
  if (!started_) {
    config_.note_error("create failed");
    plugins->handles().remove(std::exchange(handle_, 0));
  }
  return started_;
}

Filter::~Filter() {
  if (handle_ != 0) LanePlugins::of(stream_->lane())->handles().remove(handle_);
  for (Timer* timer = timers_; timer != nullptr;) std::exchange(timer, timer->next)->~Timer();
  const weir_http_filter& hooks = config_.hooks();
  if (started_ && hooks.create != nullptr && hooks.destroy != nullptr) hooks.destroy(instance_);
}

// --- Hooks -----------------------------------------------------------------------------------------------------------

template <class Hook, class... Arguments>
Action Filter::run(int direction, Hook hook, Arguments... arguments) {
  if (answer_ != nullptr) return send_answer();  // asked for outside a hook, earlier in this turn
  WEIR_ASSERT(started_ && !ended_ && !completed_);
  if (hook == nullptr) return Action::kContinue;
  int32_t verdict;
  {
    Inside inside(*this, direction);
    verdict = hook(instance_, handle_, arguments...);
  }
  return settle(direction, verdict);
}

// As run(), and the body functions are about `piece`.
template <class Hook, class... Arguments>
Action Filter::run_body(int direction, Slices& piece, Hook hook, Arguments... arguments) {
  body_ = &piece;
  Action action = run(direction, hook, arguments...);
  body_ = nullptr;
  return action;
}

template <class Hook>
Action Filter::run_trailers(int direction, Hook hook) {
  Slices tail;
  Action action = run_body(direction, tail, hook);
  if (!tail.empty()) stream_->inject_data(tail);
  return action;
}

// What comes of a hook's verdict and of what the plugin asked for meanwhile.
Action Filter::settle(int direction, int32_t verdict) {
  bool asked = std::exchange(resume_asked_[direction], false);
  if (answer_ != nullptr) return send_answer();
  switch (verdict) {
    case WEIR_CONTINUE:
      return Action::kContinue;
    case WEIR_PAUSE:
      if (asked) return Action::kContinue;
      resume_[direction] = stream_->resume_handle();
      return Action::kPause;
    case WEIR_DONE:
      return fail("plugin_done_without_reply");
    default:
      return fail("plugin_unknown_verdict");
  }
}

Action Filter::fail(const char* details) {
  config_.note_error(details);
  ended_ = true;
  return stream_->reply_local(*this, 500, details, "plugin failure\n");
}

Action Filter::send_answer() {
  const Answer& answer = *std::exchange(answer_, nullptr);
  return stream_->reply_local(*this, answer.status, answer.details, answer.body, &Answer::add_headers, &answer);
}

Action Filter::on_request_headers(filter::Stream& stream, http::HeaderMap&, bool end) {
  if (!start(stream)) {
    ended_ = true;
    return stream.reply_local(500, "plugin_create_failed", "plugin failure\n");
  }
  return run(WEIR_REQUEST, config_.hooks().on_request_headers, uint32_t{end});
}

Action Filter::on_request_data(filter::Stream&, Slices& data, bool end) {
  return run_body(WEIR_REQUEST, data, config_.hooks().on_request_data, uint32_t{end});
}

Action Filter::on_request_trailers(filter::Stream&, http::HeaderMap&) {
  return run_trailers(WEIR_REQUEST, config_.hooks().on_request_trailers);
}

Action Filter::on_response_headers(filter::Stream&, http::HeaderMap&, bool end) {
  return run(WEIR_RESPONSE, config_.hooks().on_response_headers, uint32_t{end});
}

Action Filter::on_response_data(filter::Stream&, Slices& data, bool end) {
  return run_body(WEIR_RESPONSE, data, config_.hooks().on_response_data, uint32_t{end});
}

Action Filter::on_response_trailers(filter::Stream&, http::HeaderMap&) {
  return run_trailers(WEIR_RESPONSE, config_.hooks().on_response_trailers);
}

void Filter::on_complete(filter::Stream&) {
  completed_ = true;
  answer_ = nullptr;
  for (Timer* timer = timers_; timer != nullptr; timer = timer->next) timer->cancel();
  if (!started_ || config_.hooks().on_complete == nullptr) return;
  Inside inside(*this, kNoDirection);
  config_.hooks().on_complete(instance_, handle_);
}

// --- Events of the plugin's own --------------------------------------------------------------------------------------

template <class Hook, class Argument>
void Filter::run_event(Hook hook, Argument argument) {
  if (hook == nullptr || !started_ || ended_ || completed_) return;
  {
    Inside inside(*this, kNoDirection);
    hook(instance_, handle_, argument);
  }
  if (answer_ != nullptr) send_answer();
}

void Filter::posted(uint64_t token) { run_event(config_.hooks().on_posted, token); }
void Filter::timer_fired(Timer& timer) { run_event(config_.hooks().on_timer, timer.number); }

void Filter::on_end_of_turn() {
  if (completed_) return;
  if (answer_ != nullptr) {
    send_answer();
    return;
  }
  for (int direction : {WEIR_REQUEST, WEIR_RESPONSE}) {
    if (!std::exchange(resume_asked_[direction], false) || completed_) continue;
    filter::Resume resume = std::move(resume_[direction]);
    resume.resume();
  }
}

// --- What the plugin asks for ----------------------------------------------------------------------------------------

http::HeaderMap* Filter::map(uint32_t which) {
  switch (which) {
    case WEIR_REQUEST_HEADERS:
      return &stream_->request_headers();
    case WEIR_RESPONSE_HEADERS:
      return stream_->response_started() ? &stream_->response_headers() : nullptr;
    case WEIR_REQUEST_TRAILERS:
      return stream_->request_trailers();
    case WEIR_RESPONSE_TRAILERS:
      return stream_->response_trailers();
    default:
      return nullptr;
  }
}

int32_t Filter::reply(const weir_reply& wanted) {
  if (!may_change()) return WEIR_NOT_NOW;
  Arena& arena = stream_->arena();
  auto* answer = arena.make<Answer>();
  answer->status = wanted.status;
  answer->body = arena.copy(view_of(wanted.body));
  answer->details = wanted.details.size > 0 ? arena.copy(view_of(wanted.details)) : std::string_view("plugin_reply");
  auto* headers =
      static_cast<weir_header*>(arena.allocate(wanted.header_count * sizeof(weir_header), alignof(weir_header)));
  for (uint32_t i = 0; i < wanted.header_count; ++i) {
    headers[i] = {bytes_of(arena.copy_or_empty(view_of(wanted.headers[i].name))),
                  bytes_of(arena.copy_or_empty(view_of(wanted.headers[i].value)))};
  }
  answer->headers = headers;
  answer->header_count = wanted.header_count;
  answer_ = answer;
  ended_ = true;
  if (!inside_) stream_->lane().at_end_of_turn(*this);
  return WEIR_OK;
}

int32_t Filter::resume(uint32_t direction) {
  if (!may_change()) return WEIR_NOT_NOW;
  if (direction_ == direction) {
    resume_asked_[direction] = true;  // settled with the hook's verdict
    return WEIR_OK;
  }
  if (!resume_[direction]) return WEIR_NOT_NOW;
  resume_asked_[direction] = true;
  stream_->lane().at_end_of_turn(*this);
  return WEIR_OK;
}

int32_t Filter::arm_timer(uint32_t number, uint64_t ms) {
  if (!may_change()) return WEIR_NOT_NOW;
  uint32_t count = 0;
  Timer* timer = timers_;
  for (; timer != nullptr && timer->number != number; timer = timer->next) ++count;
  if (timer == nullptr) {
    if (count >= kMaxTimers) return WEIR_LIMIT;
    timer = timers_ = stream_->arena().make<Timer>(*this, number, timers_);
  }
  constexpr uint64_t kMaxMs = uint64_t{366} * 24 * 3600 * 1000;
  stream_->lane().arm_in(*timer, std::chrono::milliseconds(ms < kMaxMs ? ms : kMaxMs));
  return WEIR_OK;
}

int32_t Filter::cancel_timer(uint32_t number) {
  for (Timer* timer = timers_; timer != nullptr; timer = timer->next) {
    if (timer->number != number) continue;
    if (!timer->armed()) return WEIR_ABSENT;
    timer->cancel();
    return WEIR_OK;
  }
  return WEIR_ABSENT;
}

// The stream knows the route's text for the filter whose hook runs.
const RouteText* Filter::route_text() const {
  return direction_ != kNoDirection ? stream_->route_config<RouteText>() : nullptr;
}

}  // namespace weir::extensions::dynamic
