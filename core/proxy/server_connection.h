// An HTTP/1 downstream connection: the terminal network filter that the connection-manager plugin makes. One stream at
// a time; what the client sends ahead waits, bounded, until it is that request's turn.
#pragma once

#include <memory>

#include "core/event/lane.h"
#include "core/filter/network_filter.h"
#include "core/http/h1/codec.h"
#include "core/proxy/connection_manager.h"
#include "core/proxy/deadlines.h"
#include "core/proxy/server_stream.h"

namespace weir::proxy {

class ServerConnection final : public filter::NetworkFilter,
                               public StreamConnection,
                               private http::h1::ServerCodec::Events,
                               private Deadlines::Owner {
 public:
  // `config` is kept by whoever pins the listener's configuration for the connection.
  ServerConnection(const ConnectionManagerConfig& config, event::Lane& lane);
  ~ServerConnection() override;

  // NetworkFilter
  filter::Action on_new_connection(filter::ConnectionHost& host) override;
  filter::Action on_data(filter::ConnectionHost& host, Slices& data, bool end) override;
  uint64_t unseen_input() override { return codec_.body_left(); }
  void on_above_high_watermark(filter::ConnectionHost& host) override;
  void on_below_low_watermark(filter::ConnectionHost& host) override;
  void on_drain(filter::ConnectionHost& host) override;
  void on_closed(filter::ConnectionHost& host, net::CloseReason reason) override;

  // StreamConnection
  const ConnectionManagerConfig& config() const override { return config_; }
  event::Lane& lane() override { return lane_; }
  Deadlines& deadlines() override { return deadlines_; }
  void describe(stream::StreamInfo& info) override;
  stream::ConnectionInfo& connection_info() override { return host_->info(); }
  bool is_tls() const override { return host_->tls() != nullptr; }
  bool bypasses_overload() const override { return host_->bypasses_overload(); }
  bool takes_unseen() const override { return host_->connection().takes_unseen(); }
  [[nodiscard]] bool write_headers(const http::HeaderMap& headers, bool end) override;
  void write_informational(const http::HeaderMap& headers) override;
  [[nodiscard]] bool write_data(Slices& data, bool end) override;
  [[nodiscard]] bool write_trailers(const http::HeaderMap& trailers) override;
  void close_after_response() override { codec_.close_after_response(); }
  void refuse_tunnel(bool always_close) override;
  void abort_response() override;
  void pause_request(bool paused) override;
  void leave_request_unseen() override { connection().allow_unseen(true); }
  void stream_done() override;

 private:
  // ServerCodec::Events
  http::HeaderMap& begin_request() override;
  void on_request_head(const http::h1::RequestHead& head, BlockRef owner) override;
  void on_request_data(Slices& data, bool end) override;
  http::HeaderMap& begin_trailers() override;
  void on_request_trailers(http::HeaderMap& trailers) override;
  void on_parse_error(http::h1::ParseError error, int suggested_status) override;
  // Deadlines::Owner
  void on_deadline(DeadlineKind kind) override;

  // The client speaks HTTP/2: another filter takes over.
  void become_http2();
  // Of the first request: the connection is one of HTTP/1.
  void count_connection();
  void on_counted_request();
  // With this response, of which the client is told.
  void close_by_drain();
  ServerStream& make_stream();
  // The stream of a request whose head is not complete, to be answered or logged as it is.
  ServerStream& make_stream_of_unread_head();
  void begin_head();
  void begin_tunnel();
  void release_stream();
  void finish_exchange();
  void await_request();
  void begin_to_drain();
  void close_connection();
  void account_bytes();
  stream::WireBytes& wire_bytes();
  net::Connection& connection() { return host_->connection(); }

  const ConnectionManagerConfig& config_;
  event::Lane& lane_;
  filter::ConnectionHost* host_ = nullptr;
  ServerStream* stream_ = nullptr;
  Deadlines deadlines_;
  http::h1::ServerCodec codec_;
  Duration longest_idle_;
  MonoTime born_;
  MonoTime head_begun_{};  // when the first byte of a head came that is not complete yet; unset: there is none
  uint64_t turn_ = 0;      // of the last request
  uint64_t rx_accounted_ = 0;
  uint64_t tx_accounted_ = 0;
  uint32_t requests_ = 0;
  uint32_t counts_at_ = 1;     // the request that something is to be done about: the first, and the last
  uint32_t unread_head_ = 0;   // bytes of an incomplete head at the last delivery; its connection may be closed since
  uint32_t discard_left_ = 0;  // bytes of a request that was answered early
  uint8_t in_turn_ = 0;        // exchanges ended in that turn
  bool yielded_ = false;       // paused until the next turn, so that other connections get theirs
  bool discarding_ = false;    // the rest of a request that was answered early is read and forgotten
  bool draining_ = false;
  bool counted_ = false;         // as one of HTTP/1
  bool tunnel_refused_ = false;  // by the response under way
};

}  // namespace weir::proxy
