// What both ends of an HTTP/2 connection have in common: nghttp2 without I/O, windows, limits, and the bytes of streams
// that wait for the peer. [worker]
//
// Bytes come in through receive(), whatever they cause is told as events, and bytes go out through flush() and nowhere
// else. Anything here but receive(), flush() and the destructor may be called inside an event.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/base/block.h"
#include "core/base/time.h"
#include "core/http/h2/counts.h"
#include "core/http/h2/error.h"
#include "core/http/h2/options.h"
#include "core/http/h2/stream.h"
#include "core/http/header_map.h"

struct nghttp2_session;

namespace weir::http::h2 {

// Bytes of input that begin a connection of HTTP/2 and none of HTTP/1: so much of its preface (RFC 9113 3.4) is enough.
inline constexpr std::string_view kPrefaceStart = "PRI * HTTP/2.0\r\n\r\n";
// The owner's patience with a peer of which awaits_settings_ack() is true (RFC 9113 6.5.3): long enough for much that
// waits in front of SETTINGS.
inline constexpr Duration kSettingsTimeout = std::chrono::seconds(30);

class Session {
 public:
  // How much flush() writes at a time: what waits longer stays where it can be counted.
  static constexpr size_t kFlushBytes = 128 * 1024;

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // --- Bytes ---

  // Takes all of `in`; data is passed on as slices of it.
  void receive(Slices& in);
  // Appends what is to be sent until `out` has about `most` bytes. True: there is more. The owner flushes at the end of
  // a turn in which Events::want_flush() was called, and again when the socket has taken what it was given.
  bool flush(Slices& out, size_t most = kFlushBytes);

  // The peer broke the protocol of the connection, or a limit. What flush() still writes tells the peer why; then the
  // owner closes.
  bool failed() const { return failure_ != Error::kNone; }
  Error failure() const { return failure_; }
  // In order, nothing is to be sent or expected any more: the owner closes.
  bool finished() const;
  // No further event, for good.
  void stop() { stopped_ = true; }

  // --- Streams ---

  uint32_t open_streams() const { return open_streams_; }
  // While paused, the peer gets no more room to send on this stream. What it has room for still comes.
  void pause(Stream& stream) { stream.paused_ = true; }
  void unpause(Stream& stream);
  // Queues all of `data`, which has no unseen slices. False: it is more or less than content-length said, or the end
  // was given before; the stream is to be reset.
  [[nodiscard]] bool send_data(Stream& stream, Slices& data, bool end);
  // Ends what is sent on the stream. They are written behind its data, and live as long as it is attached.
  [[nodiscard]] bool send_trailers(Stream& stream, const HeaderMap& trailers);
  // RST_STREAM; what is queued is dropped, and the stream is detached: no event of it follows.
  void reset(Stream& stream, ErrorCode code);
  // Of a message that goes on in this way nothing more is passed on: on_closed() hears that it is over.
  void give_up(Stream& stream, Error error, bool no_room = false);
  // When all that was given is sent, the peer need not finish its message: RST_STREAM(NO_ERROR) follows the end (RFC
  // 9113 8.1). At once if the end is sent already.
  void reset_after_end(Stream& stream);
  // The connection has ended, and with it the stream: it is detached, and nothing is sent.
  void forget(Stream& stream) { detach(stream); }

  // --- The connection ---

  void ping();
  // The first of two steps: the peer is told that the end is near. Every stream that it begins until it knows is
  // served.
  void announce_shutdown();
  // The second: streams above those that were received until now are not served. With no stream left the connection is
  // finished().
  void shut_down();
  // The owner does not want to keep the connection: on_connection_error() follows, from receive() or flush().
  void fail(Error error);

  // What the peer's SETTINGS say.
  uint32_t peer_max_streams() const;
  bool peer_allows_connect() const;  // extended CONNECT (RFC 8441)
  // Windows were made small, and the peer has not said that it knows: until then all its streams may have to wait. May
  // change with receive().
  bool awaits_settings_ack() const { return narrow_ != 0 && settings_not_known_ > 0; }
  const Counts& counts() const { return counts_; }

 protected:
  enum class Role : uint8_t { kServer, kClient };
  // The preface is queued.
  Session(Role role, BlockPool& pool, const Options& options);
  ~Session();

  // --- What a role does with its frames ---

  // A header block begins: of a new stream (`stream` is null: it is to be attached, or reset), or of one that is
  // known. Where its fields go is Stream::fields_.
  virtual void begin_section(int32_t id, Stream* stream) = 0;
  // Where the fields of a response of this status go.
  virtual HeaderMap* begin_response_fields(Stream&, std::string_view /*status*/) { return nullptr; }
  // False: the field is not one for the map.
  virtual bool take_field(HeaderId, std::string_view /*value*/) { return true; }
  virtual void end_section(Stream& stream, bool end_stream) = 0;
  virtual void on_data(Stream& stream, Slices& data, bool end) = 0;
  virtual void on_closed(Stream& stream, const StreamEnd& end) = 0;
  virtual void on_flow(Stream& stream, bool above) = 0;
  virtual void on_pong() = 0;
  virtual void on_peer_goaway(int32_t last_stream, ErrorCode code) = 0;
  virtual void on_peer_settings() = 0;
  virtual void on_failed(Error error) = 0;
  virtual void on_want_flush() = 0;

  // Fields for a head, in room that is used again.
  class FieldList;

  // A stream that is not attached. Whoever goes on with more than are taken does not mean to be served: it loses the
  // connection.
  void refuse(int32_t id);
  void attach(Stream& stream, int32_t id);
  // Drops what is known of it. RST_STREAM is not sent.
  void detach(Stream& stream);
  bool submit_head(Stream& stream, const FieldList& fields, bool end);
  bool submit_informational(Stream& stream, const FieldList& fields);
  // The peer reads so little that no more heads are to be made for it.
  bool heads_wait() const { return heads_wait_; }
  bool section_too_large() const { return section_too_large_; }
  // The fields of all streams hold so much that no further section is to be taken.
  bool fields_hold_too_much() const;
  // Prepares to count what is sent against the content-length of `map`. False: that is none.
  [[nodiscard]] static bool read_length(Stream& stream, const HeaderMap& map);

  BlockPool& pool_;
  const Options& options_;
  nghttp2_session* session_ = nullptr;
  Counts counts_;
  bool goaway_received_ = false;

 private:
  struct Callbacks;
  friend struct Callbacks;

  Stream* find(int32_t id) const {
    if (found_ != nullptr && found_->id_ == id) return found_;
    return look_up(id);
  }
  Stream* look_up(int32_t id) const;
  // Counts frames of data: the library says nothing of those of streams that are no more.
  void look_for_data(std::string_view bytes);
  bool too_much_stray_data() const;
  void begin_frame(uint8_t type, uint8_t flags, int32_t id, size_t length);
  // Of a stream that was reset here, frames may still come that its peer sent before it knew.
  void note_reset(int32_t id);
  bool has_ended(int32_t id) const;
  bool count_field(void* name, void* value);  // the library's buffers
  void add_field(Stream& stream, void* name, void* value);
  void count_held_fields(Stream& stream);  // of a section that has ended
  void take_frame(const void* frame);
  void frame_sent(const void* frame);
  void take_chunk(int32_t id, const uint8_t* data, size_t length);
  void pass_on_gathered(bool end);
  void close(Stream& stream, const StreamEnd& end);
  void give_back_withheld();
  // What paused streams may hold in all. Beyond a quarter of it windows become small.
  uint64_t most_held() const;
  // Whether so much that they stop the whole connection: whatever may still come has room, once the peer knows.
  bool holds_too_much() const;
  void narrow_windows();
  // Of a stream that is read though windows are small.
  void grant(Stream& stream, uint32_t bytes_read);
  void set_stream_window(uint32_t bytes);
  void invalid_frame(int32_t id, int library_error);
  void end_sent(Stream& stream);
  void count_queued_head(Stream& stream, const FieldList& fields);
  // What was queued of the stream is written, or dropped.
  void head_left_queue(Stream& stream);
  uint64_t most_queued_heads() const;
  void hold_head(Stream& stream);
  void let_heads_come();
  // Frames that wait inside, DATA apart; and those of them that are no heads.
  size_t queued_frames() const;
  size_t queued_control_frames() const;
  // Of what waits on one stream, above which its writer is to stop.
  size_t high_mark() const;
  // What the library has found when it sends this code, and says nothing else.
  Error error_behind(uint32_t code, Error protocol_error) const;
  void report_failure();
  void write(const void* bytes, size_t size);
  void write_settings(const uint8_t* frame, size_t size);
  void write_goaway();

  const Role role_;
  Error failure_ = Error::kNone;
  Error seen_error_ = Error::kNone;  // what the library has complained of last
  bool stopped_ = false;
  bool failure_reported_ = false;
  bool failed_here_ = false;  // and not by the library, which would send GOAWAY itself
  bool settings_written_ = false;
  bool goaway_written_ = false;
  bool terminated_ = false;  // shut_down() was called
  bool section_too_large_ = false;
  bool section_has_cookie_ = false;
  IntrusiveList<Stream, &Stream::node_> streams_;
  uint32_t open_streams_ = 0;
  uint32_t section_bytes_ = 0;
  uint32_t section_count_ = 0;
  // Abuse.
  uint32_t empty_frames_ = 0;  // in a row
  uint64_t priority_frames_ = 0;
  uint64_t window_updates_ = 0;
  uint64_t data_frames_sent_ = 0;
  uint64_t stray_frames_ = 0;  // of data that nobody was told of, and their bytes
  uint64_t stray_bytes_ = 0;
  uint32_t payload_left_ = 0;  // of the frame that is coming in; and what is there of the next one's head
  uint8_t head_size_ = 0;
  std::array<uint8_t, 9> head_{};
  uint32_t queued_heads_ = 0;
  uint64_t queued_head_bytes_ = 0;
  bool heads_wait_ = false;  // of answers: more are queued than the peer reads
  size_t queued_before_settings_ = 0;
  size_t own_frames_ = 0;                  // that smaller windows have brought about, and not the peer
  int32_t last_begun_ = 0;                 // stream of the client
  std::array<int32_t, 16> last_resets_{};  // the last streams that were reset here, in a ring,
  uint32_t resets_noted_ = 0;              // and how many ever
  int32_t last_reset_forgotten_ = 0;
  uint64_t held_fields_ = 0;  // bytes of the heads and trailers that attached streams have received
  // Windows: what paused streams hold in all, and what of it was not given back to the connection either.
  uint64_t held_ = 0;
  uint64_t withheld_ = 0;
  uint64_t granted_ = 0;
  uint32_t narrow_ = 0;              // of streams, for the time being; 0: they have those of the options
  uint32_t settings_not_known_ = 1;  // to the peer, as far as it has said: so many times they were sent
  uint64_t unsent_ = 0;              // of all streams

  mutable Stream* found_ = nullptr;  // the attached stream that was asked for last: most events follow one of the same
  const Slice* input_ = nullptr;     // the slice that is being read
  Slices gathered_;                  // data of one stream that was not passed on yet
  Stream* gathering_ = nullptr;
  Slices* out_ = nullptr;  // within flush()
  size_t most_ = 0;
  BlockRef write_block_;
};

}  // namespace weir::http::h2
