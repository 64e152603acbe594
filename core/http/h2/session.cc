#include "core/http/h2/session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "core/base/assert.h"
#include "core/http/h2/field_list.h"
#include "core/http/h2/memory.h"
#include "core/http/h2/session_callbacks.h"

namespace weir::http::h2 {
namespace {

constexpr size_t kGoawayBytes = 17;
constexpr uint64_t kMostRefused = 4096;  // streams, beside as many as were not
// Of a connection so many streams' worth of unsent bytes may wait, and of heads; then no writer goes on beyond a little
// of its own.
constexpr uint64_t kFullStreams = 8;
constexpr size_t kLittleUnsent = 16 * 1024;
constexpr uint32_t kPrefaceBytes = 24;                     // RFC 9113 3.4
constexpr size_t kFirstSettingAt = kFrameHeaderBytes + 2;  // its value, behind the identifier
// Pieces of a head: so many, and of a large one so many as are not smaller than this.
constexpr size_t kMaxContinuations = 32;
constexpr size_t kSmallPiece = 2048;

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

Session::Session(Role role, BlockPool& pool, const Options& options) : pool_(pool), options_(options), role_(role) {
  nghttp2_option* raw = nullptr;
  WEIR_CHECK(nghttp2_option_new(&raw) == 0);
  std::unique_ptr<nghttp2_option, OptionDeleter> option(raw);
  nghttp2_option_set_no_auto_window_update(raw, 1);
  nghttp2_option_set_no_closed_streams(raw, 1);
  nghttp2_option_set_max_deflate_dynamic_table_size(raw, options.hpack_table_size);
  nghttp2_option_set_max_send_header_block_length(raw, kMaxSendBlockBytes);
  nghttp2_option_set_max_outbound_ack(raw, options.max_outbound_control_frames);
  nghttp2_option_set_max_continuations(raw, std::max<size_t>(kMaxContinuations, options.max_head_bytes / kSmallPiece));
  nghttp2_option_set_stream_reset_rate_limit(raw, UINT64_MAX, UINT64_MAX);  // whose clock is not the lane's
  const bool server = role == Role::kServer;
  if (server) {
    payload_left_ = kPrefaceBytes;
    WEIR_CHECK(nghttp2_session_server_new3(&session_, Callbacks::all(), this, raw, memory()) == 0);
  } else {
    settings_written_ = true;  // as the library has them
    nghttp2_option_set_max_reserved_remote_streams(raw, 0);
    WEIR_CHECK(nghttp2_session_client_new3(&session_, Callbacks::all(), this, raw, memory()) == 0);
  }
  nghttp2_settings_entry settings[6];
  size_t count = 0;
  auto set = [&](int32_t id, uint32_t value) { settings[count++] = {id, value}; };
  if (server) set(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, INT32_MAX);  // first: write_settings()
  if (options.hpack_table_size != NGHTTP2_DEFAULT_HEADER_TABLE_SIZE)
    set(NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, options.hpack_table_size);
  if (server) {
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
  heads_wait_ = false;
  while (Stream* stream = streams_.front()) detach(*stream);
  nghttp2_session_del(session_);
}

// --- Failures --------------------------------------------------------------------------------------------------------

void Session::report_failure() {
  if (failure_ == Error::kNone || failure_reported_) return;
  failure_reported_ = true;
  while (Stream* stream = streams_.front()) detach(*stream);
  if (!stopped_) on_failed(failure_);
}

Error Session::error_behind(uint32_t code, Error protocol_error) const {
  if (seen_error_ != Error::kNone && static_cast<uint32_t>(error_code(seen_error_)) == code) return seen_error_;
  switch (code) {
    case NGHTTP2_PROTOCOL_ERROR:
      return protocol_error;
    case NGHTTP2_FLOW_CONTROL_ERROR:
      return Error::kFlowControl;
    case NGHTTP2_STREAM_CLOSED:
      return Error::kStreamIsClosed;
    case NGHTTP2_FRAME_SIZE_ERROR:
      return Error::kFrameSize;
    case NGHTTP2_COMPRESSION_ERROR:
      return Error::kCompression;
    default:
      return Error::kUnexpected;
  }
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

// --- Streams ---------------------------------------------------------------------------------------------------------

void Session::attach(Stream& stream, int32_t id) {
  WEIR_ASSERT(!stream.attached_);
  stream.id_ = id;
  stream.attached_ = true;
  streams_.push_back(stream);
  ++open_streams_;
  ++counts_.streams;
  if (heads_wait_) [[unlikely]]
    hold_head(stream);
}

void Session::detach(Stream& stream) {
  if (!stream.attached_) return;
  stream.attached_ = false;
  if (found_ == &stream) found_ = nullptr;
  stream.node_.unlink();
  --open_streams_;
  head_left_queue(stream);
  if (gathering_ == &stream) {
    gathering_ = nullptr;
    if (!gathered_.empty()) nghttp2_session_consume(session_, stream.id_, gathered_.size());
    gathered_.clear();
  }
  held_ -= stream.held_;
  stream.held_ = 0;
  held_fields_ -= std::exchange(stream.held_fields_, 0);
  granted_ -= stream.granted_;
  stream.granted_ = 0;
  give_back_withheld();
  unsent_ -= stream.unsent_.size();
  stream.unsent_.clear();
  stream.fields_ = nullptr;
  stream.trailers_ = nullptr;
  nghttp2_session_set_stream_user_data(session_, stream.id_, nullptr);
}

void Session::close(Stream& stream, const StreamEnd& end) {
  detach(stream);
  if (!stopped_) on_closed(stream, end);
}

void Session::refuse(int32_t id) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
  if (++counts_.refused > kMostRefused + options_.max_concurrent_streams + counts_.streams) fail(Error::kControlFrames);
  on_want_flush();
}

void Session::reset(Stream& stream, ErrorCode code) {
  if (!stream.attached_) return;
  const int32_t id = stream.id_;
  detach(stream);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, static_cast<uint32_t>(code));
  on_want_flush();
}

void Session::give_up(Stream& stream, Error error, bool no_room) {
  reset(stream, role_ == Role::kClient ? ErrorCode::kCancel : error_code(error));
  StreamEnd end;
  end.cause = StreamEnd::Cause::kPeerError;
  end.error = error;
  end.code = error_code(error);
  end.no_room = no_room;
  on_closed(stream, end);
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
  if (!fields.fits()) return false;
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
  stream.head_given_ = true;
  count_queued_head(stream, fields);
  stream.end_given_ = end;
  on_want_flush();
  return true;
}

bool Session::submit_informational(Stream& stream, const FieldList& fields) {
  if (!fields.fits() || nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream.id_, nullptr, fields.data(),
                                               fields.size(), nullptr) != 0)
    return false;
  count_queued_head(stream, fields);
  on_want_flush();
  return true;
}

void Session::count_queued_head(Stream& stream, const FieldList& fields) {
  ++queued_heads_;
  const size_t bytes = fields.plain_bytes();
  stream.wire_.fields_sent += bytes;
  stream.queued_head_bytes_ += static_cast<uint32_t>(bytes);
  queued_head_bytes_ += bytes;
  if (role_ != Role::kServer || heads_wait_ || queued_head_bytes_ <= most_queued_heads()) [[likely]]
    return;
  heads_wait_ = true;
  streams_.for_each([this](Stream& each) { hold_head(each); });
}

uint64_t Session::most_queued_heads() const { return kFullStreams * options_.high_watermark; }

// Heads know no windows: whoever asks for many and reads none gets no more than these made. Only the reading of what
// answers stops.
void Session::hold_head(Stream& stream) {
  if (stream.head_given_ || stopped_) return;
  stream.head_waits_ = true;
  on_flow(stream, true);
}

void Session::head_left_queue(Stream& stream) {
  queued_head_bytes_ -= std::exchange(stream.queued_head_bytes_, 0);
  if (heads_wait_ && queued_head_bytes_ <= most_queued_heads() / 2) [[unlikely]]
    let_heads_come();
}

void Session::let_heads_come() {
  heads_wait_ = false;
  streams_.for_each([this](Stream& each) {
    const bool waited = each.head_waits_;
    each.head_waits_ = false;
    if (waited && !each.above_high_ && !stopped_) on_flow(each, false);
  });
}

// A peer that asks for much and takes none of it has few streams full and the others all but empty.
size_t Session::high_mark() const {
  const size_t high = options_.high_watermark;
  return unsent_ > kFullStreams * uint64_t{high} ? std::min(high, kLittleUnsent) : high;
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
  unsent_ += data.size();
  stream.unsent_.append_compact(data, pool_);
  data.clear();
  stream.end_given_ = end;
  if (stream.deferred_ && (end || (had_none && !stream.unsent_.empty()))) {
    stream.deferred_ = false;
    nghttp2_session_resume_data(session_, stream.id_);
  }
  on_want_flush();
  if (!stream.above_high_ && stream.unsent_.size() > high_mark()) {
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
  FieldList fields(trailers.size());
  trailers.for_each([&](const HeaderEntry& entry) {
    if (is_left_out(entry.id)) return;
    any = true;
    valid = fields.add(entry) && valid;
  });
  if (!valid || !fields.fits()) return false;
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

// Once its SETTINGS are acknowledged, the library ends the connection for a stream beyond their limit; such a stream
// alone is to be refused (RFC 9113 5.1.2). So it knows of no limit, and the peer is told of the one that
// ServerCodec::begin_section() holds to.
void Session::write_settings(const uint8_t* frame, size_t size) {
  WEIR_ASSERT(frame[3] == NGHTTP2_SETTINGS && size >= kFirstSettingAt + sizeof(uint32_t));
  uint8_t limit[sizeof(uint32_t)];
  put32(limit, options_.max_concurrent_streams);
  write(frame, kFirstSettingAt);
  write(limit, sizeof(limit));
  write(frame + kFirstSettingAt + sizeof(limit), size - kFirstSettingAt - sizeof(limit));
  settings_written_ = true;
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
    if (settings_written_) [[likely]]
      write(bytes, static_cast<size_t>(size));
    else
      write_settings(bytes, static_cast<size_t>(size));
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
      head_left_queue(*stream);
      if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) end_sent(*stream);
      return;
    }
    case NGHTTP2_DATA: {
      ++data_frames_sent_;
      Stream* stream = find(frame->hd.stream_id);
      if (stream == nullptr) return;
      stream->wire_.sent += kFrameHeaderBytes + frame->hd.length;
      if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) end_sent(*stream);
      if (stream->above_high_ && stream->unsent_.size() <= high_mark() / 2) {
        stream->above_high_ = false;
        if (!stopped_) on_flow(*stream, false);
      }
      return;
    }
    case NGHTTP2_RST_STREAM:
      ++counts_.tx_resets;
      note_reset(frame->hd.stream_id);
      return;
    case NGHTTP2_GOAWAY:
      ++counts_.goaways_sent;
      // The library ends the connection.
      if (frame->goaway.error_code != NGHTTP2_NO_ERROR && failure_ == Error::kNone)
        failure_ = error_behind(frame->goaway.error_code, Error::kInvalidFrame);
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
