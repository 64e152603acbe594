// What a connection speaks once HTTP/2 was agreed on: many requests at a time, each a stream. It takes the bytes of a
// ClientConnection, which stays what the pool knows.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "core/base/intrusive_list.h"
#include "core/event/lane.h"
#include "core/http/h2/client_codec.h"
#include "core/net/connection.h"
#include "core/stream/stream_info.h"
#include "core/upstream/cluster.h"
#include "core/upstream/upstream_stream.h"

namespace weir::upstream {

class ClientConnection;
class H2Connection;

// One request. Lives until the codec has let go of it and its caller has heard the last, at the end of a turn. [worker]
class H2Stream final : public http::h2::Stream,
                       public UpstreamStream,
                       public event::Deferred,
                       private event::EndOfTurn {
 public:
  H2Stream(H2Connection& owner, event::Lane& lane, UpstreamEvents& events, bool reused)
      : UpstreamStream(stream::Protocol::kHttp2),
        owner_(owner),
        lane_(lane),
        events_(&events),
        wire_bytes_(&events.wire_bytes()),
        reused_(reused) {}

  // UpstreamStream
  [[nodiscard]] bool send_headers(const http::HeaderMap& headers, bool end) override;
  void open_raw() override;
  void send_data(Slices& data, bool end) override;
  void send_trailers(const http::HeaderMap& trailers) override;
  void reset() override;
  void leave_response_unseen() override {}  // frames are looked at
  void pause_response(bool paused) override;
  bool above_high_watermark() const override { return full_ || http::h2::Stream::above_high_watermark(); }
  size_t held_bytes() const override { return unsent() + early_.size() + held_.data.size(); }
  net::Connection& connection() override;
  ConnectionFacts facts() const override;
  bool reused() const override { return reused_; }
  bool response_started() const override { return response_ != nullptr; }
  bool request_unsent() const override { return unprocessed_ || wire().sent == 0; }
  FreeRepeats free_repeats() const override { return free_repeats_; }

 private:
  friend class H2Connection;
  // What came while the response was paused, in this order.
  struct Held {
    bool head = false;
    bool head_end = false;
    bool data_end = false;
    bool trailers = false;
    Slices data;
    bool any() const { return head || data_end || trailers || !data.empty(); }
  };

  bool begin(const http::HeaderMap& headers, bool end);
  void on_settings();
  void on_head(const http::h2::ResponseHead& head);
  void answer_upgrade();
  void on_data(Slices& data, bool end);
  void on_trailers();
  void on_closed(const http::h2::StreamEnd& end);
  void on_flow(bool above);
  void fail(ResetReason reason, std::string_view detail);
  // The caller has been told the end of the response.
  void response_over();
  // The codec and the caller are done with it.
  void release();
  void account();
  bool complete_and_held() const { return closed_ && held_.any(); }
  // EndOfTurn: what was held, once the response goes on; and what cannot be begun.
  void on_end_of_turn() override;
  void dispose() override;

  H2Connection& owner_;
  event::Lane& lane_;
  ListNode node_;           // of the connection's streams
  UpstreamEvents* events_;  // null: nobody wants to know more
  stream::WireBytes* wire_bytes_;
  const http::HeaderMap* request_ = nullptr;  // of an upgrade
  http::HeaderMap* response_ = nullptr;
  Slices early_;  // of an upgrade that waits for the peer's settings
  Held held_;
  Wire accounted_;
  const bool reused_;
  bool tunnel_ : 1 = false;
  bool stopped_ : 1 = false;  // the response is paused
  bool waits_for_settings_ : 1 = false;
  bool drained_ : 1 = false;        // before the request was sent, which others may have
  bool refused_here_ : 1 = false;   // the peer cannot be asked for this
  bool full_ : 1 = false;           // of early_
  bool response_over_ : 1 = false;  // all of it has come
  bool closed_ : 1 = false;         // by the peer, in order
  bool released_ : 1 = false;
  bool unprocessed_ : 1 = false;
  FreeRepeats free_repeats_ = FreeRepeats::kOne;
};

// [worker]
class H2Connection final : public net::ConnectionHandler,
                           private http::h2::ClientCodec::Events,
                           private event::EndOfTurn {
 public:
  explicit H2Connection(ClientConnection& owner);
  ~H2Connection();

  // So many requests may be under way, and so many more be begun now.
  uint32_t most() const;
  uint32_t room() const;
  uint32_t active() const { return active_; }
  bool closing() const { return closing_; }
  UpstreamStream& start(UpstreamEvents& events);
  // The peer is told, and what is under way is lost.
  void close();
  // The socket is gone, or is to go.
  void fail_all(ResetReason reason, std::string_view detail, stream::CloseType how);

 private:
  friend class H2Stream;
  template <void (H2Connection::*kCall)()>
  class CallTimer final : public event::Timer {
   public:
    explicit CallTimer(H2Connection& connection) : connection_(connection) {}
    void on_timer() override { (connection_.*kCall)(); }

   private:
    H2Connection& connection_;
  };

  // net::ConnectionHandler
  void on_data(Slices& in, bool end) override;
  void on_drained() override { want_flush(); }
  void on_closed(net::CloseReason reason) override;
  // ClientCodec::Events
  http::HeaderMap& begin_response(http::h2::Stream& stream, int status) override;
  void on_informational(http::h2::Stream& stream, const http::h2::ResponseHead& head) override;
  void on_response_head(http::h2::Stream& stream, const http::h2::ResponseHead& head) override;
  void on_response_data(http::h2::Stream& stream, Slices& data, bool end) override;
  http::HeaderMap& begin_trailers(http::h2::Stream& stream) override;
  void on_response_trailers(http::h2::Stream& stream, http::HeaderMap& trailers) override;
  void on_stream_closed(http::h2::Stream& stream, const http::h2::StreamEnd& end) override;
  void on_stream_flow(http::h2::Stream& stream, bool above) override;
  void on_ping_answered() override;
  void on_goaway(int32_t last_stream, http::h2::ErrorCode code) override;
  void on_settings() override;
  void on_connection_error(http::h2::Error error) override;
  void want_flush() override;
  // EndOfTurn
  void on_end_of_turn() override;

  void fail(H2Stream& stream, ResetReason reason, std::string_view detail, stream::CloseType how);
  void on_stream_over(H2Stream& stream);
  // A server may refuse what it was sent before it was heard, in SETTINGS or in its first refusal, or while it made
  // room for less. How much that can be: what was sent until then, one for each answer since, and no more than is under
  // way.
  void expect_refusal();
  FreeRepeats on_refused();
  void on_answer();
  // What it has refused, or not refused since, tells how many it takes.
  void set_takes(uint32_t requests);
  void on_ping_timer();
  void schedule_ping();
  void send_ping();
  void watch_settings();
  void on_settings_timeout();
  // But for those whose response has come whole and waits for its reader.
  void fail_unfinished();
  // Where fields go that are not kept: of 1xx, and what nobody wants. Anew each time, or it would only grow.
  http::HeaderMap& passing_fields();
  const ClusterStats& stats() const;
  const http::h2::Options& options() const;

  ClientConnection& owner_;
  event::Lane& lane_;
  http::h2::ClientCodec codec_;
  IntrusiveList<H2Stream, &H2Stream::node_> streams_;
  http::h2::Counts counted_;
  CallTimer<&H2Connection::on_ping_timer> ping_timer_{*this};
  CallTimer<&H2Connection::on_settings_timeout> settings_timeout_{*this};
  struct Passing {
    explicit Passing(event::Lane& lane) : arena(lane.arenas()), fields(arena) {}
    Arena arena;
    http::HeaderMap fields;
  };
  std::unique_ptr<Passing> passing_;
  MonoTime idle_since_;
  uint32_t active_ = 0;
  uint32_t refusals_expected_ = 0;
  uint32_t takes_;        // requests at a time, by what was refused
  uint32_t answers_ = 0;  // since that has changed
  bool settings_seen_ : 1 = false;
  bool goaway_seen_ : 1 = false;
  bool answer_seen_ : 1 = false;
  bool refusal_seen_ : 1 = false;
  bool ping_out_ : 1 = false;
  bool closing_ : 1 = false;        // what is queued goes out, and that is the end
  bool lost_requests_ : 1 = false;  // with its end, which is counted once
};

}  // namespace weir::upstream
