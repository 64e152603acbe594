// HTTP filters between the router and one upstream (Router.upstream_http_filters, HttpProtocolOptions.http_filters):
// for each attempt a chain of its own, which sees the request as it goes to that host and the response as it comes from
// there, before the router decides whether to retry. The last filter is UpstreamCodec.
//
// To the router it is the attempt's upstream stream; of what the upstream says it hears first. A local reply of one of
// its filters is the answer to the client, and no reason for a retry, as published.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "core/base/slab.h"
#include "core/event/lane.h"
#include "core/filter/chain_config.h"
#include "core/filter/stream.h"
#include "core/upstream/upstream_stream.h"

namespace weir::proxy {

class Attempt;
class Router;

// [worker] Lives until the end of the turn in which leave() was called.
class UpstreamChain final : public event::Deferred, public upstream::UpstreamStream {
 public:
  // `outer`: the stream that the router is part of. `config` lives until the end of the turn in which that does, as all
  // configuration of a stream. `enabled`: of the filters, by position.
  UpstreamChain(Router& router, Attempt& attempt, filter::Stream& outer, upstream::UpstreamStream& upstream,
                const filter::HttpChainConfig& config, uint64_t enabled);

  // The attempt is over: filters are told, and nothing comes from here any more. What the upstream still does is the
  // caller's business (reset()).
  void leave();

  // --- For the router: UpstreamStream ----------------------------------------------------------------------------
  [[nodiscard]] bool send_headers(const http::HeaderMap& headers, bool end) override;
  void open_raw() override;
  void send_data(Slices& data, bool end) override;
  void send_trailers(const http::HeaderMap& trailers) override;
  void reset() override;
  void leave_response_unseen() override;
  void pause_response(bool paused) override;
  bool above_high_watermark() const override { return open() && upstream_->above_high_watermark(); }
  size_t held_bytes() const override { return stream_.waiting_bytes() + (open() ? upstream_->held_bytes() : 0); }
  net::Connection& connection() override { return upstream_->connection(); }  // not once it is gone
  upstream::ConnectionFacts facts() const override { return facts_; }
  bool reused() const override { return reused_; }
  bool response_started() const override { return !open() || upstream_->response_started(); }
  bool request_unsent() const override { return open() && upstream_->request_unsent(); }
  // The response has come to its end, and the connection may serve others; filters may still hold some of it.
  bool gone() const { return upstream_ == nullptr; }

  // --- For the attempt: what the upstream says -------------------------------------------------------------------
  http::HeaderMap& begin_response();
  void on_informational(http::HeaderMap& headers);
  void on_upstream_headers(BlockRef owner, bool end);
  void on_upstream_data(Slices& data, bool end);
  http::HeaderMap& begin_response_trailers() { return stream_.make_response_trailers(); }
  void on_upstream_trailers();
  void on_upstream_flow(bool blocked);

  // --- For UpstreamCodec: what has passed all filters ------------------------------------------------------------
  static UpstreamChain& of(filter::Stream& stream) { return static_cast<Side&>(stream.host()).chain; }
  filter::Action pass_headers(const http::HeaderMap& headers, bool end);
  void pass_data(Slices& data, bool end);
  void pass_trailers(const http::HeaderMap& trailers);

 private:
  friend class weir::Slab<UpstreamChain>;
  ~UpstreamChain() = default;
  // Where what comes out of the filters on their way back goes: the router's side.
  class Side final : public filter::StreamHost {
   public:
    explicit Side(UpstreamChain& owner) : chain(owner) {}
    UpstreamChain& chain;

   private:
    stream::ConnectionInfo* connection_info() override { return chain.outer_.host().connection_info(); }
    void send_informational(http::HeaderMap& headers) override;
    void send_headers(http::HeaderMap& headers, bool end) override;
    void send_data(Slices& data, bool end) override;
    void send_trailers(http::HeaderMap& trailers) override;
    void prepare_local_reply(http::HeaderMap& headers, Slices& body) override;
    void abort_response() override;
    bool asked_for_head_only() const override { return chain.outer_.host().asked_for_head_only(); }
    const void* route_config(filter::RouteKey key) const override { return chain.outer_.host().route_config(key); }
    filter::RouteLevels route_configs(filter::RouteKey key) const override {
      return chain.outer_.host().route_configs(key);
    }
    std::string_view route_cluster() const override { return chain.outer_.host().route_cluster(); }
    void on_request_flow(bool blocked) override;
  };
  // Of the response: whether the upstream is to be read.
  class Reading final : public filter::FlowControl::Reader {
   public:
    explicit Reading(UpstreamChain& owner) : chain_(owner) {}
    void on_flow(filter::FlowControl& flow, bool blocked) override;

   private:
    UpstreamChain& chain_;
  };

  void dispose() override;
  // What filters and formats know of the stream is what the router's knows.
  void share_facts();
  void reset_upstream();
  // It may be spoken to.
  bool open() const { return upstream_ != nullptr && !done_; }
  // Around the last event of a response. Each direction of a tunnel ends by itself.
  void begin_end() {
    response_ended_ = true;
    done_ = !tunnel_ || request_ended_;
  }
  void finish_end() {
    if (done_) upstream_ = nullptr;
  }
  // Behind the last event of a request.
  void note_request_end() {
    request_ended_ = true;
    done_ |= tunnel_ && response_ended_;
    finish_end();
  }

  Router& router_;
  Attempt& attempt_;
  filter::Stream& outer_;
  upstream::UpstreamStream* upstream_;  // null: gone
  const upstream::ConnectionFacts facts_;
  const bool reused_;
  bool left_ = false;
  bool tunnel_ = false;
  bool request_ended_ = false;   // has reached the upstream
  bool response_ended_ = false;  // has come from it; filters may still hold some of it
  bool done_ = false;  // both, or the response of what is no tunnel: the upstream stream is somebody else's now
  const filter::HttpChainConfig& config_;
  const uint64_t enabled_;
  // Of a filter, in the outer arena; null: none has answered.
  const http::HeaderMap* answer_ = nullptr;
  std::string_view answer_body_;
  Side side_{*this};
  Reading reading_{*this};
  filter::Stream stream_;
};

// The last filter of such a chain.
class UpstreamCodec : public filter::HttpFilter {
 public:
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end);
  filter::Action on_request_data(filter::Stream& stream, Slices& data, bool end);
  filter::Action on_request_trailers(filter::Stream& stream, http::HeaderMap& trailers);
};

}  // namespace weir::proxy
