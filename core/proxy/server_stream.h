// One request on a downstream HTTP connection: joins the codec's events, the filter chain and the response's way out.
#pragma once

#include <cstdint>

#include "core/event/lane.h"
#include "core/event/slot.h"
#include "core/filter/stream.h"
#include "core/http/request_head.h"
#include "core/proxy/connection_manager.h"
#include "core/proxy/routed_host.h"
#include "core/route/route_table.h"

namespace weir::upstream {
class Cluster;
}

namespace weir::proxy {

// The connection as its stream sees it: of HTTP/1 it is the connection, which has one stream at a time; of HTTP/2 each
// stream has one of its own.
class StreamConnection {
 public:
  virtual const ConnectionManagerConfig& config() const = 0;
  virtual event::Lane& lane() = 0;
  virtual Deadlines& deadlines() = 0;
  // Fills in what the connection knows: addresses, ids, names.
  virtual void describe(stream::StreamInfo& info) = 0;
  virtual stream::ConnectionInfo& connection_info() = 0;
  virtual bool is_tls() const = 0;
  virtual bool bypasses_overload() const = 0;  // ConnectionHost
  // Whether write_data() had better be given unseen slices.
  virtual bool takes_unseen() const = 0;
  // The encoded response. False: it cannot be encoded, and nothing was written.
  [[nodiscard]] virtual bool write_headers(const http::HeaderMap& headers, bool end) = 0;
  virtual void write_informational(const http::HeaderMap& headers) = 0;
  // Takes unseen slices.
  [[nodiscard]] virtual bool write_data(Slices& data, bool end) = 0;
  [[nodiscard]] virtual bool write_trailers(const http::HeaderMap& trailers) = 0;
  // Of the response, until the client has read it; in what the connection may hold, beside what others have. The first
  // answer holds.
  virtual bool keeps_trailers(const http::HeaderMap&) { return true; }
  // The same of the request's body, as it grows. False: as much as before.
  virtual bool keeps_body(size_t) { return true; }
  // As StreamHost has them.
  virtual bool may_hold_state(uint64_t) const { return true; }
  virtual void hold_state(int64_t) {}
  // StreamHost; of the same room.
  virtual bool keeps_request(size_t /*bytes*/, bool /*collects*/) { return true; }
  virtual void close_after_response() = 0;
  // Said before write_headers(): the request asked for a tunnel, and this response opens none. Bytes that the client
  // has sent ahead, or sends before it knows, may be of the other protocol: no request is looked for in them.
  virtual void refuse_tunnel(bool always_close) = 0;
  // The response was cut off: the client must notice.
  virtual void abort_response() = 0;
  virtual void pause_request(bool paused) = 0;
  // The rest of the request's data may come as unseen slices.
  virtual void leave_request_unseen() = 0;
  // The stream has nothing more to do: called once, by the stream, possibly inside an event of its own.
  virtual void stream_done() = 0;

 protected:
  ~StreamConnection() = default;
};

class ServerStream final : public RoutedHost, public event::Deferred {
 public:
  explicit ServerStream(StreamConnection& connection);
  ~ServerStream();

  filter::Stream& stream() { return stream_; }
  // --- From the connection ---
  void on_head(const http::RequestHead& head, BlockRef owner);
  // Instead: what the request says is to be refused, and its connection goes on. `detail` is static.
  void on_refused_head(const http::RequestHead& head, BlockRef owner, std::string_view detail, int status);
  void on_data(Slices& data, bool end);
  void on_trailers();
  // Instead of on_head(): its head never became complete, but the request has begun and is counted and logged.
  void on_unread_head(stream::Protocol protocol);
  // The request cannot be understood (further).
  void on_protocol_error(std::string_view detail, int status);
  // The connection is gone.
  void on_disconnect(stream::ResponseFlag flag, std::string_view detail, stream::CloseType how);
  void on_stream_deadline(DeadlineKind kind);
  bool request_complete() const { return stream_.request_finished(); }
  // The one that is not informational was handed over.
  bool response_head_sent() const { return response_head_sent_; }
  // The client waits for nothing before it sends its body.
  bool rest_of_request_will_come() const { return rest_will_come_; }
  static constexpr uint32_t kShortBodyBytes = 64 * 1024;  // little enough to be read and forgotten
  // Logs, completes the filters. Idempotent.
  void finish();
  bool finished() const { return finished_; }
  // The response has been handed over, and whatever a tunnel still brings.
  bool done() const { return done_reported_; }
  bool in_tunnel() const { return tunnel_; }
  bool ends_with_client() const { return ends_with_client_; }
  // Bytes of its request and response that wait in the chain and before the upstream.
  size_t held_bytes() const {
    return stream_.waiting_bytes() + (deadline_listener_ != nullptr ? deadline_listener_->held_bytes() : 0);
  }
  // How long the client may take for the rest of a complete response.
  Duration flush_timeout() const;

  // --- filter::StreamHost ---
  stream::ConnectionInfo* connection_info() override { return &connection_.connection_info(); }
  void send_informational(http::HeaderMap& headers) override;
  void send_headers(http::HeaderMap& headers, bool end) override;
  void send_data(Slices& data, bool end) override;
  void send_trailers(http::HeaderMap& trailers) override;
  void abort_response() override;
  void prepare_local_reply(http::HeaderMap& headers, Slices& body) override;
  void on_body_too_large(bool response) override;
  bool asked_for_head_only() const override { return is_head_; }
  void leave_request_unseen() override { connection_.leave_request_unseen(); }
  bool takes_unseen() const override { return connection_.takes_unseen(); }
  const void* route_config(filter::RouteKey key) const override;
  filter::RouteLevels route_configs(filter::RouteKey key) const override;
  std::string_view route_cluster() const override;
  void choose_route_again() override;
  void end_with_client(bool on) override { ends_with_client_ = on; }
  bool may_hold_state(uint64_t bytes) const override { return connection_.may_hold_state(bytes); }
  void hold_state(int64_t change) override { connection_.hold_state(change); }
  bool keeps_request(size_t bytes, bool collects) override { return connection_.keeps_request(bytes, collects); }
  void on_request_flow(bool blocked) override;

  // --- RoutedHost ---
  const route::Selection& selection() const override { return selection_; }
  const ConnectionManagerConfig& config() const override { return config_; }
  Deadlines& deadlines() override { return connection_.deadlines(); }
  void set_deadline_listener(DeadlineListener* listener) override { deadline_listener_ = listener; }
  void set_stream_idle_timeout(Duration timeout) override {
    idle_timeout_ = timeout;
    touch();
  }
  uint64_t stream_random() const override { return stream_.info().random; }
  std::optional<route::Selection> look_up_route() override;
  bool is_new_redirect(const route::Route& to) override;
  void restart(const route::Selection& selection, Slices& body, bool trailers) override;
  bool asks_for_tunnel() const override { return asks_tunnel_; }
  void on_tunnel_end() override;
  // A piece of the request's body has come.
  void touch_by_body(bool end);
  bool keeps_trailers(const http::HeaderMap& trailers) override { return connection_.keeps_trailers(trailers); }
  bool keeps_body(size_t bytes) override { return connection_.keeps_body(bytes); }
  void touch() override { connection_.deadlines().set_in(DeadlineKind::kStreamIdle, idle_timeout_); }

  void dispose() override;

 private:
  bool shed_by(const Overload& overload);
  // The connection manager's limits, and what a route says instead.
  void reset_limits();
  void limit_by(const route::ForwardAction& action);
  // The cluster that the route leads to, for the log.
  event::Pin<upstream::Cluster> name_cluster();
  void count();
  // Of headers or trailers, whose names may have to be without. False: answered.
  bool check_underscores(http::HeaderMap& fields);
  // What every request has, refused or not. The connection's deadlines.
  Deadlines& begin(const http::RequestHead& head, BlockRef owner);
  bool check_request(const http::RequestHead& head);
  bool count_forwards();
  bool sanitise_path();
  bool identify_client();  // false: answered
  void add_user_agent();
  // From the stream's beginning, instead of any other limit; zero: none.
  void limit_stream(Duration longest) {
    if (longest <= Duration::zero()) return connection_.deadlines().clear(DeadlineKind::kStreamMax);
    connection_.deadlines().set(DeadlineKind::kStreamMax, stream_.info().start + longest);
  }
  void select_route();
  route::Selection selected();
  void take(const route::Selection& selection);
  void start_chain(const filter::HttpChainConfig& chain, bool end);
  void maybe_done();
  // server_stream_tunnel.cc
  // The chain for the upgrade that the request asks for; nullptr: it is refused, and answered.
  const filter::HttpChainConfig* chain_for_tunnel(const http::RequestHead& head);
  bool drop_ignored_upgrades();
  void add_websocket_key(http::HeaderMap& headers, std::string_view protocol);
  // False: one that nobody allowed.
  bool allows_upgrade(std::string_view protocol, const filter::HttpChainConfig*& chain) const;
  // Of a local reply to a request that asked for a tunnel: there is nobody at its other end.
  void refuse_local_tunnel(http::HeaderMap& headers, Slices& body);
  // Of a request that asked for a tunnel. False: it says that there is one, and there is none.
  bool begin_tunnel_response(http::HeaderMap& headers, std::string_view protocol);
  void drop_hop_by_hop(http::HeaderMap& headers);
  void count_route(const stream::StreamInfo& info);
  void log(stream::AccessLogType type);

  StreamConnection& connection_;
  const ConnectionManagerConfig& config_;
  Duration idle_timeout_;
  DeadlineListener* deadline_listener_ = nullptr;
  route::Selection selection_;
  event::Pin<route::RouteTable> table_;
  struct Redirect {
    const route::Route* from;
    const route::Route* to;
    Redirect* next;
  };
  Redirect* known_redirects_ = nullptr;  // in the arena
  // Fields that `connection` has named.
  struct Named {
    std::string_view request, response;
  };
  Named* named_ = nullptr;  // in the arena; null: none
  // Of the request's body, if there is one, when it last counted as activity. kAnyByte: each piece counts.
  static constexpr uint64_t kAnyByte = UINT64_MAX;
  uint64_t active_bytes_ = kAnyByte;
  bool finished_ : 1 = false;
  bool done_reported_ : 1 = false;
  bool aborted_ : 1 = false;
  bool counted_ : 1 = false;
  bool head_seen_ : 1 = false;
  bool is_head_ : 1 = false;
  bool response_head_sent_ : 1 = false;
  bool replaced_ : 1 = false;  // what could not be said, by an answer that has been
  bool short_body_ : 1 = false;
  bool rest_will_come_ : 1 = false;
  bool held_back_ : 1 = false;  // the client's body, since active_bytes_
  bool local_reply_ : 1 = false;
  bool asks_tunnel_ : 1 = false;
  bool tunnel_ : 1 = false;       // open
  bool tunnel_over_ : 1 = false;  // both ways, for the terminal filter
  bool from_inside_ : 1 = false;
  bool ends_with_client_ : 1 = false;
  filter::Stream stream_;
};

}  // namespace weir::proxy
