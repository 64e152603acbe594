// An HTTP filter whose hooks are a plugin's. It lives in the stream's arena like any other; the plugin's instance is
// made at the first hook and knows the stream by a handle.
//
// Invariant: no call of the plugin into weir runs plugin code. What it asks for (reply, resume) is noted, and done when
// its hook has returned or at the end of the turn.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/filter/factory.h"
#include "core/filter/http_filter.h"
#include "core/filter/stream.h"
#include "core/stats/handles.h"
#include "extensions/dynamic/module.h"

namespace weir::extensions::dynamic {

// One configured use of a plugin. [immutable] Made and destroyed on main.
class HttpConfig {
 public:
  // Errors go to the scope's report, below `field` of its message; the result is then not used.
  static Result<std::shared_ptr<const HttpConfig>> make(const Module& module, std::string_view name,
                                                        std::string_view text, std::string_view field,
                                                        filter::FactoryScope& scope);
  ~HttpConfig();
  HttpConfig(const HttpConfig&) = delete;
  HttpConfig& operator=(const HttpConfig&) = delete;

  const Module& module() const { return module_; }
  const weir_http_filter& hooks() const { return module_.http_filter; }
  void* plugin_config() const { return plugin_config_; }
  const std::vector<stats::Counter>& counters() const { return counters_; }
  uint32_t body_limit(int direction) const { return body_limits_[direction]; }
  // Counts, and logs the first time.
  void note_error(const char* what) const;

 private:
  explicit HttpConfig(const Module& module) : module_(module) {}
  const Module& module_;
  void* plugin_config_ = nullptr;
  bool created_ = false;
  std::vector<stats::Counter> counters_;
  stats::Counter errors_;
  uint32_t body_limits_[2] = {0, 0};
  mutable std::atomic<bool> logged_{false};
};

// What a route says to a filter: the text.
struct RouteText {
  std::string text;
};

// One per stream. [worker]
class Filter final : public filter::HttpFilter, private event::EndOfTurn {
 public:
  using RouteConfig = RouteText;
  static constexpr uint32_t kMaxTimers = 8;

  explicit Filter(const HttpConfig& config) : config_(config) {}
  ~Filter();

  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_request_data(filter::Stream& stream, Slices& data, bool end) override;
  filter::Action on_request_trailers(filter::Stream& stream, http::HeaderMap& trailers) override;
  filter::Action on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_response_data(filter::Stream& stream, Slices& data, bool end) override;
  filter::Action on_response_trailers(filter::Stream& stream, http::HeaderMap& trailers) override;
  void on_complete(filter::Stream& stream) override;
  static filter::BodyMode request_body(const HttpConfig& config) { return body_mode(config, WEIR_REQUEST); }
  static filter::BodyMode response_body(const HttpConfig& config) { return body_mode(config, WEIR_RESPONSE); }

  // For the table of functions, which has found this filter by its handle.
  filter::Stream& stream() { return *stream_; }
  const HttpConfig& config() const { return config_; }
  // nullptr: there is none (yet).
  http::HeaderMap* map(uint32_t which);
  // Neither answered nor over.
  bool may_change() const { return !ended_ && !completed_; }
  // What the body functions are about: of the running data or trailers hook, or nullptr.
  Slices* body() { return body_; }
  int32_t reply(const weir_reply& reply);
  int32_t resume(uint32_t direction);
  int32_t arm_timer(uint32_t number, uint64_t ms);
  int32_t cancel_timer(uint32_t number);
  const RouteText* route_text() const;

  void posted(uint64_t token);

 private:
  class Timer;
  class Inside;
  struct Answer;
  static constexpr int kNoDirection = 2;

  static filter::BodyMode body_mode(const HttpConfig& config, int direction);
  bool start(filter::Stream& stream);
  template <class Hook, class... Arguments>
  filter::Action run(int direction, Hook hook, Arguments... arguments);
  template <class Hook, class... Arguments>
  filter::Action run_body(int direction, Slices& piece, Hook hook, Arguments... arguments);
  template <class Hook>
  filter::Action run_trailers(int direction, Hook hook);
  template <class Hook, class Argument>
  void run_event(Hook hook, Argument argument);
  filter::Action settle(int direction, int32_t verdict);
  filter::Action fail(const char* details);
  filter::Action send_answer();
  void timer_fired(Timer& timer);
  void on_end_of_turn() override;

  const HttpConfig& config_;
  filter::Stream* stream_ = nullptr;  // from start() on
  void* instance_ = nullptr;
  weir_stream handle_ = 0;
  Slices* body_ = nullptr;
  Answer* answer_ = nullptr;  // wanted, not yet given
  Timer* timers_ = nullptr;
  filter::Resume resume_[2];
  uint8_t direction_ = kNoDirection;  // of the hook on the stack
  bool inside_ : 1 = false;           // a hook is on the stack
  bool started_ : 1 = false;          // the instance exists
  bool ended_ : 1 = false;            // answered by this plugin: no further hooks
  bool completed_ : 1 = false;
  bool resume_asked_[2] = {false, false};
};

}  // namespace weir::extensions::dynamic
