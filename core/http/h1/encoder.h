// Writes HTTP/1.1 messages into a queue of slices. Heads are copied into one write block; body slices of 2 KiB and more
// are appended by reference. A head or section that may not be written leaves the output as it was.
#pragma once

#include <cstdint>

#include "core/base/block.h"
#include "core/http/h1/error.h"
#include "core/http/h1/message.h"
#include "core/http/header_map.h"

namespace weir::http::h1 {

// What a head says about its body and connection. Decided by the codecs; the map's own transfer-encoding is never
// written, so that no message can carry two framings.
struct Framing {
  // A `connection` line beside those of the map.
  enum class Connection : uint8_t { kAsIs, kClose, kKeepAlive, kTe, kCloseAndTe };

  BodyKind body = BodyKind::kNone;
  uint64_t length = 0;           // with BodyKind::kLength: what encode_data() counts against
  bool skip_length = false;      // the map's content-length is not written
  bool add_zero_length = false;  // write "content-length: 0"
  Connection connection = Connection::kAsIs;
  bool proper_case = false;
  bool absolute_form = false;  // of requests, but CONNECT and those without an authority
};

// Request line from :method and :path (CONNECT: :authority), then `host` from :authority, then the fields. In
// absolute-form the target is of :scheme (http if there is none), :authority and :path.
[[nodiscard]] EncodeError encode_request_head(const HeaderMap& map, const Framing& framing, Slices& out,
                                              BlockPool& pool);
// Status line from :status with the registered reason, then the fields.
[[nodiscard]] EncodeError encode_response_head(const HeaderMap& map, const Framing& framing, Slices& out,
                                               BlockPool& pool);

// The content-length of a map about to be written. kNone with has_length false if there is none.
[[nodiscard]] EncodeError read_content_length(const HeaderMap& map, bool& has_length, uint64_t& length);

// The body behind one head.
class BodyEncoder {
 public:
  // With end_stream the message is complete. `kind` kNone takes and drops what is written (HEAD, 204, 304).
  void start(const Framing& framing, bool end_stream) {
    kind_ = framing.body;
    remaining_ = framing.length;
    state_ = end_stream ? State::kDone : State::kBody;
  }
  void reset() { state_ = State::kIdle; }
  // From now on bytes pass as they are.
  void enter_tunnel() {
    kind_ = BodyKind::kTunnel;
    state_ = State::kBody;
  }
  // Takes everything in `data`. After an error the message cannot be completed.
  [[nodiscard]] EncodeError encode_data(Slices& data, bool end_stream, Slices& out, BlockPool& pool);
  // Ends the message. Dropped unless the body is chunked; those forbidden as trailers are left out.
  [[nodiscard]] EncodeError encode_trailers(const HeaderMap& trailers, bool proper_case, Slices& out, BlockPool& pool);

  bool idle() const { return state_ == State::kIdle; }
  bool done() const { return state_ == State::kDone; }
  BodyKind kind() const { return kind_; }

 private:
  enum class State : uint8_t { kIdle, kBody, kDone };

  uint64_t remaining_ = 0;
  BodyKind kind_ = BodyKind::kNone;
  State state_ = State::kIdle;
};

// Room for `bytes` contiguous bytes at the end of `out`: in the last block that only `out` refers to, else in a new
// one. Nothing is appended until commit(); at most `bytes` may be written.
class Reservation {
 public:
  Reservation(Slices& out, BlockPool& pool, size_t bytes);
  char* begin() const { return begin_; }
  void commit(const char* end);

 private:
  Slices& out_;
  BlockRef block_;
  char* begin_;
};

}  // namespace weir::http::h1
