// A stream as a filter sees it: headers, bodies, and what one may do. All of these are views by handle: cheap to copy,
// and harmless after the stream has ended (they answer "not there" and do nothing).
#pragma once

#include <initializer_list>
#include <vector>

#include "weir/sdk/core.hpp"

namespace weir {
namespace sdk __attribute__((visibility("hidden"))) {

enum class Action : int32_t {
  kContinue = WEIR_CONTINUE,  // on to the next filter
  kPause = WEIR_PAUSE,        // this direction waits for resume_request() or resume_response()
  kDone = WEIR_DONE,          // answered: what reply() returns
};

struct Header {
  std::string_view name, value;
};

// [any] What another thread needs to come back to a stream.
class Poster {
 public:
  explicit Poster(weir_stream stream) : stream_(stream) {}
  // on_posted(token) runs on the stream's thread, or nothing does if the stream has ended.
  bool post(uint64_t token) const { return api().post(stream_, token) == WEIR_OK; }

 private:
  weir_stream stream_;
};

// [worker]
class Stream {
 public:
  explicit Stream(weir_stream handle) : handle_(handle) {}
  weir_stream handle() const { return handle_; }
  Poster poster() const { return Poster(handle_); }

  // Answers instead of the upstream. `return request.reply(...)` ends a hook.
  Action reply(int status, std::string_view body = {}, std::initializer_list<Header> headers = {}, std::string_view details = {}) {
    std::vector<weir_header> list;
    for (const Header& header : headers) list.push_back({internal::bytes(header.name), internal::bytes(header.value)});
    weir_reply reply{sizeof(weir_reply), status, internal::bytes(body), internal::bytes(details), list.data(), static_cast<uint32_t>(list.size()), 0};
    api().reply(handle_, &reply);
    return Action::kDone;
  }
  bool resume_request() { return api().resume(handle_, WEIR_REQUEST) == WEIR_OK; }
  bool resume_response() { return api().resume(handle_, WEIR_RESPONSE) == WEIR_OK; }
  bool arm_timer(uint32_t timer, uint64_t ms) { return api().timer_arm(handle_, timer, ms) == WEIR_OK; }
  bool cancel_timer(uint32_t timer) { return api().timer_cancel(handle_, timer) == WEIR_OK; }
  void count(Counter counter, uint64_t amount = 1) { api().counter_add(handle_, counter.number, amount); }
  // What the route says to this filter.
  std::optional<std::string_view> route_config() const {
    weir_bytes text;
    if (api().route_config(handle_, &text) != WEIR_OK) return std::nullopt;
    return internal::view(text);
  }
  // Memory that lives as long as the stream; nullptr if that has ended.
  void* allocate(size_t size, size_t alignment = alignof(std::max_align_t)) {
    void* memory = nullptr;
    return api().arena_alloc(handle_, size, static_cast<uint32_t>(alignment), &memory) == WEIR_OK ? memory : nullptr;
  }

 protected:
  weir_stream handle_;
};

// One of a stream's four maps. Views are valid until the hook returns or the map is changed.
class Headers : public Stream {
 public:
  Headers(weir_stream handle, uint32_t map) : Stream(handle), map_(map) {}

  std::optional<std::string_view> header(std::string_view name) const {
    weir_bytes value;
    if (api().get_header(handle_, map_, internal::bytes(name), &value) != WEIR_OK) return std::nullopt;
    return internal::view(value);
  }
  // Several in one crossing; a view without an address is a header that is not there.
  template <size_t N>
  void headers(const std::string_view (&names)[N], std::string_view (&values)[N]) const {
    weir_bytes wanted[N], found[N] = {};
    for (size_t i = 0; i < N; ++i) wanted[i] = internal::bytes(names[i]);
    api().get_headers(handle_, map_, wanted, found, N);
    for (size_t i = 0; i < N; ++i) values[i] = {found[i].data, static_cast<size_t>(found[i].size)};
  }
  std::vector<Header> all() const {
    uint32_t count = 0;
    if (api().list_headers(handle_, map_, nullptr, 0, &count) != WEIR_OK) return {};
    std::vector<weir_header> raw(count);
    api().list_headers(handle_, map_, raw.data(), count, &count);
    std::vector<Header> list;
    for (const weir_header& header : raw) list.push_back({internal::view(header.name), internal::view(header.value)});
    return list;
  }
  bool set_header(std::string_view name, std::string_view value) {
    return api().set_header(handle_, map_, internal::bytes(name), internal::bytes(value)) == WEIR_OK;
  }
  bool add_header(std::string_view name, std::string_view value) {
    return api().add_header(handle_, map_, internal::bytes(name), internal::bytes(value)) == WEIR_OK;
  }
  bool remove_header(std::string_view name) { return api().remove_header(handle_, map_, internal::bytes(name)) == WEIR_OK; }

 private:
  uint32_t map_;
};

class Request : public Headers {
 public:
  Request(weir_stream handle, bool end) : Headers(handle, WEIR_REQUEST_HEADERS), end_(end) {}
  bool end() const { return end_; }  // no body, no trailers

 private:
  bool end_;
};

class Response : public Headers {
 public:
  Response(weir_stream handle, bool end) : Headers(handle, WEIR_RESPONSE_HEADERS), end_(end) {}
  bool end() const { return end_; }

 private:
  bool end_;
};

class Trailers : public Headers {
 public:
  using Headers::Headers;
  // Goes on ahead of the trailers, as the last of the body.
  bool append_body(std::string_view text) { return api().body_append(handle_, internal::bytes(text)) == WEIR_OK; }
};

// The piece of a body that the hook was called with; all of it, if the configuration said so.
class Body : public Stream {
 public:
  Body(weir_stream handle, bool end) : Stream(handle), end_(end) {}
  bool end() const { return end_; }
  uint64_t size() const {
    uint64_t total = 0;
    api().body_views(handle_, nullptr, 0, nullptr, &total);
    return total;
  }
  std::vector<std::string_view> views() const {
    uint32_t count = 0;
    if (api().body_views(handle_, nullptr, 0, &count, nullptr) != WEIR_OK) return {};
    std::vector<weir_bytes> raw(count);
    api().body_views(handle_, raw.data(), count, &count, nullptr);
    std::vector<std::string_view> list;
    for (const weir_bytes& bytes : raw) list.push_back(internal::view(bytes));
    return list;
  }
  std::string text() const {
    std::string text;
    for (std::string_view view : views()) text += view;
    return text;
  }
  bool drain(uint64_t size) { return api().body_drain(handle_, size) == WEIR_OK; }
  bool append(std::string_view text) { return api().body_append(handle_, internal::bytes(text)) == WEIR_OK; }
  bool replace(std::string_view text) { return api().body_replace(handle_, internal::bytes(text)) == WEIR_OK; }

 private:
  bool end_;
};

}  // namespace sdk
}  // namespace weir
