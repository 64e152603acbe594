#include "core/proxy/upstream_chain.h"

#include <utility>

#include "core/proxy/lane_proxy.h"
#include "core/proxy/router.h"

namespace weir::proxy {

using filter::Action;
using filter::FlowReason;
using upstream::ResetReason;

UpstreamChain::UpstreamChain(Router& router, Attempt& attempt, filter::Stream& outer,
                             upstream::UpstreamStream& upstream, const filter::HttpChainConfig& config,
                             uint64_t enabled)
    : upstream::UpstreamStream(upstream.protocol()),
      router_(router),
      attempt_(attempt),
      outer_(outer),
      upstream_(&upstream),
      facts_(upstream.facts()),
      reused_(upstream.reused()),
      config_(config),
      enabled_(enabled),
      stream_(outer.lane(), side_) {
  stream_.set_buffer_limit(outer.buffer_limit());
  stream_.response_flow().set_reader(&reading_);
}

void UpstreamChain::leave() {
  if (left_) return;
  left_ = true;
  stream_.complete();
  stream_.info().filter_state = nullptr;  // the outer stream's
  outer_.lane().defer_delete(*this);
}

void UpstreamChain::dispose() { LaneProxy::of(stream_.lane()).chains().destroy(this); }

void UpstreamChain::share_facts() {
  outer_.dynamic_metadata();
  outer_.filter_state();
  stream_.info() = outer_.info();
}

void UpstreamChain::reset_upstream() {
  upstream::UpstreamStream* upstream = open() ? upstream_ : nullptr;
  upstream_ = nullptr;
  if (upstream != nullptr) upstream->reset();
}

// --- The request: from the router through the filters to the upstream ----------------------------------------------

bool UpstreamChain::send_headers(const http::HeaderMap& headers, bool end) {
  share_facts();
  headers.copy_views_to(stream_.request_headers());
  stream_.make_chain(config_, enabled_);
  if (end) stream_.request_has_no_body();
  stream_.request_arrived(end);
  return true;  // what cannot be written has been answered
}

void UpstreamChain::open_raw() { (void)WEIR_BUG(true); }  // such attempts have no chain

void UpstreamChain::send_data(Slices& data, bool end) {
  if (left_) {
    data.clear();
    return;
  }
  stream_.request_data_arrived(data, end);
}

void UpstreamChain::send_trailers(const http::HeaderMap& trailers) {
  if (left_) return;
  trailers.copy_views_to(stream_.make_request_trailers());
  stream_.request_trailers_arrived();
}

void UpstreamChain::reset() { reset_upstream(); }

Action UpstreamChain::pass_headers(const http::HeaderMap& headers, bool end) {
  if (!open()) return Action::kContinue;
  if (!upstream_->send_headers(headers, end)) return stream_.reply_local(400, "invalid_request_headers");
  if (end) note_request_end();
  return Action::kContinue;
}

void UpstreamChain::pass_data(Slices& data, bool end) {
  if (open()) {
    upstream_->send_data(data, end);
    if (end) note_request_end();
  }
  data.clear();
}

void UpstreamChain::pass_trailers(const http::HeaderMap& trailers) {
  if (!open()) return;
  upstream_->send_trailers(trailers);
  note_request_end();
}

void UpstreamChain::on_upstream_flow(bool blocked) {
  if (blocked) {
    stream_.request_flow().block(FlowReason::kUpstreamFull);
  } else {
    stream_.request_flow().unblock(FlowReason::kUpstreamFull);
  }
}

void UpstreamChain::Side::on_request_flow(bool blocked) {
  if (!chain.left_) chain.router_.on_request_flow(chain.attempt_, blocked);
}

// --- The response: from the upstream through the filters to the router ---------------------------------------------

http::HeaderMap& UpstreamChain::begin_response() {
  if (stream_.answered_locally()) return *stream_.arena().make<http::HeaderMap>(stream_.arena());  // dropped
  stream_.response_headers().clear();
  return stream_.response_headers();
}

void UpstreamChain::on_informational(http::HeaderMap& headers) { stream_.respond_informational(headers); }

void UpstreamChain::on_upstream_headers(BlockRef owner, bool end) {
  if (owner) stream_.hold(std::move(owner));
  share_facts();
  const int status = stream_.response_headers().status_code();
  stream_.info().response_code = static_cast<uint16_t>(status);
  tunnel_ = status == 101 || (status / 100 == 2 && stream_.request_headers().method() == "CONNECT");
  if (end) begin_end();
  stream_.respond_headers(end);
  finish_end();
}

void UpstreamChain::on_upstream_data(Slices& data, bool end) {
  if (end) begin_end();
  stream_.respond_data(data, end);
  finish_end();
}

void UpstreamChain::on_upstream_trailers() {
  begin_end();
  stream_.respond_trailers();
  finish_end();
}

void UpstreamChain::leave_response_unseen() {
  if (open() && stream_.takes_unseen_response()) upstream_->leave_response_unseen();
}

void UpstreamChain::pause_response(bool paused) {
  if (left_) return;
  if (paused) {
    stream_.response_flow().block(FlowReason::kDownstreamFull);
  } else {
    stream_.response_flow().unblock(FlowReason::kDownstreamFull);
  }
}

void UpstreamChain::Reading::on_flow(filter::FlowControl&, bool blocked) {
  if (chain_.open()) chain_.upstream_->pause_response(blocked);
}

void UpstreamChain::Side::send_informational(http::HeaderMap& headers) {
  if (!chain.left_) chain.router_.on_informational(chain.attempt_, headers);
}

void UpstreamChain::Side::send_headers(http::HeaderMap& headers, bool end) {
  if (chain.left_) return;
  if (chain.answer_ != nullptr) {
    chain.reset_upstream();
    chain.router_.answer_for_filter(*chain.answer_, chain.outer_.arena().copy(chain.stream_.info().details),
                                    chain.answer_body_);
    return;
  }
  headers.copy_to(chain.router_.begin_response(chain.attempt_));
  chain.router_.on_headers(chain.attempt_, {}, end);
}

void UpstreamChain::Side::send_data(Slices& data, bool end) {
  if (chain.left_) {
    data.clear();
  } else {
    chain.router_.on_data(chain.attempt_, data, end);
  }
}

// Before it is shaped for the client, which the outer stream does.
void UpstreamChain::Side::prepare_local_reply(http::HeaderMap& headers, Slices& body) {
  Arena& arena = chain.outer_.arena();
  auto* copy = arena.make<http::HeaderMap>(arena);
  headers.copy_to(*copy);
  chain.answer_ = copy;
  if (!body.empty()) chain.answer_body_ = arena.copy(body.front().view());
}

void UpstreamChain::Side::send_trailers(http::HeaderMap& trailers) {
  if (chain.left_) return;
  trailers.copy_to(chain.router_.begin_trailers(chain.attempt_));
  chain.router_.on_trailers(chain.attempt_);
}

// The response has begun and cannot be finished.
void UpstreamChain::Side::abort_response() {
  if (chain.left_) return;
  chain.reset_upstream();
  chain.router_.on_attempt_failed(chain.attempt_, ResetReason::kLocalReset,
                                  chain.outer_.arena().copy(chain.stream_.info().details));
}

// --- The last filter -----------------------------------------------------------------------------------------------

Action UpstreamCodec::on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) {
  return UpstreamChain::of(stream).pass_headers(headers, end);
}

Action UpstreamCodec::on_request_data(filter::Stream& stream, Slices& data, bool end) {
  UpstreamChain::of(stream).pass_data(data, end);
  return Action::kContinue;
}

Action UpstreamCodec::on_request_trailers(filter::Stream& stream, http::HeaderMap& trailers) {
  UpstreamChain::of(stream).pass_trailers(trailers);
  return Action::kContinue;
}

}  // namespace weir::proxy
