// The way to an upstream: which cluster, which host, attempts until one is connected, and the request for a tunnel.
#include <algorithm>
#include <string>
#include <utility>

#include "core/http/url.h"
#include "core/proxy/auto_names.h"
#include "core/upstream/destination.h"
#include "filters/network/tcp_proxy/tcp_proxy.h"

namespace weir::filters::tcp_proxy {

using proxy::DeadlineKind;
using stream::AccessLogType;
using stream::ResponseFlag;
using upstream::ConnPool;
using upstream::ResetReason;

upstream::ClusterLocal* TcpProxy::find_cluster() {
  upstream::LaneClusters& clusters = upstream::LaneClusters::of(lane_);
  const stream::FilterStateValue* own = find_state(settings_.cluster_key);
  if (own != nullptr && own->kind() == stream::FilterStateValue::Kind::kString) {
    choose_match(settings_.match.get());
    return clusters.find_by_name(own->string());
  }
  const uint64_t point = info_.random % settings_.clusters.back().up_to;
  const auto chosen = std::upper_bound(settings_.clusters.begin(), settings_.clusters.end(), point,
                                       [](uint64_t at, const WeightedCluster& one) { return at < one.up_to; });
  choose_match(chosen->match.get());
  return clusters.find(chosen->slot);
}

// What filters say of the connection counts more.
void TcpProxy::choose_match(const stream::StaticMetadata* match) {
  match_ = match != nullptr ? &match->root() : nullptr;
  const stream::ConnectionInfo* info = host_->info_if_any();
  const stream::Metadata* metadata = info != nullptr ? info->metadata() : nullptr;
  const stream::Value* space = metadata != nullptr ? metadata->find("envoy.lb") : nullptr;
  if (space == nullptr || space->kind() != stream::Value::Kind::kStruct) return;
  ArenaPool pool;
  Arena arena(pool);
  own_match_ = std::make_unique<const stream::StaticMetadata>(
      match_ != nullptr ? stream::with_members(*match_, *space, arena) : *space);
  match_ = &own_match_->root();
}

void TcpProxy::connect() {
  connecting_ = true;
  cluster_ = find_cluster();
  if (cluster_ == nullptr) {
    settings_.stats->cx_no_route.inc();
    fail(ResponseFlag::kNoClusterFound, "cluster_not_found");
    return;
  }
  cluster_pin_ = asked_pin_ = cluster_->pin();
  lb::PickInput input{.hash = hash_,
                      .has_hash = has_hash_,
                      .attempt = attempts_ + 1,
                      .match = match_,
                      .excluded = {tried_.data(), tried_.size()}};
  if (cluster_->aggregates()) [[unlikely]] {
    const upstream::Member member = cluster_->choose_member(input);
    if (member.cluster != nullptr) {
      cluster_ = member.cluster;
      cluster_pin_ = cluster_->pin();
    }
    input.target = member.target;
  }
  char destination[net::Address::kMaxText];
  if (const upstream::OriginalDestination* original = cluster_pin_->spec.original.get()) [[unlikely]] {
    const net::Address wanted = upstream::find_destination(*original, info_, nullptr);
    if (!wanted.empty()) input.name = wanted.to_text(destination);
  } else if (!cluster_pin_->spec.dns_cache.empty()) [[unlikely]] {
    if (!choose_name()) {
      cluster_pin_->stats->cx_none_healthy.inc();
      fail(ResponseFlag::kNoHealthyUpstream, "no_name_to_connect_to");
      return;
    }
    input.name = name_.key;
  }
  pool_ = cluster_->pick(input);
  if (pool_ == nullptr && !cluster_pin_->spec.dns_cache.empty() && !std::exchange(looked_up_, true)) {
    NameLookup::find(lane_, cluster_pin_->spec.dns_cache, name_);
    return;
  }
  if (pool_ == nullptr) {
    cluster_pin_->stats->cx_none_healthy.inc();
    fail(ResponseFlag::kNoHealthyUpstream, "no_healthy_upstream");
    return;
  }
  ++attempts_;
  const upstream::Speaks speaks =
      upstream::speaks_of(cluster_pin_->spec.protocol, settings_.tunnel == nullptr, stream::Protocol::kNone);
  filter::UpstreamTransportOptions options;
  info_.connection = host_->info_if_any();
  if (proxy::asks_for_names(cluster_pin_->spec, info_)) [[unlikely]] {
    if (name_memory_ == nullptr) name_memory_ = std::make_unique<Arena>(lane_.arenas());
    if (cluster_pin_->spec.transports.encrypts) proxy::add_filter_state(info_, options, *name_memory_);
    if (cluster_pin_->spec.transports.tells_client) options.client = client_header(*name_memory_);
  }
  pool_ = &pool_->variant(options, speaks);
  cluster_->begin_request(*pool_, *cluster_pin_->stats);
  describe_upstream();
  waiter_.want_unused(settings_.tunnel == nullptr);
  waiter_.refuse_at_limit();
  upstream::UpstreamStream* ready = nullptr;
  switch (pool_->request(waiter_, *this, ready)) {
    case ConnPool::Start::kReady:
      on_ready(*ready);
      break;
    case ConnPool::Start::kWaiting:
      break;
    case ConnPool::Start::kOverflow:
      on_failed(ResetReason::kOverflow, {});
  }
}

// As published, what the client's own header has said stays as it is.
const stream::ProxyHeader* TcpProxy::client_header(Arena& memory) {
  const stream::ProxyHeader* header = proxy::client_of(info_, client_header_);
  if (settings_.tlvs.empty() || header != client_header_.get() || !header->tlvs.empty()) return header;
  for (const stream::AddedTlv& tlv : settings_.tlvs) tlv.append_to(client_header_->tlvs, {info_}, memory);
  return header;
}

// What the client asks for by SNI, or what a filter says that it wants.
bool TcpProxy::choose_name() {
  if (!name_.key.empty()) return true;
  std::string_view wanted = host_->server_name();
  uint16_t port = cluster_pin_->spec.transports.encrypts ? 443 : 80;
  const stream::FilterStateValue* host = find_state(settings_.dynamic_host_key);
  if (host != nullptr && host->kind() == stream::FilterStateValue::Kind::kString) wanted = host->string();
  const stream::FilterStateValue* own_port = find_state(settings_.dynamic_port_key);
  if (own_port != nullptr && own_port->kind() == stream::FilterStateValue::Kind::kUnsigned &&
      own_port->number() <= 65535)
    port = static_cast<uint16_t>(own_port->number());
  if (name_memory_ == nullptr) name_memory_ = std::make_unique<Arena>(lane_.arenas());
  return upstream::read_wanted_name(wanted, port, *name_memory_, name_);
}

void TcpProxy::on_name(upstream::NameOutcome outcome) {
  if (over_) return;
  switch (outcome) {
    case upstream::NameOutcome::kKnown:
      connect();
      return;
    case upstream::NameOutcome::kCacheFull:
      fail(ResponseFlag::kUpstreamOverflow, "dns_cache_overflow");
      return;
    case upstream::NameOutcome::kTooMany:
      fail(ResponseFlag::kUpstreamOverflow, "dynamic_forward_proxy_pending_request_overflow");
      return;
    default:
      fail(ResponseFlag::kDnsResolutionFailed, "dns_resolution_failure");
  }
}

void TcpProxy::describe_upstream() {
  upstream_host_ = pool_->shared_host();
  stream::UpstreamInfo& info = info_.upstream;
  const upstream::ClusterSpec& spec = asked_pin_->spec;
  info.cluster = spec.stat_name;
  info.cluster_raw = spec.name == spec.stat_name ? std::string_view() : std::string_view(spec.name);
  info.cluster_metadata = spec.metadata != nullptr ? &spec.metadata->root() : nullptr;
  info.remote = pool_->address();
  info.local = {};
  // Of a host that has several addresses `remote` says which it was.
  info.host_text = pool_->has_addresses() ? std::string_view() : upstream_host_->text();
  info.host_name = upstream_host_->hostname();
  info.attempts = attempts_;
  info.requested = lane_.now();
  const stream::StaticMetadata* metadata = pool_->metadata();
  info.host_metadata = metadata != nullptr ? &metadata->root() : nullptr;
  hosts_ = metadata != nullptr ? cluster_->pin_hosts() : event::Pin<lb::HostSet>();
}

void TcpProxy::on_failed(ResetReason reason, std::string_view detail) {
  transport_failure_ = detail;
  switch (reason) {
    case ResetReason::kConnectFailure:
      attempt_failed(detail.empty() ? "connection_refused" : std::string_view(transport_failure_),
                     "connection_failure");
      break;
    case ResetReason::kConnectTimeout:
      attempt_failed("connection_timeout", "connection_timeout");
      break;
    case ResetReason::kOverflow:
      end_attempt();
      fail(ResponseFlag::kUpstreamOverflow, "upstream_overflow");
      break;
    default:
      end_attempt();
      fail(ResponseFlag::kLocalReset, "local_reset");
  }
}

void TcpProxy::attempt_failed(std::string_view reason, std::string_view why) {
  pool_->host().totals.rq_error.inc();
  if (std::find(tried_.begin(), tried_.end(), &pool_->host()) == tried_.end()) tried_.push_back(&pool_->host());
  end_attempt();
  if (attempts_ < settings_.max_connect_attempts) {
    lane_.arm_in(*this, back_off());
    return;
  }
  cluster_pin_->stats->cx_connect_attempts_exceeded.inc();
  info_.upstream.failure_reason = reason;
  info_.flags.set(ResponseFlag::kUpstreamConnectionFailure);
  fail(ResponseFlag::kUpstreamRetryLimitExceeded, why);
}

// Anything up to a ceiling that doubles with every attempt.
Duration TcpProxy::back_off() {
  const int64_t factor = int64_t{1} << std::min<uint32_t>(attempts_ - 1, 16);
  const Duration most = settings_.back_off_max;
  const Duration ceiling = settings_.back_off_base > most / factor ? most : settings_.back_off_base * factor;
  if (ceiling <= Duration::zero()) return Duration::zero();
  return Duration(static_cast<int64_t>(lane_.random().next() % static_cast<uint64_t>(ceiling.count())));
}

void TcpProxy::on_ready(upstream::UpstreamStream& stream) {
  upstream::ClusterLocal::count_request(*pool_, *cluster_pin_->stats);
  stream::UpstreamInfo& info = info_.upstream;
  const upstream::ConnectionFacts facts = stream.facts();
  info.pool_ready = lane_.now();
  if (pool_->has_addresses()) info.remote = stream.connection().remote();
  info.connection_id = facts.id;
  info.connect_begin = facts.connect_begin;
  info.connect_end = facts.connect_end;
  if ((stream::wanted_records() & stream::kConnectionRecords) != 0) info.local = stream.connection().local();
  if (net::Transport* transport = stream.connection().transport()) {
    info.handshake_end = facts.connect_end;
    if ((stream::wanted_records() & stream::kTlsRecords) != 0)
      upstream_tls_ = std::make_unique<const stream::UpstreamTls>(transport->facts());
  }
  info.tls = upstream_tls_.get();
  if (settings_.tunnel != nullptr) {
    ask_for_tunnel(stream);
    return;
  }
  stream.open_raw();
  if (client().takes_unseen()) stream.leave_response_unseen();
  open(stream);
}

void TcpProxy::open(upstream::UpstreamStream& stream) {
  stream_ = &stream;
  pool_->host().totals.rq_success.inc();
  touch();
  if (settings_.access_log_on_connected) log(AccessLogType::kTcpUpstreamConnected);
  client().allow_unseen((settings_.tunnel == nullptr || !settings_.tunnel->post) && stream.connection().takes_unseen());
  client().unblock_read(net::ReadBlock::kHandler);
  if (!host_->input().empty() || client().peer_ended()) pass_on(host_->input());
}

// The cluster's connect timeout is also that of the answer.
void TcpProxy::ask_for_tunnel(upstream::UpstreamStream& stream) {
  info_.upstream.protocol = stream.protocol();
  tunnel_ = std::make_unique<Tunnel>(*settings_.tunnel, stream::LogSubject{info_}, lane_);
  if (!http::is_valid_authority(tunnel_->request().authority())) {
    settings_.stats->cx_no_route.inc();
    stream.reset();
    end_attempt();
    fail(ResponseFlag::kNoRouteFound, "no_tunnel_hostname");
    return;
  }
  if (!stream.send_headers(tunnel_->request(), false)) {
    stream.reset();
    end_attempt();
    fail(ResponseFlag::kUpstreamConnectionFailure, "invalid_tunnel_request");
    return;
  }
  asking_ = &stream;
  deadlines_.set_in(DeadlineKind::kRoute, cluster_pin_->spec.connect_timeout);
}

http::HeaderMap& TcpProxy::begin_response(int) {
  WEIR_CHECK(tunnel_ != nullptr);
  return tunnel_->begin_response();
}

void TcpProxy::on_upstream_headers(BlockRef, bool end) {
  upstream::UpstreamStream& stream = *std::exchange(asking_, nullptr);
  deadlines_.clear(DeadlineKind::kRoute);
  if (!over_ && !settings_.tunnel->headers_key.text().empty()) {
    keep_answer(settings_.tunnel->headers_key, tunnel_->response(), host_->info());
    info_.connection = host_->info_if_any();
  }
  if (!over_ && !end && tunnel_->status() / 100 == 2) {
    open(stream);
    return;
  }
  stream.reset();
  if (over_) {
    end_attempt();
  } else {
    attempt_failed("tunnel_refused", "tunnel_refused");
  }
}

void TcpProxy::on_upstream_trailers() {
  if (!over_ && !settings_.tunnel->trailers_key.text().empty()) {
    keep_answer(settings_.tunnel->trailers_key, tunnel_->response(), host_->info());
    info_.connection = host_->info_if_any();
  }
  Slices nothing;
  on_upstream_data(nothing, true);
}

void TcpProxy::end_attempt() {
  waiter_.cancel();
  if (pool_ == nullptr) return;
  cluster_->end_request(*pool_, *cluster_pin_->stats);
  pool_ = nullptr;
}

}  // namespace weir::filters::tcp_proxy
