// What comes in: frames, fields and data, and the windows that are given back for it.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/assert.h"
#include "core/http/chars.h"
#include "core/http/h2/session_callbacks.h"

namespace weir::http::h2 {
namespace {

constexpr uint32_t kSectionFactor = 16;  // a header block of so many times the limit costs the connection
constexpr uint64_t kSpareWindowUpdates = 5;
constexpr uint32_t kFieldOverhead = 32;  // RFC 7541 4.1
// What a frame of data that nobody takes counts for, beside its bytes: an empty one, or one that no reset explains.
constexpr uint32_t kStrayFrame = 256;
constexpr uint64_t kLeastHeld = 1024 * 1024;
constexpr uint64_t kFieldsFactor = 24;  // of the buffer limit: 24 KiB for each of 1024 streams
constexpr uint32_t kSmallestWindow = 1024;
constexpr uint32_t kGrantBehind = 256 * 1024;
constexpr uint32_t kGranted = 1024 * 1024;

Error error_of(int library_error) {
  switch (library_error) {
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
      return Error::kBadPreface;
    case NGHTTP2_ERR_FLOODED:
      return Error::kControlFrames;
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
      return Error::kContinuations;
    case NGHTTP2_ERR_HTTP_HEADER:
      return Error::kInvalidField;
    case NGHTTP2_ERR_HTTP_MESSAGING:
      return Error::kInvalidMessage;
    case NGHTTP2_ERR_FRAME_SIZE_ERROR:
      return Error::kFrameSize;
    case NGHTTP2_ERR_FLOW_CONTROL:
      return Error::kFlowControl;
    case NGHTTP2_ERR_HEADER_COMP:
      return Error::kCompression;
    case NGHTTP2_ERR_STREAM_CLOSED:
      return Error::kStreamIsClosed;
    case NGHTTP2_ERR_NOMEM:
    case NGHTTP2_ERR_CALLBACK_FAILURE:
      return Error::kUnexpected;
    default:
      return Error::kInvalidFrame;
  }
}

std::string_view view_of(nghttp2_rcbuf* buffer) {
  nghttp2_vec bytes = nghttp2_rcbuf_get_buf(buffer);
  return {reinterpret_cast<const char*>(bytes.base), bytes.len};
}

}  // namespace

void Session::receive(Slices& in) {
  while (!in.empty() && failure_ == Error::kNone && !stopped_) {
    const Slice slice = in.front();
    in.drop_front(slice.size);
    input_ = &slice;
    const std::string_view bytes = slice.view();
    look_for_data(bytes);
    const ssize_t read =
        nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    if (read < 0 && failure_ == Error::kNone) {
      failed_here_ = true;
      failure_ = error_of(static_cast<int>(read));
    }
    pass_on_gathered(false);
    input_ = nullptr;
    if (too_much_stray_data()) fail(Error::kStrayData);
  }
  in.clear();
  if (stopped_) return;
  if (failure_ == Error::kNone && queued_control_frames() > options_.max_outbound_control_frames + own_frames_) {
    fail(Error::kControlFrames);
  } else if (failure_ == Error::kNone && queued_frames() > options_.max_outbound_frames + own_frames_) {
    fail(Error::kFrames);
  }
  report_failure();
  if (stopped_) return;
  if (failure_ != Error::kNone || nghttp2_session_want_write(session_) != 0 || finished()) on_want_flush();
}

void Session::look_for_data(std::string_view bytes) {
  while (true) {
    const size_t skipped = std::min<size_t>(payload_left_, bytes.size());
    payload_left_ -= static_cast<uint32_t>(skipped);
    bytes.remove_prefix(skipped);
    if (bytes.empty()) return;
    const size_t part = std::min(head_.size() - head_size_, bytes.size());
    std::memcpy(head_.data() + head_size_, bytes.data(), part);
    head_size_ = static_cast<uint8_t>(head_size_ + part);
    bytes.remove_prefix(part);
    if (head_size_ < head_.size()) return;
    head_size_ = 0;
    payload_left_ = static_cast<uint32_t>(head_[0] << 16 | head_[1] << 8 | head_[2]);
    if (head_[3] != NGHTTP2_DATA) continue;
    ++stray_frames_;  // unless begin_frame() hears of it
    stray_bytes_ += payload_left_ > 0 ? payload_left_ : kStrayFrame;
  }
}

// What a peer sent before it knew of a reset is as much as windows had room for, in frames as small as it likes, and in
// order. The library gives the connection's window back for it.
bool Session::too_much_stray_data() const {
  if (stray_frames_ == 0) [[likely]]
    return false;
  const uint64_t resets = uint64_t{counts_.tx_resets} + counts_.refused;
  if (resets == 0) return stray_bytes_ + stray_frames_ * kStrayFrame > options_.connection_window;
  return stray_bytes_ > options_.connection_window + resets * options_.stream_window;
}

// Frames that cost more than they bring.
void Session::begin_frame(uint8_t type, uint8_t flags, int32_t id, size_t length) {
  switch (type) {
    case NGHTTP2_HEADERS:
      if (id <= last_begun_ && has_ended(id)) {
        fail(Error::kStreamIsClosed);
        return;
      }
      [[fallthrough]];
    case NGHTTP2_DATA:
      if (type == NGHTTP2_DATA) {
        --stray_frames_;
        stray_bytes_ -= length > 0 ? length : kStrayFrame;
      }
      [[fallthrough]];
    case NGHTTP2_CONTINUATION:
      if (length > 0 || (type != NGHTTP2_CONTINUATION && (flags & NGHTTP2_FLAG_END_STREAM) != 0)) {
        if (type != NGHTTP2_DATA || (flags & NGHTTP2_FLAG_PADDED) == 0) empty_frames_ = 0;
      } else if (++empty_frames_ > options_.max_empty_frames) {
        fail(Error::kEmptyFrames);
      }
      return;
    case NGHTTP2_PRIORITY:
      // The library passes over them.
      if (id == 0)
        fail(Error::kInvalidFrame);
      else if (++priority_frames_ > uint64_t{options_.max_priority_frames_per_stream} * (1 + uint64_t{counts_.streams}))
        fail(Error::kPriorityFrames);
      return;
    case NGHTTP2_SETTINGS:
      queued_before_settings_ = queued_frames();
      return;
    case NGHTTP2_WINDOW_UPDATE:
      if (++window_updates_ >
          kSpareWindowUpdates +
              2 * (counts_.streams + uint64_t{options_.max_window_updates_per_data_frame} * data_frames_sent_))
        fail(Error::kWindowUpdates);
      return;
    default:
      return;
  }
}

// Of streams up to last_begun_. False: it may have been reset here.
bool Session::has_ended(int32_t id) const {
  return nghttp2_session_find_stream(session_, id) == nullptr && id > last_reset_forgotten_ && id % 2 != 0 &&
         std::find(last_resets_.begin(), last_resets_.end(), id) == last_resets_.end();
}

void Session::note_reset(int32_t id) {
  int32_t& place = last_resets_[resets_noted_++ % last_resets_.size()];
  last_reset_forgotten_ = std::max(last_reset_forgotten_, std::exchange(place, id));
}

bool Session::count_field(void* name, void* value) {
  const std::string_view text = view_of(static_cast<nghttp2_rcbuf*>(name));
  section_bytes_ += static_cast<uint32_t>(text.size() + view_of(static_cast<nghttp2_rcbuf*>(value)).size());
  // The crumbs of a cookie are one field.
  if (text != "cookie")
    ++section_count_;
  else if (std::exchange(section_has_cookie_, true))
    section_bytes_ += kFieldOverhead;
  else
    ++section_count_;
  if (section_bytes_ <= options_.max_head_bytes && section_count_ <= options_.max_header_count) [[likely]]
    return true;
  if (!section_too_large_) {
    section_too_large_ = true;
    ++counts_.header_overflows;
  }
  // Decoding goes on, for the next block's sake; but not for ever.
  if (section_bytes_ / kSectionFactor > options_.max_head_bytes ||
      section_count_ / kSectionFactor > options_.max_header_count)
    fail(Error::kTooManyHeaders);
  return false;
}

bool Session::fields_hold_too_much() const { return held_fields_ >= kFieldsFactor * options_.buffer_limit; }

// What was beyond the limits is not in the map.
void Session::count_held_fields(Stream& stream) {
  const uint32_t bytes = std::min(section_bytes_, options_.max_head_bytes) +
                         kFieldOverhead * std::min(section_count_, options_.max_header_count);
  stream.held_fields_ += bytes;
  held_fields_ += bytes;
}

void Session::add_field(Stream& stream, void* name, void* value) {
  if (!count_field(name, value)) return;
  auto* name_buffer = static_cast<nghttp2_rcbuf*>(name);
  auto* value_buffer = static_cast<nghttp2_rcbuf*>(value);
  const std::string_view text = view_of(name_buffer);
  const HeaderId id = find_header_id(text);
  std::string_view content = view_of(value_buffer);
  if (id == HeaderId::kStatus && stream.fields_ == nullptr) stream.fields_ = begin_response_fields(stream, content);
  if (stream.fields_ == nullptr) return;
  HeaderMap& map = *stream.fields_;
  if (nghttp2_rcbuf_is_static(value_buffer) == 0) content = map.arena().copy_or_empty(content);
  if (!take_field(id, content)) return;
  if (id != HeaderId::kNone) {
    map.add(id, content);
  } else {
    map.add(id, nghttp2_rcbuf_is_static(name_buffer) != 0 ? text : map.arena().copy(text), content);
  }
}

void Session::take_frame(const void* raw) {
  const auto* frame = static_cast<const nghttp2_frame*>(raw);
  const int32_t id = frame->hd.stream_id;
  switch (frame->hd.type) {
    case NGHTTP2_DATA: {
      // Padding alone is as empty as nothing.
      if ((frame->hd.flags & NGHTTP2_FLAG_PADDED) != 0) {
        if (frame->data.padlen < frame->hd.length || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
          empty_frames_ = 0;
        } else if (++empty_frames_ > options_.max_empty_frames) {
          fail(Error::kEmptyFrames);
          return;
        }
      }
      Stream* stream = find(id);
      if (stream == nullptr) return;
      stream->wire_.received += kFrameHeaderBytes + frame->hd.length;
      if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return;
      if (gathering_ != stream) {
        pass_on_gathered(false);
        stream = find(id);  // that may have been the end of others, too
        if (stream == nullptr || stopped_) return;
        gathering_ = stream;
      }
      pass_on_gathered(true);
      return;
    }
    case NGHTTP2_HEADERS: {
      Stream* stream = find(id);
      if (stream == nullptr) return;
      const size_t bytes = kFrameHeaderBytes + frame->hd.length;
      stream->wire_.received += bytes;
      stream->wire_.heads_received += bytes;
      stream->wire_.fields_received += section_bytes_;
      count_held_fields(*stream);
      const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
      if (end) stream->end_received_ = true;
      end_section(*stream, end);
      return;
    }
    case NGHTTP2_RST_STREAM: {
      ++counts_.rx_resets;
      Stream* stream = find(id);
      if (stream == nullptr) return;
      if (gathering_ == stream) pass_on_gathered(false);
      stream = find(id);  // unless that was its end
      if (stream == nullptr) return;
      StreamEnd end;
      end.code = static_cast<ErrorCode>(frame->rst_stream.error_code);
      end.cause = role_ == Role::kClient && end.code == ErrorCode::kRefusedStream ? StreamEnd::Cause::kUnprocessed
                                                                                  : StreamEnd::Cause::kPeerReset;
      close(*stream, end);
      return;
    }
    case NGHTTP2_SETTINGS:
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
        // Of every stream whose window is smaller now, what was consumed may be worth a WINDOW_UPDATE.
        own_frames_ = queued_frames() - queued_before_settings_;
        if (--settings_not_known_ > 0 || withheld_ == 0) return;
        give_back_withheld();
        on_want_flush();
        return;
      }
      // The library has queued its answer, and RST_STREAM for every stream whose window has become too large; RFC 9113
      // 6.9.2 has it that this ends the connection.
      if (queued_frames() > queued_before_settings_ + 1) {
        fail(Error::kFlowControl);
        return;
      }
      on_peer_settings();
      return;
    case NGHTTP2_PING:
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) on_pong();
      return;
    case NGHTTP2_GOAWAY:
      pass_on_gathered(false);  // its stream may end now
      goaway_received_ = true;
      if (stopped_) return;
      on_peer_goaway(frame->goaway.last_stream_id, static_cast<ErrorCode>(frame->goaway.error_code));
      return;
    default:
      return;
  }
}

void Session::invalid_frame(int32_t id, int library_error) {
  const Error error = error_of(library_error);
  const bool malformed = library_error == NGHTTP2_ERR_HTTP_HEADER || library_error == NGHTTP2_ERR_HTTP_MESSAGING;
  if (malformed)
    ++counts_.messaging_errors;
  else
    seen_error_ = error;  // perhaps of the whole connection
  if (stopped_) return;
  Stream* stream = id != 0 ? find(id) : nullptr;
  if (gathering_ != nullptr && gathering_ == stream) {
    pass_on_gathered(false);
    stream = find(id);
  }
  // RFC 9113 5.4.1: an error of a stream may be treated as one of the connection.
  if (malformed && !options_.stream_errors) {
    fail(error);
    return;
  }
  if (stream == nullptr) return;
  StreamEnd end;
  end.cause = StreamEnd::Cause::kPeerError;
  end.error = error;
  end.code = error_code(error);
  close(*stream, end);
}

// --- Data in, and its windows ----------------------------------------------------------------------------------------

Stream* Session::look_up(int32_t id) const {
  auto* stream = static_cast<Stream*>(nghttp2_session_get_stream_user_data(session_, id));
  if (stream != nullptr) found_ = stream;
  return stream;
}

void Session::take_chunk(int32_t id, const uint8_t* data, size_t length) {
  Stream* stream = stopped_ ? nullptr : find(id);
  if (stream == nullptr) {  // nobody wants it any more
    nghttp2_session_consume(session_, id, length);
    return;
  }
  if (gathering_ != stream) {
    pass_on_gathered(false);
    stream = find(id);
    if (stream == nullptr) {
      nghttp2_session_consume(session_, id, length);
      return;
    }
    gathering_ = stream;
  }
  const auto* at = reinterpret_cast<const char*>(data);
  WEIR_ASSERT(at >= input_->data && at + length <= input_->data + input_->size);
  gathered_.append(Slice(input_->block, at, length));
}

void Session::pass_on_gathered(bool end) {
  if (gathering_ == nullptr) return;
  Stream& stream = *gathering_;
  gathering_ = nullptr;
  if (end) stream.end_received_ = true;
  const auto bytes = static_cast<uint32_t>(gathered_.size());
  const int32_t id = stream.id_;
  if (!stopped_ && stream.head_received_) on_data(stream, gathered_, end);
  gathered_.clear();
  if (bytes == 0) return;
  // The stream may have ended meanwhile.
  Stream* still = find(id);
  if (still != nullptr && still->paused_) {
    still->held_ += bytes;
    held_ += bytes;
    if (held_ > most_held() / 4) [[unlikely]]
      narrow_windows();
    // Else none of them stops the others: the connection's window is theirs.
    if (holds_too_much())
      withheld_ += bytes;
    else
      nghttp2_session_consume_connection(session_, bytes);
    return;
  }
  nghttp2_session_consume(session_, id, bytes);
  if (narrow_ != 0 && still != nullptr) [[unlikely]]
    grant(*still, bytes);
}

void Session::unpause(Stream& stream) {
  stream.paused_ = false;
  const uint32_t bytes = stream.held_;
  if (bytes == 0) return;
  stream.held_ = 0;
  held_ -= bytes;
  if (stream.attached_) nghttp2_session_consume_stream(session_, stream.id_, bytes);
  give_back_withheld();
  if (!stopped_) on_want_flush();
}

// The connection's window, which is made for the speed of one stream, may be less than a few streams bring.
uint64_t Session::most_held() const { return std::max<uint64_t>(options_.connection_window, kLeastHeld); }

bool Session::holds_too_much() const {
  // It may still send by the old windows.
  if (awaits_settings_ack()) return held_ > most_held() / 2;
  return held_ > 2 * most_held();
}

// Where streams that nobody reads hold much, all of them get small windows, also those that are open (RFC 9113 6.9.2):
// so small that all that may still come is a quarter of what may be held. The more streams, the smaller.
void Session::narrow_windows() {
  const uint64_t share = most_held() / 4 / (open_streams_ + 1);
  const auto small = static_cast<uint32_t>(std::clamp<uint64_t>(share, kSmallestWindow, 65535));
  if (small < options_.stream_window && (narrow_ == 0 || small <= narrow_ / 2)) set_stream_window(small);
}

// Who has shown that it reads is not to pay for those that do not: it gets a window for a good way, as long as all that
// is granted so is half of what may be held.
void Session::grant(Stream& stream, uint32_t bytes_read) {
  if (stream.granted_ > 0 || settings_not_known_ > 0) return;  // the old window is there until they are known
  stream.read_narrow_ += std::min(bytes_read, kGrantBehind);
  const uint32_t window = std::min(options_.stream_window, kGranted);
  if (stream.read_narrow_ < kGrantBehind || window <= narrow_ || granted_ + window > most_held() / 2) return;
  if (nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, stream.id_, static_cast<int32_t>(window)) != 0)
    return;
  stream.granted_ = window;
  granted_ += window;
}

void Session::set_stream_window(uint32_t bytes) {
  const nghttp2_settings_entry window{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, bytes};
  if (nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, &window, 1) != 0) return;
  ++settings_not_known_;
  if (narrow_ == 0 && bytes < options_.stream_window) ++counts_.narrowed;
  narrow_ = bytes < options_.stream_window ? bytes : 0;
}

void Session::give_back_withheld() {
  if (narrow_ != 0 && held_ < most_held() / 8) [[unlikely]]
    set_stream_window(options_.stream_window);
  if (withheld_ == 0 || holds_too_much()) return;
  nghttp2_session_consume_connection(session_, withheld_);
  withheld_ = 0;
}

}  // namespace weir::http::h2
