#include "core/proxy/server_stream.h"

#include <charconv>

#include "core/http/chars.h"
#include "core/http/url.h"
#include "core/proxy/enabled_filters.h"
#include "core/proxy/lane_proxy.h"
#include "core/proxy/local_reply.h"
#include "core/proxy/proxy_status.h"
#include "core/proxy/request_headers.h"
#include "core/stream/grpc_status.h"
#include "core/upstream/lane_clusters.h"

namespace weir::proxy {

using filter::Action;
using http::HeaderId;
using stream::ResponseFlag;

// A request body that is read to its end after an early answer, rather than closing the connection.
constexpr double kSlowestBody = 250;  // bytes a second

ServerStream::ServerStream(StreamConnection& connection)
    : connection_(connection),
      config_(connection.config()),
      idle_timeout_(config_.stream_idle_timeout),
      stream_(connection.lane(), *this) {
  stream::StreamInfo& info = stream_.info();
  info.start = connection.lane().now();
  info.start_wall = connection.lane().wall_now();
  info.random = connection.lane().random().next();
  connection.describe(info);
  stream_.set_buffer_limit(config_.buffer_limit);
}

ServerStream::~ServerStream() { WEIR_ASSERT(finished_); }

// The connection may be gone.
void ServerStream::dispose() { LaneProxy::of(stream_.lane()).streams().destroy(this); }

// --- The request ---------------------------------------------------------------------------------------------------

namespace {

constexpr stream::Protocol protocol_of(http::Version version) {
  return static_cast<stream::Protocol>(static_cast<uint8_t>(version) + 1);
}
static_assert(protocol_of(http::Version::kHttp10) == stream::Protocol::kHttp10 &&
              protocol_of(http::Version::kHttp11) == stream::Protocol::kHttp11 &&
              protocol_of(http::Version::kHttp2) == stream::Protocol::kHttp2);

}  // namespace

[[gnu::always_inline]] inline Deadlines& ServerStream::begin(const http::RequestHead& head, BlockRef owner) {
  if (owner) stream_.hold(std::move(owner));
  head_seen_ = true;
  is_head_ = head.is_head;
  // A client that waits for 100 (Continue) may never send its body once it has an answer.
  rest_will_come_ = !head.expect_continue;
  short_body_ = head.has_length && head.content_length <= kShortBodyBytes && rest_will_come_;
  count();
  stream::StreamInfo& info = stream_.info();
  info.protocol = protocol_of(head.version);

  Deadlines& deadlines = connection_.deadlines();
  deadlines.clear(DeadlineKind::kConnectionIdle);
  deadlines.clear(DeadlineKind::kRequestHeaders);
  touch();
  if (head.end_stream) {
    stream_.request_has_no_body();
    info.request_end = stream_.lane().now();
    deadlines.clear(DeadlineKind::kRequest);
  } else {
    if (head.has_length) active_bytes_ = 0;
    if (!deadlines.is_set(DeadlineKind::kRequest))  // the first byte may have come before
      deadlines.set_in(DeadlineKind::kRequest, config_.request_timeout);
  }
  limit_stream(config_.max_stream_duration);
  return deadlines;
}

void ServerStream::on_refused_head(const http::RequestHead& head, BlockRef owner, std::string_view detail, int status) {
  begin(head, std::move(owner));
  stream_.info().flags.set(ResponseFlag::kDownstreamProtocolError);
  stream_.reply_local(status, detail);
}

// What a head says of its connection goes no further, nor do trailers that it names.
void ServerStream::drop_hop_by_hop(http::HeaderMap& headers) {
  std::string named;
  remove_hop_by_hop(headers, &named);
  if (named.empty()) return;
  if (named_ == nullptr) named_ = stream_.arena().make<Named>();
  (&headers == &stream_.request_headers() ? named_->request : named_->response) = stream_.arena().copy(named);
}

void ServerStream::on_head(const http::RequestHead& head, BlockRef owner) {
  Deadlines& deadlines = begin(head, std::move(owner));
  stream::StreamInfo& info = stream_.info();
  if (const Overload& overload = LaneProxy::of(stream_.lane()).overload();
      overload.acts() && !connection_.bypasses_overload() && shed_by(overload)) [[unlikely]]
    return;
  asks_tunnel_ = head.is_connect || (head.upgrade && (config_.ignored_upgrades.empty() || drop_ignored_upgrades()) &&
                                     !is_h2c_offer(stream_.request_headers()));
  if (!check_request(head)) return;
  http::HeaderMap& headers = stream_.request_headers();
  if (config_.scheme == SchemeHeader::kOverwrite) headers.set(HeaderId::kScheme, config_.scheme_text);
  for (const route::HeaderMutationStep& mutation : config_.early_mutations)
    mutation.apply(headers, {info, &headers}, stream_.arena());
  const bool upgrade = asks_tunnel_ && !head.is_connect;
  const std::string_view protocol = upgrade ? headers.get(HeaderId::kUpgrade) : std::string_view();
  if (headers.contains(HeaderId::kConnection) && connection_names_too_much(headers)) [[unlikely]] {
    stream_.reply_local(400, "connection_header_rejected");
    return;
  }
  if (is_about_connection(headers)) drop_hop_by_hop(headers);
  if (upgrade) [[unlikely]] {
    set_upgrade(headers, protocol);
    if (head.version == http::Version::kHttp2) add_websocket_key(headers, protocol);
  }
  if (!head.is_connect && !sanitise_path()) return;
  if (!config_.via.empty()) headers.append_value(HeaderId::kVia, config_.via, ", ");
  if (!identify_client()) return;
  select_route();
  if (config_.access_log_on_request) log(stream::AccessLogType::kDownstreamStart);
  deadlines.set_in(DeadlineKind::kAccessLog, config_.access_log_interval);
  const filter::HttpChainConfig* chain = asks_tunnel_ ? chain_for_tunnel(head) : config_.chain.get();
  if (chain != nullptr) start_chain(*chain, head.end_stream && !asks_tunnel_);
}

// True: answered, and nobody else has any work with it.
bool ServerStream::shed_by(const Overload& overload) {
  Random& random = stream_.lane().random();
  if (!overload.hits(OverloadAction::kStopAcceptingRequests, random) &&
      !overload.sheds(ShedPoint::kDecodeHeaders, random))
    return false;
  config_.stats->rq_overload_close.inc();
  stream_.info().flags.set(ResponseFlag::kOverloadManager);
  // As published: scripts look for it.
  stream_.reply_local(
      503, "overload", "envoy overloaded",
      [](http::HeaderMap& reply, filter::Stream&, const void* append) {
        if (append != nullptr) reply.add(HeaderId::kXEnvoyLocalOverloaded, "true");
      },
      config_.append_local_overload ? this : nullptr);
  return true;
}

void ServerStream::count() {
  if (counted_) return;
  counted_ = true;
  const ConnectionManagerStats& stats = *config_.stats;
  stats.rq_total.inc();
  stats.rq_active.inc();
}

void ServerStream::on_unread_head(stream::Protocol protocol) {
  stream_.info().protocol = protocol;
  count();
}

bool ServerStream::check_underscores(http::HeaderMap& fields) {
  if (config_.underscores == UnderscoreAction::kAllow) return true;
  const auto has_underscore = [](const http::HeaderEntry& entry) {
    return entry.id == HeaderId::kNone && entry.name().find('_') != std::string_view::npos;
  };
  if (config_.underscores == UnderscoreAction::kDrop) {
    config_.stats->dropped_underscore.add(fields.remove_if(has_underscore));
    return true;
  }
  bool found = false;
  fields.for_each([&](const http::HeaderEntry& entry) { found |= has_underscore(entry); });
  if (!found) return true;
  config_.stats->rq_rejected_underscore.inc();
  stream_.reply_local(400, "unexpected_underscore");
  return false;
}

// What a request must be to go any further. False: answered.
bool ServerStream::check_request(const http::RequestHead& head) {
  http::HeaderMap& headers = stream_.request_headers();
  if (!check_underscores(headers)) return false;
  if (head.version == http::Version::kHttp10) [[unlikely]]
    headers.remove(HeaderId::kExpect);  // RFC 9110 10.1.1
  if (head.expect_continue && !config_.proxy_100_continue) {
    headers.remove(HeaderId::kExpect);
    if (!head.end_stream) {
      http::HeaderMap& response = stream_.response_headers();
      response.add(HeaderId::kStatus, "100");
      config_.stats->codes.inc(100);
      connection_.write_informational(response);
      response.clear();
    }
  }
  if (!count_forwards()) return false;
  if (config_.strip_trailing_host_dot) {
    std::string_view host, rest;
    if (http::strip_trailing_dot(headers.authority(), host, rest))
      headers.set(HeaderId::kAuthority, rest.empty() ? host : stream_.arena().concat(host, rest));
  }
  if ((config_.strip_any_host_port || config_.strip_matching_host_port) && !head.is_connect) {
    std::string_view authority = headers.authority();
    std::string_view stripped = config_.strip_any_host_port
                                    ? http::strip_port(authority)
                                    : http::strip_matching_port(authority, stream_.info().downstream_local.port());
    if (stripped.size() != authority.size()) headers.set(HeaderId::kAuthority, stripped);
  }
  return true;
}

// RFC 9110 7.6.2: how often OPTIONS and TRACE may still be forwarded. False: no more, and answered here.
bool ServerStream::count_forwards() {
  http::HeaderMap& headers = stream_.request_headers();
  uint64_t left = 0;
  static const http::HeaderName kMaxForwards(HeaderId::kMaxForwards);
  if (!headers.contains(HeaderId::kMaxForwards)) return true;
  bool trace = headers.method() == "TRACE";
  if (!trace && headers.method() != "OPTIONS") return true;
  // It is one number: of two that differ, the next recipient would go by another one than this.
  const std::string_view value = headers.get(HeaderId::kMaxForwards);
  bool differs = false;
  headers.for_each(
      [&](const http::HeaderEntry& entry) { differs |= entry.id == HeaderId::kMaxForwards && entry.value() != value; });
  if (differs) {
    stream_.reply_local(400, "max_forwards_rejected");
    return false;
  }
  if (!http::parse_decimal(value, left)) return true;  // to be ignored
  if (left > 0) {
    char text[20];
    auto result = std::to_chars(text, text + sizeof(text), left - 1);
    headers.set_copy(kMaxForwards, {text, static_cast<size_t>(result.ptr - text)});
    return true;
  }
  // weir is the final recipient. It does not reflect requests (TRACE): they may carry credentials.
  stream_.reply_local(trace ? 501 : 200, "max_forwards_reached");
  return false;
}

namespace {

// Of the path alone, unless a browser would read "//name" or "/\\name" as that of another host.
std::string_view own_url(const http::HeaderMap& request, Arena& arena) {
  const std::string_view path = request.path();
  if (path.size() < 2 || (path[1] != '/' && path[1] != '\\')) return path;
  const std::string_view proto = request.get(HeaderId::kXForwardedProto);
  return arena.concat(proto == "https" ? "https://" : "http://", request.authority(), path);
}

}  // namespace

bool ServerStream::sanitise_path() {
  if (!config_.path.any()) return true;
  http::HeaderMap& headers = stream_.request_headers();
  std::string_view result;
  switch (http::sanitize_path(headers.path(), config_.path, stream_.arena(), result)) {
    case http::PathVerdict::kUnchanged:
      return true;
    case http::PathVerdict::kChanged:
      headers.set(HeaderId::kPath, result);
      return true;
    case http::PathVerdict::kRedirect: {
      config_.stats->rq_redirected_with_normalized_path.inc();
      headers.set(HeaderId::kPath, result);
      stream_.reply_local(
          307, "path_normalization_redirect", {},
          [](http::HeaderMap& reply, filter::Stream& stream, const void*) {
            reply.add(HeaderId::kLocation, own_url(stream.request_headers(), stream.arena()));
          },
          nullptr);
      return false;
    }
    case http::PathVerdict::kReject:
      config_.stats->rq_failed_path_normalization.inc();
      stream_.reply_local(400, "path_normalization_failed");
      return false;
  }
  return true;
}

bool ServerStream::identify_client() {
  ClientIdentity identity =
      identify_downstream(config_, connection_.is_tls(), stream_.request_headers(), stream_.info(), stream_.arena());
  from_inside_ = identity.internal;
  if (identity.reject_status != 0) {
    stream_.reply_local(identity.reject_status, "rejecting_because_detection_failed");
    return false;
  }
  http::HeaderMap& headers = stream_.request_headers();
  if (stream_.info().tls != nullptr || headers.contains(HeaderId::kXForwardedClientCert)) [[unlikely]] {
    forward_client_certificate(config_.forward_client_cert, config_.client_cert_details, stream_.info().tls, headers,
                               stream_.arena());
  }
  // Of HTTP/1 the proxies in front know it, if the request itself does not.
  if (!headers.contains(HeaderId::kScheme)) {
    const std::string_view proto = headers.get(HeaderId::kXForwardedProto);
    const bool known = proto == "http" || proto == "https";
    headers.add(HeaderId::kScheme, known ? proto : connection_.is_tls() ? "https" : "http");
  }
  if (!config_.user_agent.empty()) add_user_agent();
  if (config_.generate_request_id) {
    ensure_request_id(stream_.request_headers(), identity.edge && !config_.preserve_external_request_id,
                      stream_.lane().random(), stream_.arena());
  }
  return true;
}

void ServerStream::add_user_agent() {
  http::HeaderMap& headers = stream_.request_headers();
  headers.set(HeaderId::kXEnvoyDownstreamServiceCluster, config_.user_agent);
  if (headers.get(HeaderId::kUserAgent).empty()) headers.set(HeaderId::kUserAgent, config_.user_agent);
  if (!config_.service_node.empty()) headers.set(HeaderId::kXEnvoyDownstreamServiceNode, config_.service_node);
}

void ServerStream::select_route() {
  table_ = stream_.lane().slots().pin<route::RouteTable>(config_.route_table);
  if (!table_) return;
  take(selected());
}

route::Selection ServerStream::selected() {
  const stream::StreamInfo& info = stream_.info();
  route::SelectInput input;
  input.random = info.random;
  input.info = &info;
  input.slots = &stream_.lane().slots();
  input.arena = &stream_.arena();
  input.is_internal = from_inside_;
  if (!table_->internal_only_headers().empty() && !from_inside_) [[unlikely]] {
    for (const http::HeaderName& name : table_->internal_only_headers()) stream_.request_headers().remove(name);
  }
  input.is_tls = stream_.request_headers().get(HeaderId::kXForwardedProto) == "https";
  if (net::TransportFacts* tls = stream_.info().tls) {
    input.client_certificate_presented = tls->presented();
    input.client_certificate_validated = tls->validated();
  }
  return table_->select(stream_.request_headers(), input);
}

void ServerStream::take(const route::Selection& selection) {
  selection_ = selection;
  stream::StreamInfo& info = stream_.info();
  if (selection_.virtual_host != nullptr) {
    info.virtual_host = selection_.virtual_host->name();
    info.virtual_host_metadata = selection_.virtual_host->metadata();
  }
  if (selection_.virtual_cluster != nullptr) info.virtual_cluster = selection_.virtual_cluster->name;
  if (selection_.route != nullptr && !selection_.plain) {
    info.route_name = selection_.route->name();
    info.route_metadata = selection_.route->metadata();
    if (selection_.route->action() == route::ActionKind::kForward && selection_.route->forward().limits_stream())
        [[unlikely]]
      limit_by(selection_.route->forward());
  }
}

void ServerStream::reset_limits() {
  set_stream_idle_timeout(config_.stream_idle_timeout);
  limit_stream(config_.max_stream_duration);
}

void ServerStream::limit_by(const route::ForwardAction& action) {
  if (auto idle = action.idle_timeout()) set_stream_idle_timeout(*idle);
  http::HeaderMap& headers = stream_.request_headers();
  std::optional<Duration> longest = action.max_stream_duration();
  const auto most = action.grpc_timeout_header_max();
  if (most && action.grpc_timeout_is_of_stream()) {
    const Duration granted = parse_grpc_timeout(headers.get(HeaderId::kGrpcTimeout));
    if (granted > Duration::zero())
      longest = grpc_stream_timeout(granted, *most, action.grpc_timeout_header_offset().value_or(Duration::zero()));
  }
  if (!longest) return;
  limit_stream(*longest);
  // As published: the server knows how long its answer is waited for.
  if (stream::is_grpc_type(headers.get(HeaderId::kContentType))) set_grpc_timeout(headers, *longest, stream_.arena());
}

void ServerStream::choose_route_again() {
  if (!table_) return;
  reset_limits();
  stream::StreamInfo& info = stream_.info();
  info.virtual_host = info.virtual_cluster = info.route_name = {};
  info.virtual_host_metadata = info.route_metadata = nullptr;
  take(selected());
}

std::optional<route::Selection> ServerStream::look_up_route() {
  route::Selection selection = selected();
  if (selection.route == nullptr) return std::nullopt;
  return selection;
}

bool ServerStream::is_new_redirect(const route::Route& to) {
  for (const Redirect* known = known_redirects_; known != nullptr; known = known->next) {
    if (known->from == selection_.route && known->to == &to) return false;
  }
  known_redirects_ = stream_.arena().make<Redirect>(Redirect{selection_.route, &to, known_redirects_});
  return true;
}

void ServerStream::restart(const route::Selection& selection, Slices& body, bool trailers) {
  ++redirects_;
  stream_.restart();
  short_body_ = true;  // it has been read
  stream::StreamInfo& info = stream_.info();
  info.upstream = {};
  info.virtual_cluster = {};
  info.flags = {};
  Deadlines& deadlines = connection_.deadlines();
  deadlines.clear(DeadlineKind::kRoute);
  deadlines.clear(DeadlineKind::kPerTry);
  reset_limits();
  take(selection);
  const bool nothing_follows = body.empty() && !trailers;
  start_chain(*config_.chain, nothing_follows);  // what asks for a tunnel is never complete
  if (!body.empty()) stream_.request_data_arrived(body, !trailers);
  if (trailers) stream_.request_trailers_arrived();
  maybe_done();
}

void ServerStream::start_chain(const filter::HttpChainConfig& chain, bool end) {
  stream_.make_chain(chain, enabled_filters(chain, selection_.filter_configs()));
  stream_.request_arrived(end);
}

// Whoever says how much he sends is no stream of now and then: bytes that come slower than kSlowestBody, over the time
// that the stream may be idle, keep no stream alive.
void ServerStream::touch_by_body(bool end) {
  const uint64_t received = stream_.info().bytes_received;
  if (active_bytes_ != kAnyByte && !end && !held_back_ &&
      static_cast<double>(received - active_bytes_) <
          std::chrono::duration<double>(idle_timeout_).count() * kSlowestBody)
    return;
  if (active_bytes_ != kAnyByte) active_bytes_ = received;
  held_back_ = false;
  touch();
}

void ServerStream::on_data(Slices& data, bool end) {
  stream::StreamInfo& info = stream_.info();
  info.bytes_received += data.size();
  touch_by_body(end);
  if (end) {
    info.request_end = stream_.lane().now();
    connection_.deadlines().clear(DeadlineKind::kRequest);
  }
  stream_.request_data_arrived(data, end);
  maybe_done();
}

void ServerStream::on_trailers() {
  touch();
  stream_.info().request_end = stream_.lane().now();
  connection_.deadlines().clear(DeadlineKind::kRequest);
  http::HeaderMap& trailers = *stream_.request_trailers();
  if (named_ != nullptr) [[unlikely]]
    remove_named(trailers, named_->request);
  if (check_underscores(trailers)) stream_.request_trailers_arrived();
  maybe_done();
}

void ServerStream::on_protocol_error(std::string_view detail, int status) {
  stream_.info().flags.set(ResponseFlag::kDownstreamProtocolError);
  connection_.close_after_response();
  count();
  stream_.reply_local(status, detail);
}

void ServerStream::on_disconnect(ResponseFlag flag, std::string_view detail, stream::CloseType how) {
  if (finished_) return;
  stream::StreamInfo& info = stream_.info();
  info.flags.set(flag);
  info.details = detail;
  info.downstream_close_type = how;
  finish();
}

void ServerStream::on_stream_deadline(DeadlineKind kind) {
  const ConnectionManagerStats& stats = *config_.stats;
  switch (kind) {
    case DeadlineKind::kStreamIdle:
      stats.rq_idle_timeout.inc();
      stream_.info().flags.set(ResponseFlag::kStreamIdleTimeout);
      connection_.close_after_response();
      stream_.reply_local(stream_.request_finished() || asks_tunnel_ ? 504 : 408, "stream_idle_timeout",
                          "stream timeout");
      break;
    case DeadlineKind::kRequest:
      stats.rq_timeout.inc();
      connection_.close_after_response();
      stream_.reply_local(408, "request_overall_timeout", "request timeout");
      break;
    case DeadlineKind::kStreamMax:
      stats.rq_max_duration_reached.inc();
      connection_.close_after_response();
      stream_.reply_local(
          stream_.request_finished() || asks_tunnel_ ? 504 : 408, "max_duration_timeout", "downstream duration timeout",
          [](http::HeaderMap& reply, filter::Stream& s, const void*) {
            // DEADLINE_EXCEEDED: another try would not help, as UNAVAILABLE has it.
            if (stream::is_grpc_type(s.request_headers().get(HeaderId::kContentType)))
              reply.add(HeaderId::kGrpcStatus, "4");
          },
          nullptr);
      break;
    case DeadlineKind::kAccessLog:
      log(stream::AccessLogType::kDownstreamPeriodic);
      connection_.deadlines().set_in(kind, config_.access_log_interval);
      break;
    default:
      if (deadline_listener_ != nullptr) deadline_listener_->on_deadline(kind);
  }
}

// --- The response --------------------------------------------------------------------------------------------------

void ServerStream::send_informational(http::HeaderMap& headers) {
  touch();
  held_back_ = true;  // a client that waited for 100 (Continue) had nothing to send until now
  remove_hop_by_hop(headers);
  config_.stats->codes.inc(headers.status_code());  // as published, beside that of the answer
  connection_.write_informational(headers);
}

void ServerStream::send_headers(http::HeaderMap& headers, bool end) {
  stream::StreamInfo& info = stream_.info();
  if (config_.proxy_status != nullptr) add_proxy_status(*config_.proxy_status, info, headers, stream_.arena());
  info.response_code = static_cast<uint16_t>(headers.status_code());
  info.response_first_tx = stream_.lane().now();
  const std::string_view protocol = asks_tunnel_ ? headers.get(HeaderId::kUpgrade) : std::string_view();
  if (is_about_connection(headers)) drop_hop_by_hop(headers);
  switch (config_.server_header) {
    case ServerHeader::kOverwrite:
      headers.set(HeaderId::kServer, config_.server_name);
      break;
    case ServerHeader::kAppendIfAbsent:
      if (!headers.contains(HeaderId::kServer)) headers.add(HeaderId::kServer, config_.server_name);
      break;
    case ServerHeader::kPassThrough:
      break;
  }
  if (!headers.contains(HeaderId::kDate)) headers.add(HeaderId::kDate, LaneProxy::of(stream_.lane()).date());
  if (!config_.via.empty()) headers.append_value(HeaderId::kVia, config_.via, ", ");
  if (config_.always_set_request_id_in_response) {
    std::string_view id = stream_.request_headers().get(HeaderId::kXRequestId);
    if (id.data() != nullptr) headers.set(HeaderId::kXRequestId, id);
  }
  // Nobody will read the rest of a long request that is answered already; but request and response that stream beside
  // each other may both come to their ends.
  bool sound = info.response_code != 101;
  if (asks_tunnel_) [[unlikely]] {
    sound = begin_tunnel_response(headers, protocol);
  } else if (!stream_.request_finished() && !short_body_ &&
             (end || local_reply_ || info.response_code >= 400 || headers.contains(HeaderId::kContentLength))) {
    connection_.close_after_response();
    // RFC 9110 15.5.22: who is refused for his version is told of the one that is spoken.
    if (info.response_code == 426 && info.flags.has(ResponseFlag::kDownstreamProtocolError))
      set_upgrade(headers, "HTTP/1.1");
  }
  response_head_sent_ = true;
  if (!stream_.request_finished()) [[unlikely]]
    connection_.deadlines().clear(DeadlineKind::kRequest);  // as published: it holds until there is a response
  if (!sound || !connection_.write_headers(headers, end)) {
    // A filter (or a hostile upstream) made a head that the protocol cannot carry.
    headers.clear();
    headers.add(HeaderId::kStatus, "502");
    headers.add(HeaderId::kContentLength, "0");
    info.response_code = 502;
    info.details = "invalid_response_headers";
    if (!local_reply_) info.flags.set(ResponseFlag::kUpstreamProtocolError);
    connection_.close_after_response();
    replaced_ = connection_.write_headers(headers, true);
    stream_.abort("invalid_response_headers");
    return;
  }
  touch();
  if (end) maybe_done();
}

void ServerStream::send_data(Slices& data, bool end) {
  stream_.info().bytes_sent += is_head_ ? 0 : data.size();
  touch();
  if (!connection_.write_data(data, end)) {
    // Not as many bytes as content-length said.
    abort_response();
    return;
  }
  if (end) maybe_done();
}

void ServerStream::send_trailers(http::HeaderMap& trailers) {
  if (named_ != nullptr) [[unlikely]]
    remove_named(trailers, named_->response);
  if (!connection_.write_trailers(trailers)) {
    abort_response();
    return;
  }
  maybe_done();
}

void ServerStream::abort_response() {
  if (aborted_) return;
  aborted_ = true;
  if (replaced_) {
    done_reported_ = true;
    connection_.stream_done();
    return;
  }
  config_.stats->rq_tx_reset.inc();
  connection_.abort_response();
}

void ServerStream::prepare_local_reply(http::HeaderMap& headers, Slices& body) {
  local_reply_ = true;
  // As published, whoever answers 400 has found the message wrong: what its sender takes for its end may be another.
  if (headers.status_code() == 400 && !config_.h1.options.keep_open_after_invalid) connection_.close_after_response();
  if (selection_.route != nullptr) {
    const stream::LogSubject subject{stream_.info(), &stream_.request_headers(), &headers, nullptr};
    selection_.apply_response_mutations(headers, subject, stream_.arena());
  }
  if (config_.local_replies != nullptr) config_.local_replies->shape(stream_, headers, body);
  if (asks_tunnel_) [[unlikely]]
    refuse_local_tunnel(headers, body);
}

void ServerStream::on_body_too_large(bool response) {
  (response ? config_.stats->rs_too_large : config_.stats->rq_too_large).inc();
}

const void* ServerStream::route_config(filter::RouteKey key) const {
  return selection_.filter_configs().most_specific(key);
}

filter::RouteLevels ServerStream::route_configs(filter::RouteKey key) const {
  return selection_.filter_configs().levels(key);
}

std::string_view ServerStream::route_cluster() const {
  if (selection_.route == nullptr || selection_.route->action() != route::ActionKind::kForward) return {};
  return selection_.cluster(stream_.request_headers()).name;
}

void ServerStream::on_request_flow(bool blocked) {
  (blocked ? config_.stats->flow_paused_reading : config_.stats->flow_resumed_reading).inc();
  held_back_ = true;
  connection_.pause_request(blocked);
}

void ServerStream::maybe_done() {
  if (done_reported_ || aborted_ || finished_ || !stream_.response_finished()) return;
  if (tunnel_ && !tunnel_over_) return;
  done_reported_ = true;
  connection_.stream_done();
}

Duration ServerStream::flush_timeout() const {
  const route::Route* route = selection_.route;
  if (route != nullptr && route->action() == route::ActionKind::kForward) {
    if (auto own = route->forward().flush_timeout()) return *own;
  }
  return config_.stream_flush_timeout.value_or(idle_timeout_);
}

void ServerStream::finish() {
  if (finished_) return;
  finished_ = true;
  connection_.deadlines().clear_stream();
  stream::StreamInfo& info = stream_.info();
  info.end = stream_.lane().now();
  if (!response_head_sent_) info.response_code = 0;
  if (info.details.empty() && response_head_sent_) info.details = "via_upstream";
  stream_.complete();
  if (!counted_) return;
  const ConnectionManagerStats& stats = *config_.stats;
  stats.rq_active.dec();
  if (tunnel_) stats.cx_upgrades_active.dec();
  if (info.response_code != 0) stats.codes.inc(info.response_code);
  stats.rq_time.record(static_cast<uint64_t>(to_ms(info.end - info.start)));
  if (!info.upstream.cluster.empty()) count_route(info);
  if (config_.access_logs.empty()) return;
  if (!info.upstream.cluster.empty()) return log(stream::AccessLogType::kDownstreamEnd);
  // Answered in front of the router: it would have gone there.
  const event::Pin<upstream::Cluster> meant = name_cluster();
  log(stream::AccessLogType::kDownstreamEnd);
}

event::Pin<upstream::Cluster> ServerStream::name_cluster() {
  if (selection_.route == nullptr || selection_.route->action() != route::ActionKind::kForward) return {};
  upstream::LaneClusters* clusters = upstream::LaneClusters::find_on(stream_.lane());
  if (clusters == nullptr) return {};  // the lane ends
  const route::ClusterChoice choice = selection_.cluster(stream_.request_headers());
  const upstream::ClusterLocal* cluster =
      choice.has_slot ? clusters->find(choice.slot) : clusters->find_by_name(choice.name);
  if (cluster == nullptr) return {};
  event::Pin<upstream::Cluster> pin = cluster->pin();
  upstream::describe(pin->spec, stream_.info().upstream);
  return pin;
}

// Of a stream that was forwarded.
void ServerStream::count_route(const stream::StreamInfo& info) {
  if (const route::RouteStats* stats = selection_.route_stats()) stats->count(info);
  if (selection_.virtual_cluster != nullptr && selection_.virtual_cluster->stats != nullptr)
    selection_.virtual_cluster->stats->count(info);
}

void ServerStream::log(stream::AccessLogType type) {
  const stream::LogSubject subject{
      stream_.info(), &stream_.request_headers(), &stream_.response_headers(), stream_.response_trailers(), {}, type};
  for (const auto& log : config_.access_logs) log->log(subject, stream_.lane());
}

}  // namespace weir::proxy
