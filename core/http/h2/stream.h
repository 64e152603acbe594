// One stream as its codec sees it. The owner's own object of a stream derives from this; the codec refers to it from
// the moment it is told of it until on_stream_closed(), or until reset().
#pragma once

#include <cstdint>
#include <string>

#include "core/base/block.h"
#include "core/base/intrusive_list.h"
#include "core/http/h2/error.h"
#include "core/http/header_map.h"

namespace weir::http::h2 {

class Session;

class Stream {
 public:
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  int32_t id() const { return id_; }
  // The codec knows it, and will say when it is closed.
  bool attached() const { return attached_; }
  // Bytes of its body that were given to the codec and are not on their way.
  size_t unsent() const { return unsent_.size(); }
  bool above_high_watermark() const { return above_high_; }
  // The last byte, or the trailers, were given to the codec; and they were written.
  bool send_complete() const { return end_given_; }
  bool end_sent() const { return end_sent_; }
  // Bytes of its frames so far; heads and trailers as compressed as they were.
  struct Wire {
    uint64_t received = 0;
    uint64_t sent = 0;
    uint64_t heads_received = 0;
    uint64_t heads_sent = 0;
    uint64_t fields_received = 0;  // names and values of heads and trailers, not compressed
    uint64_t fields_sent = 0;
  };
  const Wire& wire() const { return wire_; }

 protected:
  ~Stream() = default;

 private:
  friend class Session;
  friend class ServerCodec;
  friend class ClientCodec;

  ListNode node_;  // among the attached
  int32_t id_ = 0;
  bool attached_ : 1 = false;
  bool head_given_ : 1 = false;  // the one that is not informational
  bool end_given_ : 1 = false;
  bool end_sent_ : 1 = false;
  bool head_received_ : 1 = false;
  bool end_received_ : 1 = false;
  bool paused_ : 1 = false;
  bool above_high_ : 1 = false;
  bool head_waits_ : 1 = false;       // its answer is not to be read, for too many heads are queued
  bool deferred_ : 1 = false;         // the library waits to be told that there is data
  bool reset_after_end_ : 1 = false;  // once the end is sent, the peer need send no more
  bool bodiless_ : 1 = false;         // what is sent has no body, whatever is given (of HEAD, 204, 304)
  bool is_head_ : 1 = false;
  bool is_connect_ : 1 = false;
  bool is_upgrade_ : 1 = false;          // extended CONNECT
  bool counts_length_ : 1 = false;       // of what is sent
  uint8_t informational_ = 0;            // heads received before the response's
  uint32_t read_narrow_ = 0;             // while windows were small: how much of it was read
  uint32_t granted_ = 0;                 // beyond such a window, for it is read
  uint32_t queued_head_bytes_ = 0;       // names and values of heads that the library has not written
  uint32_t held_ = 0;                    // bytes received for which the window is not given back: the stream is paused
  uint32_t held_fields_ = 0;             // bytes of heads and trailers received
  uint64_t length_left_ = 0;             // with counts_length_
  HeaderMap* fields_ = nullptr;          // of the section that is being received; null: they are dropped
  const HeaderMap* trailers_ = nullptr;  // that wait behind the data
  std::string protocol_;                 // of an extended CONNECT that we have sent
  Wire wire_;
  Slices unsent_;
};

// How a stream has ended.
struct StreamEnd {
  enum class Cause : uint8_t {
    kComplete,     // both messages, in order
    kPeerReset,    // RST_STREAM
    kPeerError,    // the peer broke the protocol; RST_STREAM is on its way to it
    kUnprocessed,  // GOAWAY or REFUSED_STREAM: the peer has not looked at the request, and never will
  };
  Cause cause = Cause::kComplete;
  ErrorCode code = ErrorCode::kNoError;
  Error error = Error::kNone;  // with kPeerError
  bool no_room = false;        // likewise: nothing is wrong with it, but that its connection holds so much
};

}  // namespace weir::http::h2
