#include "core/http/h2/session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "core/base/assert.h"
#include "core/http/h2/field_list.h"

namespace weir::http::h2 {
namespace {

constexpr size_t kCopyBelow = 2048;        // smaller pieces of a body are copied: an iovec costs more
constexpr uint32_t kSectionFactor = 16;    // a header block of so many times the limit costs the connection
constexpr uint8_t kFrameHeaderBytes = 9;
constexpr size_t kGoawayBytes = 17;
constexpr uint32_t kMaxSendBlockBytes = 1024 * 1024;
constexpr size_t kMaxContinuations = 32;
constexpr int32_t kSpareWindowUpdates = 5;

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
    case NGHTTP2_ERR_REFUSED_STREAM:
      return Error::kTooManyStreams;
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

void put32(uint8_t* to, uint32_t value) {
  to[0] = static_cast<uint8_t>(value >> 24);
  to[1] = static_cast<uint8_t>(value >> 16);
  to[2] = static_cast<uint8_t>(value >> 8);
  to[3] = static_cast<uint8_t>(value);
}

struct OptionDeleter {
  void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};

}  // namespace

// What the library calls. The user data is the session.
struct Session::Callbacks {
  static Session& of(void* user) { return *static_cast<Session*>(user); }
  // A failure that was found here stops the reading at once.
  static int verdict(const Session& session) {
    return session.failure_ != Error::kNone ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
  }

  static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* user) {
    Session& session = of(user);
    session.begin_frame(head->type, head->flags, head->length);
    return verdict(session);
  }

  static int on_begin_headers(nghttp2_session* library, const nghttp2_frame* frame, void* user) {
    Session& session = of(user);
    session.section_bytes_ = session.section_count_ = 0;
    session.section_too_large_ = false;
    if (session.stopped_) return 0;
    const int32_t id = frame->hd.stream_id;
    auto* known = static_cast<Stream*>(nghttp2_session_get_stream_user_data(library, id));
    if (session.gathering_ != nullptr && session.gathering_ == known) session.pass_on_gathered(false);
    session.begin_section(id, known);
    return verdict(session);
  }

  static int on_header(nghttp2_session* library, const nghttp2_frame* frame, nghttp2_rcbuf* name, nghttp2_rcbuf* value,
                       uint8_t, void* user) {
    Session& session = of(user);
    auto* stream = static_cast<Stream*>(nghttp2_session_get_stream_user_data(library, frame->hd.stream_id));
    if (stream == nullptr) {
      session.count_field(name, value);
      return verdict(session);
    }
    session.add_field(*stream, name, value);
    return verdict(session);
  }

  // A name or a value that is not one. Without this it would be passed over in silence.
  static int on_invalid_header(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf*, nghttp2_rcbuf*, uint8_t, void*) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int on_data_chunk(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t length, void* user) {
    Session& session = of(user);
    session.take_chunk(id, data, length);
    return verdict(session);
  }

  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Session& session = of(user);
    if (!session.stopped_) session.take_frame(frame);
    return verdict(session);
  }

  static int on_invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int error, void* user) {
    Session& session = of(user);
    session.invalid_frame(frame->hd.stream_id, error);
    return verdict(session);
  }

  static int on_stream_close(nghttp2_session* library, int32_t id, uint32_t code, void* user) {
    Session& session = of(user);
    auto* stream = static_cast<Stream*>(nghttp2_session_get_stream_user_data(library, id));
    if (stream == nullptr) return 0;
    StreamEnd end;
    end.code = static_cast<ErrorCode>(code);
    if (stream->end_sent_ && (stream->end_received_ || stream->reset_after_end_)) {
      end.code = ErrorCode::kNoError;
    } else if (session.goaway_received_ && code == NGHTTP2_REFUSED_STREAM) {
      end.cause = StreamEnd::Cause::kUnprocessed;
    } else {
      end.cause = StreamEnd::Cause::kPeerError;
      end.error = session.seen_error_ != Error::kNone ? session.seen_error_ : Error::kUnexpected;
    }
    session.close(*stream, end);
    return 0;
  }

  static int on_frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    of(user).frame_sent(frame);
    return 0;
  }

  static int on_frame_not_sent(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
    Session& session = of(user);
    if (frame->hd.type == NGHTTP2_HEADERS && session.queued_heads_ > 0) --session.queued_heads_;
    return 0;
  }

  static ssize_t read_data(nghttp2_session* library, int32_t id, uint8_t*, size_t length, uint32_t* flags,
                           nghttp2_data_source* source, void* user) {
    Session& session = of(user);
    if (session.out_->size() >= session.most_) return NGHTTP2_ERR_PAUSE;
    // One that nobody knows any more may be gone.
    if (session.find(id) != source->ptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    auto& stream = *static_cast<Stream*>(source->ptr);
    const size_t bytes = std::min(length, stream.unsent_.size());
    const bool all = bytes == stream.unsent_.size() && stream.end_given_;
    if (bytes == 0 && !all) {
      stream.deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (!all) return static_cast<ssize_t>(bytes);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream.trailers_ == nullptr) return static_cast<ssize_t>(bytes);
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    FieldList fields(stream.trailers_->size());
    stream.trailers_->for_each([&fields](const HeaderEntry& entry) {
      // Whether they may be written was looked at when they were given.
      if (!is_pseudo(entry.id) && !is_of_http1_connection(entry.id)) (void)fields.add(entry);
    });
    if (nghttp2_submit_trailer(library, id, fields.data(), fields.size()) != 0) return NGHTTP2_ERR_CALLBACK_FAILURE;
    ++session.queued_heads_;
    return static_cast<ssize_t>(bytes);
  }

  static int send_data(nghttp2_session*, nghttp2_frame*, const uint8_t* head, size_t length,
                       nghttp2_data_source* source, void* user) {
    Session& session = of(user);
    auto& stream = *static_cast<Stream*>(source->ptr);
    session.write(head, kFrameHeaderBytes);
    while (length > 0) {
      const Slice& front = stream.unsent_.front();
      const size_t bytes = std::min<size_t>(length, front.size);
      if (bytes < kCopyBelow) {
        session.write(front.data, bytes);
        stream.unsent_.drop_front(bytes);
      } else {
        stream.unsent_.move_front(bytes, *session.out_);
      }
      length -= bytes;
    }
    return 0;
  }

  static const nghttp2_session_callbacks* all() {
    static const nghttp2_session_callbacks* const callbacks = [] {
      nghttp2_session_callbacks* made = nullptr;
      WEIR_CHECK(nghttp2_session_callbacks_new(&made) == 0);
      nghttp2_session_callbacks_set_on_begin_frame_callback(made, on_begin_frame);
      nghttp2_session_callbacks_set_on_begin_headers_callback(made, on_begin_headers);
      nghttp2_session_callbacks_set_on_header_callback2(made, on_header);
      nghttp2_session_callbacks_set_on_invalid_header_callback2(made, on_invalid_header);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, on_data_chunk);
      nghttp2_session_callbacks_set_on_frame_recv_callback(made, on_frame);
      nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(made, on_invalid_frame);
      nghttp2_session_callbacks_set_on_stream_close_callback(made, on_stream_close);
      nghttp2_session_callbacks_set_on_frame_send_callback(made, on_frame_sent);
      nghttp2_session_callbacks_set_on_frame_not_send_callback(made, on_frame_not_sent);
      nghttp2_session_callbacks_set_send_data_callback(made, send_data);
      return made;
    }();
    return callbacks;
  }
};

Session::Session(Role role, BlockPool& pool, const Options& options) : pool_(pool), options_(options), role_(role) {
  nghttp2_option* raw = nullptr;
  WEIR_CHECK(nghttp2_option_new(&raw) == 0);
  std::unique_ptr<nghttp2_option, OptionDeleter> option(raw);
  nghttp2_option_set_no_auto_window_update(raw, 1);
  nghttp2_option_set_no_closed_streams(raw, 1);
  nghttp2_option_set_max_deflate_dynamic_table_size(raw, options.hpack_table_size);
  nghttp2_option_set_max_send_header_block_length(raw, kMaxSendBlockBytes);
  nghttp2_option_set_max_outbound_ack(raw, options.max_outbound_control_frames);
  nghttp2_option_set_max_continuations(raw, kMaxContinuations);
  nghttp2_option_set_stream_reset_rate_limit(raw, UINT64_MAX, UINT64_MAX);  // whose clock is not the lane's
  const bool server = role == Role::kServer;
  if (server) {
    WEIR_CHECK(nghttp2_session_server_new2(&session_, Callbacks::all(), this, raw) == 0);
  } else {
    nghttp2_option_set_max_reserved_remote_streams(raw, 0);
    WEIR_CHECK(nghttp2_session_client_new2(&session_, Callbacks::all(), this, raw) == 0);
  }
  nghttp2_settings_entry settings[6];
  size_t count = 0;
  auto set = [&](int32_t id, uint32_t value) { settings[count++] = {id, value}; };
  if (options.hpack_table_size != NGHTTP2_DEFAULT_HEADER_TABLE_SIZE)
    set(NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, options.hpack_table_size);
  if (server) {
    set(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams);
    if (options.allow_connect) set(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1);
    set(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1);
  } else {
    set(NGHTTP2_SETTINGS_ENABLE_PUSH, 0);
    set(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0);
  }
  set(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.stream_window);
  set(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options.max_head_bytes);
  WEIR_CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, count) == 0);
  WEIR_CHECK(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                                   static_cast<int32_t>(options.connection_window)) == 0);
}

Session::~Session() {
  while (Stream* stream = streams_.front()) detach(*stream);
  nghttp2_session_del(session_);
}

// --- Bytes in --------------------------------------------------------------------------------------------------------

void Session::receive(Slices& in) {
  while (!in.empty() && failure_ == Error::kNone && !stopped_) {
    const Slice slice = in.front();
    in.drop_front(slice.size);
    input_ = &slice;
    const std::string_view bytes = slice.view();
    const ssize_t read = nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    if (read < 0 && failure_ == Error::kNone) {
      failed_here_ = true;
      failure_ = error_of(static_cast<int>(read));
    }
    pass_on_gathered(false);
    input_ = nullptr;
  }
  in.clear();
  if (stopped_) return;
  if (failure_ == Error::kNone && !terminated_ && !(goaway_received_ && open_streams_ == 0) &&
      nghttp2_session_want_read(session_) == 0) {
    // The library ends the connection and has queued GOAWAY, which says why.
    failure_ = seen_error_ != Error::kNone ? seen_error_ : Error::kInvalidFrame;
  }
  if (failure_ == Error::kNone && queued_control_frames() > options_.max_outbound_control_frames) {
    fail(Error::kControlFrames);
  } else if (failure_ == Error::kNone && queued_frames() > options_.max_outbound_frames) {
    fail(Error::kFrames);
  }
  report_failure();
  if (stopped_) return;
  if (failure_ != Error::kNone || nghttp2_session_want_write(session_) != 0 || finished()) on_want_flush();
}

void Session::report_failure() {
  if (failure_ == Error::kNone || failure_reported_) return;
  failure_reported_ = true;
  while (Stream* stream = streams_.front()) detach(*stream);
  if (!stopped_) on_failed(failure_);
}

void Session::fail(Error error) {
  if (failure_ != Error::kNone) return;
  failure_ = error;
  failed_here_ = true;
  on_want_flush();
}

bool Session::finished() const {
  return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
}

size_t Session::queued_frames() const { return nghttp2_session_get_outbound_queue_size(session_); }
size_t Session::queued_control_frames() const {
  const size_t all = queued_frames();
  return all > queued_heads_ ? all - queued_heads_ : 0;
}

// Frames that cost more than they bring.
void Session::begin_frame(uint8_t type, uint8_t flags, size_t length) {
  switch (type) {
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
      if (length > 0 || (type != NGHTTP2_CONTINUATION && (flags & NGHTTP2_FLAG_END_STREAM) != 0)) {
        if (type != NGHTTP2_DATA || (flags & NGHTTP2_FLAG_PADDED) == 0) empty_frames_ = 0;
      } else if (++empty_frames_ > options_.max_empty_frames) {
        fail(Error::kEmptyFrames);
      }
      return;
    case NGHTTP2_PRIORITY:
      if (++priority_frames_ > uint64_t{options_.max_priority_frames_per_stream} * (1 + uint64_t{counts_.streams}))
        fail(Error::kPriorityFrames);
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

bool Session::count_field(void* name, void* value) {
  const size_t bytes = view_of(static_cast<nghttp2_rcbuf*>(name)).size() +
                       view_of(static_cast<nghttp2_rcbuf*>(value)).size();
  section_bytes_ += static_cast<uint32_t>(bytes);
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
      if (gathering_ != stream) pass_on_gathered(false);
      gathering_ = stream;
      pass_on_gathered(true);
      return;
    }
    case NGHTTP2_HEADERS: {
      Stream* stream = find(id);
      if (stream == nullptr) return;
      const size_t bytes = kFrameHeaderBytes + frame->hd.length;
      stream->wire_.received += bytes;
      stream->wire_.heads_received += bytes;
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
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) on_peer_settings();
      return;
    case NGHTTP2_PING:
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) on_pong();
      return;
    case NGHTTP2_GOAWAY:
      goaway_received_ = true;
      on_peer_goaway(frame->goaway.last_stream_id, static_cast<ErrorCode>(frame->goaway.error_code));
      return;
    default:
      return;
  }
}

void Session::invalid_frame(int32_t id, int library_error) {
  seen_error_ = error_of(library_error);
  const bool malformed = library_error == NGHTTP2_ERR_HTTP_HEADER || library_error == NGHTTP2_ERR_HTTP_MESSAGING;
  if (malformed) ++counts_.messaging_errors;
  if (library_error == NGHTTP2_ERR_REFUSED_STREAM) ++counts_.refused;
  if (stopped_) return;
  Stream* stream = id != 0 ? find(id) : nullptr;
  if (gathering_ != nullptr && gathering_ == stream) {
    pass_on_gathered(false);
    stream = find(id);
  }
  // RFC 9113 5.4.2: an error of a stream may be treated as one of the connection.
  if (malformed && !options_.stream_errors) {
    fail(seen_error_);
    return;
  }
  if (stream == nullptr) return;
  StreamEnd end;
  end.cause = StreamEnd::Cause::kPeerError;
  end.error = seen_error_;
  end.code = error_code(seen_error_);
  close(*stream, end);
}

// --- Data in, and its windows ----------------------------------------------------------------------------------------

Stream* Session::find(int32_t id) const {
  return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session_, id));
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
    // Of the connection's window paused streams may hold so much: within it, none stops the others.
    if (held_ > options_.connection_window)
      withheld_ += bytes;
    else
      nghttp2_session_consume_connection(session_, bytes);
    return;
  }
  nghttp2_session_consume(session_, id, bytes);
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

void Session::give_back_withheld() {
  if (withheld_ == 0 || held_ > options_.connection_window) return;
  nghttp2_session_consume_connection(session_, withheld_);
  withheld_ = 0;
}

// --- Streams ---------------------------------------------------------------------------------------------------------

void Session::attach(Stream& stream, int32_t id) {
  WEIR_ASSERT(!stream.attached_);
  stream.id_ = id;
  stream.attached_ = true;
  streams_.push_back(stream);
  ++open_streams_;
  ++counts_.streams;
}

void Session::detach(Stream& stream) {
  if (!stream.attached_) return;
  stream.attached_ = false;
  stream.node_.unlink();
  --open_streams_;
  if (gathering_ == &stream) {
    gathering_ = nullptr;
    if (!gathered_.empty()) nghttp2_session_consume(session_, stream.id_, gathered_.size());
    gathered_.clear();
  }
  held_ -= stream.held_;
  stream.held_ = 0;
  give_back_withheld();
  stream.unsent_.clear();
  stream.fields_ = nullptr;
  stream.trailers_ = nullptr;
  nghttp2_session_set_stream_user_data(session_, stream.id_, nullptr);
}

void Session::close(Stream& stream, const StreamEnd& end) {
  detach(stream);
  if (!stopped_) on_closed(stream, end);
}

void Session::reset(Stream& stream, ErrorCode code) {
  if (!stream.attached_) return;
  const int32_t id = stream.id_;
  detach(stream);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, static_cast<uint32_t>(code));
  on_want_flush();
}

void Session::reset_after_end(Stream& stream) {
  if (!stream.attached_ || stream.reset_after_end_ || stream.end_received_) return;
  stream.reset_after_end_ = true;
  if (!stream.end_sent_) return;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id_, NGHTTP2_NO_ERROR);
  on_want_flush();
}

void Session::end_sent(Stream& stream) {
  stream.end_sent_ = true;
  if (stream.reset_after_end_ && !stream.end_received_)
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id_, NGHTTP2_NO_ERROR);
}

bool Session::read_length(Stream& stream, const HeaderMap& map) {
  const std::string_view text = map.get(HeaderId::kContentLength);
  if (text.data() == nullptr) return true;
  stream.counts_length_ = true;
  return parse_decimal(text, stream.length_left_);
}

bool Session::submit_head(Stream& stream, const FieldList& fields, bool end) {
  nghttp2_data_provider body;
  body.source.ptr = &stream;
  body.read_callback = Callbacks::read_data;
  nghttp2_data_provider* const source = end ? nullptr : &body;
  if (role_ == Role::kServer) {
    if (nghttp2_submit_response(session_, stream.id_, fields.data(), fields.size(), source) != 0) return false;
  } else {
    const int32_t id = nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(), source, &stream);
    if (id < 0) return false;
    attach(stream, id);
  }
  ++queued_heads_;
  stream.head_given_ = true;
  stream.end_given_ = end;
  on_want_flush();
  return true;
}

bool Session::submit_informational(Stream& stream, const FieldList& fields) {
  if (nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream.id_, nullptr, fields.data(), fields.size(), nullptr) != 0)
    return false;
  ++queued_heads_;
  on_want_flush();
  return true;
}

bool Session::send_data(Stream& stream, Slices& data, bool end) {
  if (!stream.attached_) {
    data.clear();
    return true;
  }
  if (stream.end_given_) {
    // Of a response that has no body nothing is written (HEAD).
    const bool bodiless = stream.bodiless_;
    data.clear();
    return bodiless;
  }
  if (stream.bodiless_) data.clear();
  if (stream.counts_length_ && !stream.bodiless_) {
    if (data.size() > stream.length_left_ || (end && data.size() < stream.length_left_)) return false;
    stream.length_left_ -= data.size();
  }
  const bool had_none = stream.unsent_.empty();
  stream.unsent_.append_compact(data, pool_);
  data.clear();
  stream.end_given_ = end;
  if (stream.deferred_ && (end || (had_none && !stream.unsent_.empty()))) {
    stream.deferred_ = false;
    nghttp2_session_resume_data(session_, stream.id_);
  }
  on_want_flush();
  if (!stream.above_high_ && stream.unsent_.size() > options_.high_watermark) {
    stream.above_high_ = true;
    on_flow(stream, true);
  }
  return true;
}

bool Session::send_trailers(Stream& stream, const HeaderMap& trailers) {
  if (!stream.attached_) return true;
  if (stream.end_given_) return stream.bodiless_;
  if (stream.counts_length_ && !stream.bodiless_ && stream.length_left_ > 0) return false;
  bool any = false;
  bool valid = true;
  trailers.for_each([&](const HeaderEntry& entry) {
    if (is_pseudo(entry.id) || is_of_http1_connection(entry.id)) return;
    any = true;
    valid = valid && FieldList::is_valid_value(entry.value()) &&
            (entry.id != HeaderId::kNone || FieldList::is_valid_name(entry.name()));
  });
  if (!valid) return false;
  if (any && !stream.bodiless_) stream.trailers_ = &trailers;
  stream.end_given_ = true;
  if (stream.deferred_) {
    stream.deferred_ = false;
    nghttp2_session_resume_data(session_, stream.id_);
  }
  on_want_flush();
  return true;
}

// --- Bytes out -------------------------------------------------------------------------------------------------------

// Behind everything in the output, in a block of its own that only grows: others may hold what is in it already.
void Session::write(const void* bytes, size_t size) {
  const char* from = static_cast<const char*>(bytes);
  while (size > 0) {
    if (!write_block_ || write_block_->room() == 0) write_block_ = pool_.take();
    const size_t part = std::min(size, write_block_->room());
    char* to = write_block_->data() + write_block_->used();
    std::memcpy(to, from, part);
    write_block_->set_used(write_block_->used() + part);
    out_->append(Slice(write_block_, to, part));
    from += part;
    size -= part;
  }
}

void Session::write_goaway() {
  if (goaway_written_) return;
  goaway_written_ = true;
  uint8_t frame[kGoawayBytes] = {0, 0, kGoawayBytes - kFrameHeaderBytes, NGHTTP2_GOAWAY};
  const int32_t last = role_ == Role::kServer ? nghttp2_session_get_last_proc_stream_id(session_) : 0;
  put32(frame + kFrameHeaderBytes, static_cast<uint32_t>(last));
  put32(frame + kFrameHeaderBytes + 4, static_cast<uint32_t>(error_code(failure_)));
  write(frame, sizeof(frame));
  ++counts_.goaways_sent;
}

bool Session::flush(Slices& out, size_t most) {
  out_ = &out;
  most_ = most;
  bool more = false;
  // Frames end with each call, so GOAWAY may follow anything.
  while (!failed_here_) {
    if (out.size() >= most) {
      more = nghttp2_session_want_write(session_) != 0;
      break;
    }
    const uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
    if (size < 0) {
      fail(Error::kUnexpected);
      break;
    }
    if (size == 0) {
      more = out.size() >= most;
      break;
    }
    write(bytes, static_cast<size_t>(size));
  }
  if (failed_here_) write_goaway();
  write_block_ = BlockRef();
  out_ = nullptr;
  report_failure();
  return more;
}

void Session::frame_sent(const void* raw) {
  const auto* frame = static_cast<const nghttp2_frame*>(raw);
  switch (frame->hd.type) {
    case NGHTTP2_HEADERS: {
      if (queued_heads_ > 0) --queued_heads_;
      Stream* stream = find(frame->hd.stream_id);
      if (stream == nullptr) return;
      const size_t bytes = kFrameHeaderBytes + frame->hd.length;
      stream->wire_.sent += bytes;
      stream->wire_.heads_sent += bytes;
      if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) end_sent(*stream);
      return;
    }
    case NGHTTP2_DATA: {
      ++data_frames_sent_;
      Stream* stream = find(frame->hd.stream_id);
      if (stream == nullptr) return;
      stream->wire_.sent += kFrameHeaderBytes + frame->hd.length;
      if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) end_sent(*stream);
      if (stream->above_high_ && stream->unsent_.size() <= options_.high_watermark / 2) {
        stream->above_high_ = false;
        if (!stopped_) on_flow(*stream, false);
      }
      return;
    }
    case NGHTTP2_RST_STREAM:
      ++counts_.tx_resets;
      return;
    case NGHTTP2_GOAWAY:
      ++counts_.goaways_sent;
      return;
    default:
      return;
  }
}

// --- The connection --------------------------------------------------------------------------------------------------

void Session::ping() {
  if (nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr) == 0) on_want_flush();
}

void Session::announce_shutdown() {
  if (role_ == Role::kServer && nghttp2_submit_shutdown_notice(session_) == 0) on_want_flush();
}

void Session::shut_down() {
  if (terminated_) return;
  terminated_ = true;
  const int32_t last = role_ == Role::kServer ? nghttp2_session_get_last_proc_stream_id(session_) : 0;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, nullptr, 0);
  on_want_flush();
}

uint32_t Session::peer_max_streams() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

bool Session::peer_allows_connect() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

}  // namespace weir::http::h2
