// A filter that does what a test tells it, hook by hook, and writes down what it sees.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/filter/stream.h"
#include "test/support/descriptor.h"
#include "test/support/filter_harness.h"

namespace weir::test {

enum class Mode { kContinue, kInline, kLater, kNever, kReply, kReplyLater, kAbort, kAbortLater };

struct Script {
  std::map<filter::Hook, Mode> modes;
  uint32_t whole_request = 0;  // descriptor-declared body modes; 0: none
  uint32_t whole_response = 0;
  uint32_t buffer_request = 0;  // buffer_body() from the headers hook; 0: not called
  uint32_t buffer_response = 0;
  bool start_will_do = false;  // of these two: buffer_start_of_body() instead
  struct Record {
    std::string events;  // "qH qD5 qT pH. C": q request, p response, a dot marks the end
    int made = 0;
    int destroyed = 0;
    int completed = 0;
  };
  std::shared_ptr<Record> record = std::make_shared<Record>();
};

class ScriptedFilter final : public filter::HttpFilter {
 public:
  explicit ScriptedFilter(const Script& script) : script_(script) { ++record().made; }
  ~ScriptedFilter() { ++record().destroyed; }
  static filter::BodyMode request_body(const Script& script) {
    return script.whole_request != 0 ? filter::BodyMode::buffer(script.whole_request) : filter::BodyMode::stream();
  }
  static filter::BodyMode response_body(const Script& script) {
    return script.whole_response != 0 ? filter::BodyMode::buffer(script.whole_response) : filter::BodyMode::stream();
  }
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap&, bool end) override {
    note("qH", end);
    if (!end) buffer(stream, script_.buffer_request);
    return act(stream, filter::kRequestHeaders);
  }
  filter::Action on_request_data(filter::Stream& stream, Slices& data, bool end) override {
    note("qD" + std::to_string(data.size()), end);
    return act(stream, filter::kRequestData);
  }
  filter::Action on_request_trailers(filter::Stream& stream, http::HeaderMap&) override {
    note("qT", true);
    return act(stream, filter::kRequestTrailers);
  }
  filter::Action on_response_headers(filter::Stream& stream, http::HeaderMap&, bool end) override {
    note("pH", end);
    if (!end) buffer(stream, script_.buffer_response);
    return act(stream, filter::kResponseHeaders);
  }
  filter::Action on_response_data(filter::Stream& stream, Slices& data, bool end) override {
    note("pD" + std::to_string(data.size()), end);
    return act(stream, filter::kResponseData);
  }
  filter::Action on_response_trailers(filter::Stream& stream, http::HeaderMap&) override {
    note("pT", true);
    return act(stream, filter::kResponseTrailers);
  }
  void on_complete(filter::Stream&) override {
    ++record().completed;
    note("C", false);
  }

 private:
  void buffer(filter::Stream& stream, uint32_t limit) const {
    if (limit == 0) return;
    script_.start_will_do ? stream.buffer_start_of_body(limit) : stream.buffer_body(limit);
  }
  struct Later final : event::Timer {
    explicit Later(ScriptedFilter& filter) : filter(filter) {}
    void on_timer() override {
      switch (mode) {
        case Mode::kReplyLater:
          stream->reply_local(filter, 403, "scripted_later", "later\n");
          break;
        case Mode::kAbortLater:
          stream->abort("scripted_later");
          break;
        default:
          resume.resume();
      }
    }
    ScriptedFilter& filter;
    Mode mode = Mode::kLater;
    filter::Stream* stream = nullptr;
    filter::Resume resume;
  };
  Script::Record& record() const { return *script_.record; }
  void note(const std::string& event, bool end) {
    std::string& events = record().events;
    if (!events.empty()) events += ' ';
    events += event;
    if (end) events += '.';
  }
  filter::Action act(filter::Stream& stream, filter::Hook hook) {
    auto found = script_.modes.find(hook);
    Mode mode = found != script_.modes.end() ? found->second : Mode::kContinue;
    Later& later = hook < filter::kResponseHeaders ? request_ : response_;
    switch (mode) {
      case Mode::kContinue:
        return filter::Action::kContinue;
      case Mode::kReply:
        return stream.reply_local(403, "scripted", "now\n");
      case Mode::kAbort:
        return stream.abort("scripted");
      default:
        break;
    }
    later.mode = mode;
    later.stream = &stream;
    later.resume = stream.resume_handle();
    if (mode == Mode::kInline) later.resume.resume();
    if (mode == Mode::kLater || mode == Mode::kReplyLater || mode == Mode::kAbortLater)
      stream.lane().arm_in(later, 3ms);
    return filter::Action::kPause;
  }

  const Script& script_;
  Later request_{*this};
  Later response_{*this};
};

inline filter::HttpFilterEntry scripted(std::shared_ptr<const Script> script, std::string name = "scripted") {
  static const filter::HttpFilterDescriptor descriptor =
      describe_for_test<Script, ScriptedFilter>("weir.test.scripted");
  return {.descriptor = &descriptor, .config = std::move(script), .name = std::move(name)};
}

inline std::shared_ptr<Script> make_script(std::map<filter::Hook, Mode> modes = {}) {
  auto script = std::make_shared<Script>();
  script->modes = std::move(modes);
  return script;
}

}  // namespace weir::test
