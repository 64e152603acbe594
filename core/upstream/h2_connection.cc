#include "core/upstream/h2_connection.h"

#include <algorithm>

#include "core/upstream/lane_clusters.h"

namespace weir::upstream {

using stream::CloseType;

// How long the peer may take none of the last bytes: why the connection ends.
constexpr Duration kLastWordsStall = 1s;
constexpr uint32_t kAnyNumber = UINT32_MAX;  // of requests at a time

namespace {
H2Stream& own(http::h2::Stream& stream) { return static_cast<H2Stream&>(stream); }
}  // namespace

H2Connection::H2Connection(ClientConnection& owner)
    : owner_(owner),
      lane_(owner.pool_.lane()),
      codec_(*this, lane_.blocks(), owner.cluster_->spec.h2),
      idle_since_(lane_.now()),
      takes_(owner.pool_.takes()) {
  owner.connection_.set_handler(*this);
  owner.connection_.set_framed();
  if (net::Transport* transport = owner.connection_.transport()) transport->forbid_renegotiation();
  owner.connection_.set_watermarks(UINT32_MAX, 0);  // each stream has its own
  want_flush();
  schedule_ping();
}

H2Connection::~H2Connection() { WEIR_ASSERT(active_ == 0); }

const ClusterStats& H2Connection::stats() const { return *owner_.cluster_->stats; }
const http::h2::Options& H2Connection::options() const { return owner_.cluster_->spec.h2; }

// --- Requests ------------------------------------------------------------------------------------------------------

uint32_t H2Connection::most() const {
  // Until the peer has said how many it takes: as many as the connections before took, if there were any.
  const uint32_t peers = settings_seen_ ? codec_.peer_max_streams() : owner_.pool_.room_of_new();
  return std::min({options().max_concurrent_streams, peers, takes_});
}

uint32_t H2Connection::room() const {
  if (closing_ || owner_.closes_when_idle() || !codec_.accepts_requests()) return 0;
  return most() > active_ ? most() - active_ : 0;
}

UpstreamStream& H2Connection::start(UpstreamEvents& events) {
  const http::h2::Options::Keepalive& keepalive = options().keepalive;
  if (active_ == 0 && keepalive.idle_interval > Duration::zero() && !ping_out_ &&
      lane_.now() - idle_since_ >= keepalive.idle_interval)
    send_ping();
  H2Stream* stream = LaneClusters::of(lane_).streams().make(*this, lane_, events, !owner_.unused());
  owner_.begin_request(owner_.pool_.cluster().current());
  ++active_;
  stats().http2.streams_active.inc();
  streams_.push_back(*stream);
  if (!settings_seen_) expect_refusal();
  return *stream;
}

void H2Connection::expect_refusal() {
  constexpr uint32_t kAlways = 8;
  if (refusals_expected_ < std::max(kAlways, active_)) ++refusals_expected_;
}

FreeRepeats H2Connection::on_refused() {
  if (goaway_seen_) return FreeRepeats::kOne;
  // Those behind the first were sent before it was heard.
  if (!refusal_seen_) refusals_expected_ = std::max(refusals_expected_, active_);
  refusal_seen_ = true;
  // There was no room for it beside the others, whatever SETTINGS say. Alone it was refused for something else.
  set_takes(active_ > 1 ? active_ - 1 : kAnyNumber);
  if (refusals_expected_ == 0) return FreeRepeats::kNone;
  --refusals_expected_;
  return answer_seen_ || active_ > 1 ? FreeRepeats::kAny : FreeRepeats::kOne;
}

// What limits the peer may have gone: now and then it is asked for one more.
void H2Connection::on_answer() {
  constexpr uint32_t kAnswersPerPlace = 8;
  answer_seen_ = true;
  expect_refusal();
  if (takes_ != kAnyNumber && ++answers_ == kAnswersPerPlace) [[unlikely]]
    set_takes(takes_ + 1);
}

void H2Connection::set_takes(uint32_t requests) {
  takes_ = requests;
  answers_ = 0;
  owner_.pool_.on_takes(owner_, requests);
}

void H2Connection::on_stream_over(H2Stream& stream) {
  stream.node_.unlink();
  --active_;
  stats().http2.streams_active.dec();
  lane_.defer_delete(stream);
  if (active_ == 0) idle_since_ = lane_.now();
  owner_.pool_.on_stream_over(owner_);
}

// --- Bytes ---------------------------------------------------------------------------------------------------------

void H2Connection::on_data(Slices& in, bool end) {
  owner_.account_bytes();
  if (closing_) {
    in.clear();
  } else {
    codec_.receive(in);
    watch_settings();
    stats().http2.count(codec_.counts(), counted_);
  }
  if (!end && !owner_.connection_.peer_ended()) return;
  // What has come whole, and waits for its reader, is not lost with the connection.
  owner_.close_when_idle();
  fail_unfinished();
  if (active_ == 0) {
    owner_.connection_.close(net::CloseReason::kRemote);
  } else {
    owner_.pool_.retire(owner_);
  }
}

// Each goes from the front to the back and is looked at, once: one that fails may end others. None can begin.
void H2Connection::fail_unfinished() {
  for (uint32_t left = active_; left > 0 && !streams_.empty(); --left) {
    H2Stream& stream = *streams_.pop_front();
    streams_.push_back(stream);
    if (!stream.complete_and_held()) fail(stream, ResetReason::kConnectionTermination, {}, CloseType::kNormal);
  }
}

void H2Connection::want_flush() { lane_.at_end_of_turn(*this); }

void H2Connection::on_end_of_turn() {
  net::Connection& connection = owner_.connection_;
  if (!connection.open() || connection.closing()) return;
  if (codec_.flush(connection.out())) connection.notify_when_drained();
  stats().http2.count(codec_.counts(), counted_);
  if (closing_ || codec_.finished()) {
    closing_ = true;
    connection.close_after_flush(Duration::zero(), kLastWordsStall);
  } else {
    connection.flush();
  }
  owner_.account_bytes();
}

// --- Its end -------------------------------------------------------------------------------------------------------

void H2Connection::close() {
  if (closing_) return;
  closing_ = true;
  fail_all(ResetReason::kConnectionTermination, {}, CloseType::kNone);
  if (!codec_.failed()) codec_.shut_down();
  want_flush();
}

void H2Connection::fail_all(ResetReason reason, std::string_view detail, CloseType how) {
  while (H2Stream* stream = streams_.front()) fail(*stream, reason, detail, how);
}

void H2Connection::fail(H2Stream& stream, ResetReason reason, std::string_view detail, CloseType how) {
  if (stream.events_ != nullptr) {
    if (!lost_requests_) stats().cx_destroy_with_active_rq.inc();
    lost_requests_ = true;
    if (reason == ResetReason::kConnectionTermination) stats().rq_rx_reset.inc();
    stream.wire_bytes_->closed = how;
  }
  stream.fail(reason, detail);
}

void H2Connection::on_closed(net::CloseReason reason) {
  closing_ = true;
  ping_timer_.cancel();
  settings_timeout_.cancel();
  owner_.on_closed(reason);
}

void H2Connection::on_connection_error(http::h2::Error error) {
  stats().cx_protocol_error.inc();
  stats().http2.count(error);
  // Of a cluster that has no name of its own.
  if (error == http::h2::Error::kContinuations) stats().http2.header_overflow.inc();
  closing_ = true;
  fail_all(ResetReason::kProtocolError, error_name(error), CloseType::kNone);
  want_flush();
}

void H2Connection::on_goaway(int32_t, http::h2::ErrorCode) {
  if (!goaway_seen_) stats().cx_close_notify.inc();
  goaway_seen_ = true;
  owner_.pool_.retire(owner_);
}

// --- Whether the peer is there -------------------------------------------------------------------------------------

void H2Connection::schedule_ping() {
  const http::h2::Options::Keepalive& keepalive = options().keepalive;
  if (keepalive.interval > Duration::zero()) lane_.arm_in(ping_timer_, keepalive.wait(lane_.random()));
}

void H2Connection::send_ping() {
  ping_out_ = true;
  codec_.ping();
  want_flush();
  lane_.arm_in(ping_timer_, options().keepalive.timeout);
}

void H2Connection::on_ping_timer() {
  if (closing_) return;
  if (!ping_out_) return send_ping();
  stats().http2.keepalive_timeout.inc();
  owner_.connection_.close();
}

void H2Connection::on_ping_answered() {
  ping_out_ = false;
  ping_timer_.cancel();
  schedule_ping();
}

void H2Connection::watch_settings() {
  if (!codec_.awaits_settings_ack()) [[likely]]
    return settings_timeout_.cancel();
  if (!settings_timeout_.armed() && !closing_) lane_.arm_in(settings_timeout_, http::h2::kSettingsTimeout);
}

void H2Connection::on_settings_timeout() {
  if (!closing_ && codec_.awaits_settings_ack()) codec_.fail(http::h2::Error::kSettingsTimeout);
}

// --- What the codec says -------------------------------------------------------------------------------------------

void H2Connection::on_settings() {
  settings_seen_ = true;
  streams_.for_each([](H2Stream& stream) {
    if (stream.waits_for_settings_) stream.on_settings();
  });
  owner_.pool_.on_room_changed(owner_);
}

http::HeaderMap& H2Connection::passing_fields() {
  passing_ = std::make_unique<Passing>(lane_);
  return passing_->fields;
}

http::HeaderMap& H2Connection::begin_response(http::h2::Stream& stream, int status) {
  UpstreamEvents* events = own(stream).events_;
  if (events == nullptr || (status / 100 == 1 && status != 101)) return passing_fields();
  own(stream).response_ = &events->begin_response(status);
  return *own(stream).response_;
}

void H2Connection::on_informational(http::h2::Stream& stream, const http::h2::ResponseHead&) {
  own(stream).account();
  if (UpstreamEvents* events = own(stream).events_) events->on_informational(passing_->fields);
  passing_.reset();
}

void H2Connection::on_response_head(http::h2::Stream& stream, const http::h2::ResponseHead& head) {
  on_answer();
  if (own(stream).events_ != nullptr) own(stream).on_head(head);
}

void H2Connection::on_response_data(http::h2::Stream& stream, Slices& data, bool end) {
  if (own(stream).events_ != nullptr) own(stream).on_data(data, end);
}

http::HeaderMap& H2Connection::begin_trailers(http::h2::Stream& stream) {
  UpstreamEvents* events = own(stream).events_;
  return events != nullptr ? events->begin_response_trailers() : passing_fields();
}

void H2Connection::on_response_trailers(http::h2::Stream& stream, http::HeaderMap&) {
  if (own(stream).events_ != nullptr) own(stream).on_trailers();
}

void H2Connection::on_stream_closed(http::h2::Stream& stream, const http::h2::StreamEnd& end) {
  own(stream).on_closed(end);
}

void H2Connection::on_stream_flow(http::h2::Stream& stream, bool above) { own(stream).on_flow(above); }

}  // namespace weir::upstream
