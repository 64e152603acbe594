// What the author of an HTTP filter reads: the hooks, their verdicts, and what a filter may do with its stream.
//
// Life of a filter: made in the stream's arena after the route was chosen; on_request_headers once; on_request_data any
// number of times; on_request_trailers at most once; then the response hooks in the same way (they may begin before the
// request has ended); on_complete once; destructor. A filter whose position the request never reached gets no response
// hook, and one that has answered (Stream::reply_local) only on_complete. Hooks that a class does not override cost
// nothing.
//
// A filter whose headers hook finds that the body is none of its business says so (Stream::leave_body_alone()).
//
// A filter changes a body by changing the `data` of its data hook; it may keep bytes and let go of them in a later one.
// What is left when trailers come goes ahead of them with Stream::inject_data(). A filter that pauses may add bytes
// with Resume::inject_data() before it resumes; in its headers hook with `end`, that is how a message without a body
// gets one (without a pause it cannot). Whoever may change a body's length removes content-length in its headers hook:
// a message that turns out longer or shorter than it said is cut off.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/arena.h"
#include "core/base/block.h"
#include "core/event/lane.h"
#include "core/filter/flow_control.h"
#include "core/filter/route_configs.h"
#include "core/http/header_map.h"
#include "core/stream/stream_info.h"

namespace weir::filter {

class Stream;

enum class Action : uint8_t {
  kContinue,  // on to the next filter
  kPause,     // this filter holds a Resume handle and will continue; later events of this direction wait
  kDone,      // answered (reply_local) or reset: of this filter only on_complete and the destructor still run
};

class HttpFilter {
 public:
  // `end`: nothing follows in this direction.
  virtual Action on_request_headers(Stream&, http::HeaderMap&, bool /*end*/) { return Action::kContinue; }
  // What is left in `data` goes on to the next filter.
  virtual Action on_request_data(Stream&, Slices&, bool /*end*/) { return Action::kContinue; }
  virtual Action on_request_trailers(Stream&, http::HeaderMap&) { return Action::kContinue; }
  virtual Action on_response_headers(Stream&, http::HeaderMap&, bool /*end*/) { return Action::kContinue; }
  virtual Action on_response_data(Stream&, Slices&, bool /*end*/) { return Action::kContinue; }
  virtual Action on_response_trailers(Stream&, http::HeaderMap&) { return Action::kContinue; }
  // The stream has ended, well or not; its facts are final. No more calls on the stream but reads.
  virtual void on_complete(Stream&) {}

 protected:
  // Not virtual: a filter is destroyed as what it was made as, and not at all if it has nothing to destroy.
  ~HttpFilter() = default;
};

// One bit per hook, in the order of declaration.
enum Hook : uint8_t {
  kRequestHeaders = 1,
  kRequestData = 2,
  kRequestTrailers = 4,
  kResponseHeaders = 8,
  kResponseData = 16,
  kResponseTrailers = 32,
  kComplete = 64,
};

// Whether a filter wants whole bodies. With kBuffer its data hook runs once, with all of the body; beyond `limit` bytes
// the core answers 413 (request) or 500 (response). A message that ends with its headers has no body, and one of
// headers and trailers an empty one.
struct BodyMode {
  static BodyMode stream() { return {}; }
  static BodyMode buffer(uint32_t limit) { return BodyMode{true, limit}; }
  bool whole = false;
  uint32_t limit = 0;
};

// Continues a paused direction. Hold it as a member: destroying it cancels. [worker]
class Resume {
 public:
  Resume() = default;
  Resume(Resume&& other) noexcept : stream_(other.stream_), position_(other.position_), response_(other.response_) {
    other.stream_ = nullptr;
  }
  Resume& operator=(Resume&& other) noexcept {
    stream_ = other.stream_;
    position_ = other.position_;
    response_ = other.response_;
    other.stream_ = nullptr;
    return *this;
  }
  explicit operator bool() const { return stream_ != nullptr; }
  // Once; the handle is empty afterwards. Called within the hook that took the handle, it makes the pause that the hook
  // returns none.
  void resume();
  // Adds bytes behind those that the filter left in `data` when it paused (see above). Not within the hook that pauses.
  // Empties `data`.
  void inject_data(Slices& data);
  // Sends what the filter left in `data` when it paused, and then these bytes, to the following filters, and stays
  // paused. Not within a hook of this direction, and not before headers that the pause holds back. Empties `data`.
  void pass_on(Slices& data);
  void cancel() { stream_ = nullptr; }

 private:
  friend class Stream;
  Resume(Stream& stream, uint8_t position, bool response)
      : stream_(&stream), position_(position), response_(response) {}
  Stream* stream_ = nullptr;
  uint8_t position_ = 0;
  bool response_ = false;
};

}  // namespace weir::filter
