#include "core/proxy/headless_stream.h"

#include <utility>

#include "core/proxy/auto_names.h"
#include "core/proxy/lane_proxy.h"
#include "core/upstream/destination.h"

namespace weir::proxy {

using upstream::ConnPool;
using upstream::LimitKind;
using upstream::ResetReason;

std::string_view failure_text(HeadlessFailure failure) {
  switch (failure) {
    case HeadlessFailure::kNone:
      return "none";
    case HeadlessFailure::kNoCluster:
      return "no_cluster";
    case HeadlessFailure::kNoHost:
      return "no_host";
    case HeadlessFailure::kOverflow:
      return "overflow";
    case HeadlessFailure::kNoConnection:
      return "no_connection";
    case HeadlessFailure::kBroken:
      return "broken";
    case HeadlessFailure::kRefused:
      return "refused";
    case HeadlessFailure::kProtocolError:
      return "protocol_error";
    case HeadlessFailure::kTimeout:
      return "timeout";
    case HeadlessFailure::kUnsendable:
      return "unsendable";
    case HeadlessFailure::kRequestTooLarge:
      return "request_too_large";
    case HeadlessFailure::kResponseTooLarge:
      return "response_too_large";
  }
  return {};
}

namespace {

HeadlessFailure failure_of(ResetReason reason) {
  switch (reason) {
    case ResetReason::kConnectFailure:
    case ResetReason::kConnectTimeout:
      return HeadlessFailure::kNoConnection;
    case ResetReason::kOverflow:
      return HeadlessFailure::kOverflow;
    case ResetReason::kProtocolError:
      return HeadlessFailure::kProtocolError;
    case ResetReason::kRemoteRefused:
      return HeadlessFailure::kRefused;
    default:
      return HeadlessFailure::kBroken;
  }
}

}  // namespace

HeadlessStream::HeadlessStream(event::Lane& lane, const upstream::Member& member, event::Pin<upstream::Cluster> pin,
                               const Options& options)
    : lane_(lane),
      cluster_(*member.cluster),
      target_(member.target),
      pin_(std::move(pin)),
      options_(options),
      start_(lane.now()),
      waiter_(*this),
      arena_(lane.arenas()),
      head_(arena_),
      response_(arena_) {}

HeadlessStream* HeadlessStream::open(event::Lane& lane, upstream::ClusterLocal* cluster, const Options& options,
                                     HeadlessFailure& failure) {
  failure = HeadlessFailure::kNoCluster;
  if (cluster == nullptr || cluster->current() == nullptr) return nullptr;
  upstream::Member member;
  member.cluster = cluster;
  if (cluster->aggregates()) {
    member = cluster->choose_member({});
    if (member.cluster == nullptr) {
      cluster->stats().cx_none_healthy.inc();
      failure = HeadlessFailure::kNoHost;
      return nullptr;
    }
  }
  event::Pin<upstream::Cluster> pin = member.cluster->pin();
  if (!pin) return nullptr;
  failure = HeadlessFailure::kNone;
  return LaneProxy::of(lane).headless().make(lane, member, std::move(pin), options);
}

HeadlessFailure HeadlessStream::start(Reader* reader, bool end) {
  if (finished_) return failure_;
  starting_ = true;
  if (head_.contains(http::HeaderId::kUpgrade) || head_.method() == "CONNECT") {
    fail(HeadlessFailure::kUnsendable, {});
    return failure_;
  }
  reader_ = reader;
  if (options_.timeout_from_start && options_.timeout > Duration::zero()) lane_.arm_in(*this, options_.timeout);
  if (end) request_finished();
  if (cluster_.requests.acquire()) {
    connect();
  } else if (!cluster_.recall(LimitKind::kRequests).wait(*this)) {
    overflow();
  }
  starting_ = false;
  return failure_;
}

bool HeadlessStream::on_recalled() {
  if (cluster_.requests.acquire()) {
    connect();
    return true;
  }
  overflow();
  return false;
}

void HeadlessStream::overflow() {
  pin_->stats->rq_pending_overflow.inc();
  fail(HeadlessFailure::kOverflow, {});
}

// With a share of max_requests.
void HeadlessStream::connect() {
  request_share_ = true;
  const upstream::ClusterStats& stats = *pin_->stats;
  if (cluster_.current() == nullptr) {  // while it waited
    fail(HeadlessFailure::kNoCluster, {});
    return;
  }
  lb::PickInput input;
  input.target = target_;
  upstream::WantedName name;
  if (pin_->asked_by_name) [[unlikely]]
    choose_name(name);
  input.name = name.key;
  pool_ = cluster_.pick(input);
  if (pool_ == nullptr) {
    // Nobody stands before it who would have asked for the name.
    if (pin_->spec.dns_cache.empty() || name.key.empty() || name_looked_up_) {
      fail_without_host();
    } else {
      name_looked_up_ = true;
      NameLookup::find(lane_, pin_->spec.dns_cache, name);
    }
    return;
  }
  const upstream::AutoNames& names = pin_->spec.auto_names;
  const std::string_view told = names.header ? head_.get(*names.header) : std::string_view();
  pool_ = &pool_->variant(names_of(names, head_, told, arena_),
                          upstream::speaks_of(pin_->spec.protocol, false, options_.came_in));
  cluster_.begin_request(*pool_, stats);
  upstream::UpstreamStream* ready = nullptr;
  switch (pool_->request(waiter_, *this, ready)) {
    case ConnPool::Start::kReady:
      on_ready(*ready);
      break;
    case ConnPool::Start::kWaiting:
      break;
    case ConnPool::Start::kOverflow:
      on_failed(ResetReason::kOverflow, {});
      break;
  }
}

void HeadlessStream::choose_name(upstream::WantedName& name) {
  if (const upstream::OriginalDestination* original = pin_->spec.original.get()) {
    net::Address wanted;
    if (asked_for_.empty()) wanted = upstream::find_destination(*original, stream::StreamInfo(), &head_);
    if (wanted.empty()) wanted = upstream::parse_destination(asked_for_.empty() ? head_.authority() : asked_for_);
    if (wanted.empty()) return;
    if (original->port != 0) wanted.set_port(original->port);
    char text[net::Address::kMaxText];
    name.key = arena_.copy(wanted.to_text(text));
    return;
  }
  const uint16_t port = pin_->spec.transports.encrypts ? 443 : 80;
  if (!upstream::read_wanted_name(asked_for_.empty() ? head_.authority() : asked_for_, port, arena_, name)) name = {};
}

void HeadlessStream::on_name(upstream::NameOutcome outcome) {
  if (outcome == upstream::NameOutcome::kKnown) {
    connect();
  } else {
    fail_without_host();
  }
}

void HeadlessStream::fail_without_host() {
  pin_->stats->cx_none_healthy.inc();
  fail(HeadlessFailure::kNoHost, {});
}

// --- The request ---------------------------------------------------------------------------------------------------

void HeadlessStream::request_finished() {
  request_end_ = true;
  if (!options_.timeout_from_start && options_.timeout > Duration::zero()) lane_.arm_in(*this, options_.timeout);
}

void HeadlessStream::send_data(Slices& data, bool end) {
  if (finished_) {
    data.clear();
    return;
  }
  body_.append_all(data);
  if (end) request_finished();
  sent_more();
}

void HeadlessStream::send_copy(const Slices& data, bool end) {
  if (finished_) return;
  data.copy_refs_to(body_);
  if (end) request_finished();
  sent_more();
}

void HeadlessStream::send_trailers(const http::HeaderMap& trailers) {
  if (finished_) return;
  trailers_ = arena_.make<http::HeaderMap>(arena_);
  trailers.copy_to(*trailers_);
  request_finished();
  sent_more();
}

void HeadlessStream::sent_more() {
  if (stream_ != nullptr && !blocked_) {
    send();
  } else if (body_.retained() > options_.buffer_limit) {
    waiter_.cancel();
    if (upstream::UpstreamStream* stream = std::exchange(stream_, nullptr)) stream->reset();
    fail(HeadlessFailure::kRequestTooLarge, {});
  }
}

// What there is goes to the connection.
void HeadlessStream::send() {
  if (request_sent_) return;
  if (!head_sent_) {
    head_sent_ = true;
    request_sent_ = request_end_ && body_.empty() && trailers_ == nullptr;
    if (!stream_->send_headers(head_, request_sent_)) {
      if (upstream::UpstreamStream* stream = std::exchange(stream_, nullptr)) stream->reset();
      fail(HeadlessFailure::kUnsendable, {});
      return;
    }
    if (request_sent_) return;
  }
  request_sent_ = request_end_;
  const bool end = request_end_ && trailers_ == nullptr;
  if (end || !body_.empty()) stream_->send_data(body_, end);
  if (trailers_ != nullptr && stream_ != nullptr) stream_->send_trailers(*trailers_);
}

void HeadlessStream::cancel() {
  reader_ = nullptr;
  if (finished_) return;
  waiter_.cancel();
  stop();
}

void HeadlessStream::leave() {
  node_.unlink();
  reader_ = nullptr;
  if (!request_end_) cancel();
}

void HeadlessStream::pause_response(bool paused) {
  paused_ = paused;
  if (stream_ != nullptr) stream_->pause_response(paused);
}

void HeadlessStream::on_ready(upstream::UpstreamStream& stream) {
  stream_ = &stream;
  if (paused_) stream.pause_response(true);
  upstream::ClusterLocal::count_request(*pool_, *pin_->stats);
  send();
}

void HeadlessStream::on_request_flow(bool blocked) {
  blocked_ = blocked;
  if (!blocked && stream_ != nullptr) send();
  if (reader_ != nullptr && !starting_) reader_->on_request_flow(blocked);
}

// --- The response --------------------------------------------------------------------------------------------------

http::HeaderMap& HeadlessStream::begin_response(int) {
  response_.clear();
  return response_;
}

void HeadlessStream::on_upstream_headers(BlockRef owner, bool end) {
  response_block_ = std::move(owner);
  const int status = response_.status_code();
  answered_ = true;
  count(status);
  lb::Host::Totals& totals = pool_->host().totals;
  (status >= 500 ? totals.rq_error : totals.rq_success).inc();
  Reader* reader = end ? response_complete() : reader_;
  if (reader != nullptr) reader->on_headers(*this, response_, end);
}

void HeadlessStream::on_upstream_data(Slices& data, bool end) {
  Reader* reader = end ? response_complete() : reader_;
  if (reader != nullptr) reader->on_data(*this, data, end);
  data.clear();
}

http::HeaderMap& HeadlessStream::begin_response_trailers() {
  if (response_trailers_ == nullptr) response_trailers_ = arena_.make<http::HeaderMap>(arena_);
  return *response_trailers_;
}

void HeadlessStream::on_upstream_trailers() {
  if (Reader* reader = response_complete()) reader->on_trailers(*this, *response_trailers_);
}

void HeadlessStream::count(int status) {
  pin_->stats->codes.inc(status);
  if (pool_ != nullptr && pool_->canary()) [[unlikely]]
    pin_->stats->canary().codes.inc(status);
}

// Who is to be told of that.
HeadlessStream::Reader* HeadlessStream::response_complete() {
  stream_ = nullptr;
  const auto time = static_cast<uint64_t>(to_ms(lane_.now() - start_));
  pin_->stats->rq_time.record(time);
  if (pool_->canary()) [[unlikely]]
    pin_->stats->canary().rq_time.record(time);
  Reader* reader = std::exchange(reader_, nullptr);
  finish();
  return reader;
}

// --- What else may become of it ------------------------------------------------------------------------------------

void HeadlessStream::on_failed(ResetReason reason, std::string_view detail) {
  if (!answered_) {
    count(503);
    pool_->host().totals.rq_error.inc();
  }
  fail(failure_of(reason), detail);
}

void HeadlessStream::on_reset(ResetReason reason, std::string_view detail) {
  if (const upstream::UpstreamStream* stream = std::exchange(stream_, nullptr)) {
    unseen_ = reason == ResetReason::kRemoteRefused
                  ? stream->free_repeats() != upstream::FreeRepeats::kNone
                  : reason == ResetReason::kConnectionTermination && stream->reused() && !stream->response_started();
  }
  on_failed(reason, detail);
}

void HeadlessStream::on_timer() {
  pin_->stats->rq_timeout.inc();
  if (pool_ != nullptr) pool_->host().totals.rq_timeout.inc();
  if (!answered_) count(504);
  if (upstream::UpstreamStream* stream = std::exchange(stream_, nullptr)) stream->reset();
  fail(HeadlessFailure::kTimeout, {});
}

void HeadlessStream::stop() {
  if (upstream::UpstreamStream* stream = std::exchange(stream_, nullptr)) stream->reset();
  finish();
}

void HeadlessStream::fail(HeadlessFailure failure, std::string_view detail) {
  if (finished_) return;
  failure_ = failure;
  Reader* reader = std::exchange(reader_, nullptr);
  finish();
  if (reader != nullptr && !starting_) reader->on_failed(failure, detail);
}

void HeadlessStream::dispose() { LaneProxy::of(lane_).headless().destroy(this); }

void HeadlessStream::finish() {
  if (finished_) return;
  finished_ = true;
  node_.unlink();
  event::Timer::cancel();
  NameLookup::cancel();
  leave_recall();
  waiter_.leave();
  body_.clear();
  if (request_share_) cluster_.requests.release();
  if (pool_ != nullptr) cluster_.end_request(*pool_, *pin_->stats);
  lane_.defer_delete(*this);
}

// --- HeadlessCall --------------------------------------------------------------------------------------------------

HeadlessStream* HeadlessCall::open(event::Lane& lane, upstream::ClusterLocal* cluster,
                                   const HeadlessStream::Options& options, uint32_t response_limit,
                                   HeadlessFailure& failure) {
  cancel();
  limit_ = response_limit;
  unseen_ = false;
  stream_ = HeadlessStream::open(lane, cluster, options, failure);
  return stream_;
}

HeadlessFailure HeadlessCall::send(Slices& body) {
  const bool empty = body.empty();
  if (!empty) stream_->send_data(body, true);
  const HeadlessFailure failure = stream_->start(this, empty);
  if (failure != HeadlessFailure::kNone) stream_ = nullptr;
  return failure;
}

void HeadlessCall::cancel() {
  if (HeadlessStream* stream = std::exchange(stream_, nullptr)) stream->cancel();
  headers_ = nullptr;
  body_.clear();
}

void HeadlessCall::on_headers(HeadlessStream&, const http::HeaderMap& headers, bool end) {
  headers_ = &headers;
  if (end) complete(nullptr);
}

void HeadlessCall::on_data(HeadlessStream& stream, Slices& data, bool end) {
  body_.append_compact(data, stream.lane().blocks());
  if (body_.size() > limit_) {
    cancel();
    on_failure(HeadlessFailure::kResponseTooLarge);
  } else if (end) {
    complete(nullptr);
  }
}

void HeadlessCall::on_trailers(HeadlessStream&, const http::HeaderMap& trailers) { complete(&trailers); }

void HeadlessCall::on_failed(HeadlessFailure failure, std::string_view) {
  unseen_ = stream_->unseen();
  stream_ = nullptr;
  headers_ = nullptr;
  body_.clear();
  on_failure(failure);
}

// Nothing of this is looked at once it has told.
void HeadlessCall::complete(const http::HeaderMap* trailers) {
  stream_ = nullptr;
  const http::HeaderMap& headers = *std::exchange(headers_, nullptr);
  const Slices body = std::move(body_);
  on_response({headers, body, trailers});
}

}  // namespace weir::proxy
