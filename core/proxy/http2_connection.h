// An HTTP/2 downstream connection: the terminal network filter that takes the place of ServerConnection when the client
// speaks that. Each stream has a ServerStream, deadlines and flow control of its own.
#pragma once

#include <cstdint>

#include "core/base/intrusive_list.h"
#include "core/event/lane.h"
#include "core/filter/network_filter.h"
#include "core/http/h2/server_codec.h"
#include "core/proxy/connection_manager.h"
#include "core/proxy/deadlines.h"
#include "core/proxy/server_stream.h"

namespace weir::proxy {

class Http2Connection;
class Overload;

// A stream of the connection, from its HEADERS until its last frame is written or it is reset. [worker]
class Http2Stream final : public StreamConnection,
                          public http::h2::Stream,
                          public event::Deferred,
                          private event::EndOfTurn,
                          private Deadlines::Owner {
 public:
  explicit Http2Stream(Http2Connection& connection);
  ~Http2Stream();

  // StreamConnection
  const ConnectionManagerConfig& config() const override { return config_; }
  event::Lane& lane() override { return lane_; }
  Deadlines& deadlines() override { return deadlines_; }
  void describe(stream::StreamInfo& info) override;
  stream::ConnectionInfo& connection_info() override;
  bool is_tls() const override;
  bool bypasses_overload() const override;
  bool takes_unseen() const override { return false; }
  [[nodiscard]] bool write_headers(const http::HeaderMap& headers, bool end) override;
  void write_informational(const http::HeaderMap& headers) override;
  [[nodiscard]] bool write_data(Slices& data, bool end) override;
  [[nodiscard]] bool write_trailers(const http::HeaderMap& trailers) override;
  bool keeps_trailers(const http::HeaderMap& trailers) override;
  bool keeps_body(size_t bytes) override;
  bool may_hold_state(uint64_t bytes) const override;
  void hold_state(int64_t change) override;
  bool keeps_request(size_t bytes, bool collects) override;
  // The others of the connection go on.
  void close_after_response() override {}
  void refuse_tunnel(bool) override {}
  void abort_response() override;
  void pause_request(bool paused) override;
  void leave_request_unseen() override {}
  void stream_done() override;

  void dispose() override;

  // Bytes of its request and response that wait here for somebody.
  size_t held_bytes() const;

 private:
  friend class Http2Connection;
  // It holds too much of the memory that is left.
  void reset_for_memory();
  void on_deadline(DeadlineKind kind) override;
  void on_end_of_turn() override;
  void stop_waiting();
  // Of the response.
  bool takes_more() const { return connection_ != nullptr && !aborted_; }
  // For the log that its end writes.
  void note_wire_bytes();
  // Nothing of its request waits in its filters any more.
  void free_room();
  // Ends the ServerStream, and this at the end of the turn.
  void release();

  Http2Connection* connection_;  // null: it has ended
  const ConnectionManagerConfig& config_;
  event::Lane& lane_;
  ListNode list_node_;
  Deadlines deadlines_;
  ServerStream* stream_ = nullptr;
  Slices early_;                // what came of a tunnel before it was open
  uint64_t kept_body_ = 0;      // bytes, by the router
  uint64_t kept_request_ = 0;   // by filters
  uint64_t held_state_ = 0;     // bytes
  uint32_t kept_trailers_ = 0;  // bytes
  bool early_end_ = false;
  bool collects_ = false;        // filters want more
  bool waits_for_room_ = false;  // and do not get it for the time being
  bool waits_for_tunnel_ = false;
  bool flow_paused_ = false;
  bool aborted_ = false;  // ends with the turn
};

class Http2Connection final : public filter::NetworkFilter,
                              public event::EndOfTurn,
                              private http::h2::ServerCodec::Events,
                              private Deadlines::Owner {
 public:
  // `config` is kept by whoever pins the listener's configuration for the connection. `admitted`: its first bytes were
  // looked at, and nobody sheds it any more.
  Http2Connection(const ConnectionManagerConfig& config, event::Lane& lane, bool admitted);
  ~Http2Connection() override;

  // NetworkFilter
  filter::Action on_new_connection(filter::ConnectionHost& host) override;
  filter::Action on_data(filter::ConnectionHost& host, Slices& data, bool end) override;
  void on_drained(filter::ConnectionHost& host) override;
  void on_drain(filter::ConnectionHost& host) override;
  void on_closed(filter::ConnectionHost& host, net::CloseReason reason) override;

  // EndOfTurn: writes what is to be sent.
  void on_end_of_turn() override;

  // Resets those streams of the lane that hold most: of eight classes of sizes (the first from
  // Overload::smallest_account, each twice the one before) as many as `share` of the action says, from the largest on.
  static void reset_heavy(event::Lane& lane, double share);
  ListNode weighed_node_;  // in LaneProxy::weighed_connections()

 private:
  friend class Http2Stream;
  template <void (Http2Connection::*kCall)()>
  class CallTimer final : public event::Timer {
   public:
    explicit CallTimer(Http2Connection& connection) : connection_(connection) {}
    void on_timer() override { (connection_.*kCall)(); }

   private:
    Http2Connection& connection_;
  };

  // ServerCodec::Events
  http::h2::Stream* begin_request(http::HeaderMap*& fields) override;
  void on_request_head(http::h2::Stream& stream, const http::h2::RequestHead& head) override;
  void on_request_data(http::h2::Stream& stream, Slices& data, bool end) override;
  http::HeaderMap& begin_trailers(http::h2::Stream& stream) override;
  void on_request_trailers(http::h2::Stream& stream, http::HeaderMap& trailers) override;
  void on_stream_closed(http::h2::Stream& stream, const http::h2::StreamEnd& end) override;
  void on_stream_flow(http::h2::Stream& stream, bool above) override;
  void on_ping_answered() override;
  void on_goaway(http::h2::ErrorCode) override {}
  void on_connection_error(http::h2::Error error) override;
  void want_flush() override { lane_.at_end_of_turn(*this); }
  // Deadlines::Owner
  void on_deadline(DeadlineKind kind) override;

  static Http2Stream& of(http::h2::Stream& stream) { return static_cast<Http2Stream&>(stream); }
  // No further request; in two steps, so that none that is under way is lost.
  void begin_drain();
  void end_drain();
  // The overload manager wants no lasting connections.
  void disable_keepalive();
  // By its load shed points, with every piece of input.
  void shed(const Overload& overload);
  void scale(Deadlines& deadlines);
  void schedule_ping();
  void ping();
  void on_ping_timeout();
  void watch_settings();
  void on_settings_timeout();
  void count_premature_reset(const Http2Stream& stream);
  void disconnect_streams(stream::ResponseFlag flag, std::string_view detail, stream::CloseType how);
  void stream_gone();
  // Of the bodies of requests, whoever keeps them.
  uint64_t most_kept() const { return uint64_t{16} * config_.h2.buffer_limit; }
  void room_changed() {
    if (wait_for_room_ > 0) [[unlikely]]
      want_flush();
  }
  void give_room();
  void close_connection();
  void account();
  net::Connection& connection() { return host_->connection(); }

  const ConnectionManagerConfig& config_;
  event::Lane& lane_;
  filter::ConnectionHost* host_ = nullptr;
  IntrusiveList<Http2Stream, &Http2Stream::list_node_> streams_;
  Deadlines deadlines_;
  http::h2::ServerCodec codec_;
  CallTimer<&Http2Connection::end_drain> drain_timer_{*this};
  CallTimer<&Http2Connection::ping> ping_timer_{*this};
  CallTimer<&Http2Connection::on_ping_timeout> ping_timeout_{*this};
  CallTimer<&Http2Connection::on_settings_timeout> settings_timeout_{*this};
  MonoTime born_;
  uint64_t rx_accounted_ = 0;
  uint64_t tx_accounted_ = 0;
  http::h2::Counts accounted_;
  uint64_t kept_trailers_ = 0;  // bytes, of its streams
  uint64_t kept_bodies_ = 0;
  uint64_t held_state_ = 0;
  uint32_t wait_for_room_ = 0;        // streams
  Http2Stream* has_right_ = nullptr;  // collects whatever the others keep: so at least one goes on, and ends
  uint32_t requests_ = 0;
  uint32_t premature_resets_ = 0;
  bool admitted_;
  bool draining_ = false;
  bool closing_ = false;
};

}  // namespace weir::proxy
