#include "core/http/h2/session_callbacks.h"

#include <algorithm>

#include "core/base/assert.h"
#include "core/http/h2/field_list.h"

namespace weir::http::h2 {
namespace {

constexpr size_t kCopyDataBelow = 2048;  // smaller pieces of a body are copied: an iovec costs more

}  // namespace

struct Session::Callbacks::Handlers {
  static Session& of(void* user) { return *static_cast<Session*>(user); }
  // A failure that was found here stops the reading at once.
  static int verdict(const Session& session) {
    return session.failure_ != Error::kNone ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
  }

  static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* user) {
    Session& session = of(user);
    session.begin_frame(head->type, head->flags, head->stream_id, head->length);
    return verdict(session);
  }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Session& session = of(user);
    session.section_bytes_ = session.section_count_ = 0;
    session.section_too_large_ = session.section_has_cookie_ = false;
    if (session.stopped_) return 0;
    const int32_t id = frame->hd.stream_id;
    Stream* known = session.find(id);
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
      session.last_begun_ = id;
    else if (known == nullptr)
      return 0;  // nobody knows it any more
    if (session.gathering_ != nullptr && session.gathering_ == known) {
      session.pass_on_gathered(false);
      known = session.find(id);
      if (known == nullptr || session.stopped_) return verdict(session);  // that was its end
    }
    session.begin_section(id, known);
    return verdict(session);
  }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf* name, nghttp2_rcbuf* value, uint8_t,
                       void* user) {
    Session& session = of(user);
    Stream* stream = session.find(frame->hd.stream_id);
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

  static int on_stream_close(nghttp2_session*, int32_t id, uint32_t code, void* user) {
    Session& session = of(user);
    Stream* stream = session.find(id);
    if (stream == nullptr) return 0;
    StreamEnd end;
    end.code = static_cast<ErrorCode>(code);
    if (stream->end_sent_ && (stream->end_received_ || stream->reset_after_end_)) {
      end.code = ErrorCode::kNoError;
    } else if (session.goaway_received_ && code == NGHTTP2_REFUSED_STREAM) {
      end.cause = StreamEnd::Cause::kUnprocessed;
    } else {
      end.cause = StreamEnd::Cause::kPeerError;
      end.error = session.error_behind(code, Error::kInvalidMessage);
      if (end.error == Error::kInvalidMessage) ++session.counts_.messaging_errors;
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

  static int send_data(nghttp2_session*, nghttp2_frame*, const uint8_t* head, size_t length,
                       nghttp2_data_source* source, void* user) {
    Session& session = of(user);
    auto& stream = *static_cast<Stream*>(source->ptr);
    session.write(head, kFrameHeaderBytes);
    session.unsent_ -= length;
    while (length > 0) {
      const Slice& front = stream.unsent_.front();
      const size_t bytes = std::min<size_t>(length, front.size);
      if (bytes < kCopyDataBelow) {
        session.write(front.data, bytes);
        stream.unsent_.drop_front(bytes);
      } else {
        stream.unsent_.move_front(bytes, *session.out_);
      }
      length -= bytes;
    }
    return 0;
  }
};

ssize_t Session::Callbacks::read_data(nghttp2_session* library, int32_t id, uint8_t*, size_t length, uint32_t* flags,
                                      nghttp2_data_source* source, void* user) {
  Session& session = *static_cast<Session*>(user);
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
    if (!is_left_out(entry.id)) (void)fields.add(entry);
  });
  if (nghttp2_submit_trailer(library, id, fields.data(), fields.size()) != 0) return NGHTTP2_ERR_CALLBACK_FAILURE;
  stream.wire_.fields_sent += fields.plain_bytes();
  ++session.queued_heads_;
  return static_cast<ssize_t>(bytes);
}

const nghttp2_session_callbacks* Session::Callbacks::all() {
  static const nghttp2_session_callbacks* const callbacks = [] {
    nghttp2_session_callbacks* made = nullptr;
    WEIR_CHECK(nghttp2_session_callbacks_new(&made) == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(made, Handlers::on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, Handlers::on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(made, Handlers::on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(made, Handlers::on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, Handlers::on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, Handlers::on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(made, Handlers::on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, Handlers::on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, Handlers::on_frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(made, Handlers::on_frame_not_sent);
    nghttp2_session_callbacks_set_send_data_callback(made, Handlers::send_data);
    return made;
  }();
  return callbacks;
}

}  // namespace weir::http::h2
