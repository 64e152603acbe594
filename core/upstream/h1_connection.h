// A connection that speaks HTTP/1, one request at a time, or is raw: whose first user has its bytes as they are. Every
// connection begins as one; HTTP/2 takes over where it was configured or agreed on (ALPN).
#pragma once

#include <cstdint>
#include <string_view>

#include "core/http/h1/codec.h"
#include "core/net/bulk_input.h"
#include "core/upstream/client_connection.h"

namespace weir::upstream {

class H1Connection final : public ClientConnection, public http::h1::ClientCodec::Events, public UpstreamStream {
 public:
  H1Connection(ConnPool& pool, event::Pin<Cluster> cluster);
  ~H1Connection() = default;

  // Takes the connection for one request. It must be idle.
  void attach(UpstreamEvents& events);

  // UpstreamStream
  [[nodiscard]] bool send_headers(const http::HeaderMap& headers, bool end) override;
  void open_raw() override;
  void send_data(Slices& data, bool end) override;
  void send_trailers(const http::HeaderMap& trailers) override;
  void reset() override;
  void reset_after_data(Duration stall) override;
  void leave_response_unseen() override { connection_.allow_unseen(true); }
  void pause_response(bool paused) override;
  bool above_high_watermark() const override { return connection_.above_high_watermark(); }
  size_t held_bytes() const override { return connection_.unsent(); }
  net::Connection& connection() override { return connection_; }
  ConnectionFacts facts() const override { return facts_of_connection(); }
  bool reused() const override { return requests_ > 1; }
  bool response_started() const override { return codec_.response_started(); }
  bool request_unsent() const override { return connection_.bytes_written() == tx_before_; }

 private:
  // ClientConnection
  void on_up() override;
  void fail_requests(net::CloseReason reason, std::string_view detail) override;
  void dispose() override;
  // net::ConnectionHandler
  void on_data(Slices& in, bool end) override;
  uint64_t unseen_input() override { return raw_ ? bulk_.unseen_input() : codec_.body_left(); }
  void on_above_high_watermark() override;
  void on_below_low_watermark() override;
  // ClientCodec::Events
  http::HeaderMap& begin_response(int status) override { return events_->begin_response(status); }
  void on_informational(http::HeaderMap& headers, const http::h1::ResponseHead& head, BlockRef owner) override;
  void on_response_head(const http::h1::ResponseHead& head, BlockRef owner) override;
  void on_response_data(Slices& data, bool end) override;
  http::HeaderMap& begin_trailers() override { return events_->begin_response_trailers(); }
  void on_response_trailers(http::HeaderMap& trailers) override;
  void on_parse_error(http::h1::ParseError error) override;

  bool peer_speaks_h2() const;
  void finish_request();
  // Its caller does not want it any more. False: there is none.
  bool forget_request();
  void fail_active(ResetReason reason, std::string_view detail);

  UpstreamEvents* events_ = nullptr;
  stream::WireBytes* wire_ = nullptr;  // of events_
  http::h1::ClientCodec codec_;
  uint64_t tx_before_ = 0;  // bytes written before the request in progress
  bool tunnel_ = false;     // its bytes are opaque from here on, and each direction ends by itself
  bool raw_ = false;        // and were so from the beginning
  net::BulkInput bulk_;     // of a raw one
};

}  // namespace weir::upstream
