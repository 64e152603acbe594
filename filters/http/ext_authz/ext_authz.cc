#include "filters/http/ext_authz/ext_authz.h"

#include <algorithm>
#include <utility>

#include "core/filter/config_translator.h"
#include "core/filter/header_value.h"
#include "core/filter/register.h"
#include "core/filter/stream.h"
#include "core/grpc/read_service.h"
#include "core/http/query.h"
#include "core/upstream/lane_clusters.h"
#include "envoy/extensions/filters/http/ext_authz/v3/ext_authz.pb.h"
#include "filters/http/ext_authz/grpc_service.h"
#include "filters/http/ext_authz/http_service.h"

namespace weir::filters::ext_authz {

using filter::Action;
using http::HeaderId;
using upstream::ClusterStats;
namespace pb = envoy::extensions::filters::http::ext_authz::v3;

namespace {

constexpr std::string_view kDenied = "ext_authz_denied";
constexpr std::string_view kError = "ext_authz_error";
constexpr std::string_view kNamespace = "envoy.filters.http.ext_authz";
constexpr std::string_view kDuration = "ext_authz_duration";

const http::HeaderName& failure_mode_header() {
  static const http::HeaderName kName("x-envoy-auth-failure-mode-allowed");
  return kName;
}

// What follows is the tunnel's, and comes when a response has opened it.
bool asks_for_tunnel(const http::HeaderMap& headers) {
  return headers.contains(HeaderId::kUpgrade) || headers.method() == "CONNECT";
}

}  // namespace

void Changes::apply(http::HeaderMap& headers) const {
  const auto has = [&](const Fields::Field& field) {
    bool found = false;
    headers.for_each([&](const http::HeaderEntry& entry) { found |= entry.name() == field.name; });
    return found;
  };
  const auto drop = [&](const Fields::Field& field) {
    headers.remove_if([&](const http::HeaderEntry& entry) { return entry.name() == field.name; });
  };
  const auto put = [&](const Fields::Field& field) { headers.add(field.id, field.name, field.value); };
  if_present.for_each([&](const Fields::Field& field) {
    if (!has(field)) return;
    drop(field);
    put(field);
  });
  set.for_each(drop);
  set.for_each(put);
  add.for_each(put);
  if_absent.for_each([&](const Fields::Field& field) {
    if (!has(field)) put(field);
  });
  remove.for_each(drop);
}

// --- The question --------------------------------------------------------------------------------------------------

bool Filter::enabled() const {
  event::Lane& lane = stream_->lane();
  if (!settings_.enabled.enabled(lane.slots(), lane.random().next())) return false;
  if (!settings_.enabled_metadata) return true;
  const stream::Metadata* metadata = stream_->info().metadata;
  return settings_.enabled_metadata->matches(metadata != nullptr ? &metadata->root() : nullptr);
}

Action Filter::on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) {
  stream_ = &stream;
  const RouteSettings* route = stream.route_config<RouteSettings>();
  if (route != nullptr && route->disabled) {
    stream.leave_body_alone();
    return Action::kContinue;
  }
  if (!enabled()) {
    settings_.stats.disabled.inc();
    if (settings_.deny_at_disable.get(stream.lane().slots())) {
      stream.info().flags.set(stream::ResponseFlag::kUnauthorizedExternalService);
      return stream.reply_local(*this, settings_.status_on_error, kError);
    }
    stream.leave_body_alone();
    return Action::kContinue;
  }
  const std::optional<BodySettings>& body = route != nullptr && route->body ? route->body : settings_.body;
  if (body && !end && !(route != nullptr && route->without_body) && !asks_for_tunnel(headers)) {
    collecting_ = true;
    limit_ = body->max_bytes;
    part_will_do_ = body->allow_partial;
    as_bytes_ = body->as_bytes;
    part_will_do_ ? stream.buffer_start_of_body(limit_) : stream.buffer_body(limit_);
    return Action::kContinue;
  }
  stream.leave_body_alone();
  return ask(nullptr, true);
}

Action Filter::on_request_data(filter::Stream&, Slices& data, bool end) {
  return std::exchange(collecting_, false) ? ask(&data, end) : Action::kContinue;
}

// `end`: there is no more of the body.
Action Filter::ask(const Slices* body, bool end) {
  asked_ = stream_->lane().now();
  const RouteSettings* route = stream_->route_config<RouteSettings>();
  if (route != nullptr) route_service_ = route->service;
  client_ = (route_service_ != nullptr ? *route_service_ : *settings_.service).make_client(stream_->arena());
  CheckRequest request{*stream_, settings_.told};
  request.body_as_bytes = as_bytes_;
  const auto routes = stream_->route_configs<RouteSettings>();
  request.routes = &routes;
  Slices start;
  if (body != nullptr) {
    const size_t bytes = std::min<size_t>(body->size(), limit_);
    if (bytes == body->size()) {
      request.body = body;
    } else {
      Slices all;
      body->copy_refs_to(all);
      all.move_front(bytes, start);
      request.body = &start;
    }
    request.partial = bytes < body->size() || (part_will_do_ && !end && bytes == limit_);
  }
  if (!client_->check(request, *this)) {
    forget_client();
    return act({});
  }
  stream_->host().end_with_client(true);
  waiting_ = stream_->resume_handle();
  return Action::kPause;
}

void Filter::forget_client() {
  if (AuthzClient* client = std::exchange(client_, nullptr)) client->~AuthzClient();
}

void Filter::on_complete(filter::Stream&) {
  waiting_.cancel();
  forget_client();
}

// --- The answer ----------------------------------------------------------------------------------------------------

void Filter::on_checked(const CheckAnswer& answer) {
  filter::Resume waiting = std::move(waiting_);
  stream_->host().end_with_client(false);
  if (act(answer) == Action::kContinue) waiting.resume();
}

Action Filter::act(const CheckAnswer& answer) {
  switch (answer.verdict) {
    case Verdict::kAllowed:
      tell_metadata(answer);
      allow(answer);
      return Action::kContinue;
    case Verdict::kDenied:
      tell_metadata(answer);
      return deny(answer);
    case Verdict::kError:
      break;
  }
  return fail(answer);
}

const ClusterStats* Filter::cluster_stats() const {
  upstream::LaneClusters* clusters = upstream::LaneClusters::find_on(stream_->lane());
  const std::string_view name = stream_->host().route_cluster();
  if (clusters == nullptr || name.empty()) return nullptr;
  upstream::ClusterLocal* cluster = clusters->find_by_name(name);
  return cluster != nullptr ? &cluster->stats() : nullptr;
}

void Filter::count(stats::Counter counter, ClusterStats::Authorization what) const {
  counter.inc();
  if (const ClusterStats* stats = cluster_stats()) stats->authorization.inc(what);
}

void Filter::tell_metadata(const CheckAnswer& answer) {
  if (answer.metadata.empty() && answer.metadata_struct == nullptr) return;
  if (!settings_.takes_metadata) return settings_.stats.ignored_dynamic_metadata.inc();
  stream::Metadata& metadata = stream_->dynamic_metadata();
  answer.metadata.for_each(
      [&](const Fields::Field& field) { metadata.set(kNamespace, field.name, stream::Value::of_string(field.value)); });
  if (answer.metadata_struct != nullptr) metadata.set_all(kNamespace, *answer.metadata_struct);
  if (answer.verdict != Verdict::kAllowed) return;
  const auto ms = static_cast<double>(to_ms(stream_->lane().now() - asked_));
  metadata.set(kNamespace, kDuration, stream::Value::of_number(ms));
}

void Filter::allow(const CheckAnswer& answer) {
  count(settings_.stats.ok, ClusterStats::kAuthorized);
  http::HeaderMap& headers = stream_->request_headers();
  answer.request.apply(headers);
  const bool queries = !answer.query_set.empty() || !answer.query_remove.empty();
  if (queries) {
    std::string& query = http::take_query(headers);
    answer.query_set.for_each([&](const Fields::Field& field) { http::set_parameter(field.name, field.value, query); });
    answer.query_remove.for_each(
        [&](const Fields::Field& field) { http::replace_parameter(field.name, nullptr, query); });
    http::put_query(query, headers, stream_->arena());
  }
  response_ = answer.response;
  if (settings_.clear_route_cache && (queries || !answer.request.empty())) stream_->host().choose_route_again();
}

Action Filter::deny(const CheckAnswer& answer) {
  count(settings_.stats.denied, ClusterStats::kDenied);
  if (settings_.charge_cluster) {
    if (const ClusterStats* stats = cluster_stats()) stats->codes.inc(answer.status);
  }
  CheckAnswer cut = answer;
  cut.body = cut.body.substr(0, settings_.max_denied_body);
  return reply(cut.status, kDenied, cut);
}

Action Filter::fail(const CheckAnswer& answer) {
  count(settings_.stats.error, ClusterStats::kAuthorizationError);
  if (settings_.failure_mode_allow) {
    count(settings_.stats.failure_mode_allowed, ClusterStats::kAllowedByFailure);
    if (settings_.failure_mode_allow_header) stream_->request_headers().set(failure_mode_header(), "true");
    return Action::kContinue;
  }
  return reply(answer.says_reply ? answer.status : settings_.status_on_error, kError, answer);
}

Action Filter::reply(int status, std::string_view details, const CheckAnswer& answer) {
  stream_->info().flags.set(stream::ResponseFlag::kUnauthorizedExternalService);
  reply_ = answer.reply;
  return stream_->reply_local(
      *this, status, details, answer.body,
      [](http::HeaderMap& headers, filter::Stream&, const void* user) {
        static_cast<const Filter*>(user)->reply_.for_each(
            [&](const Fields::Field& field) { headers.add(field.id, field.name, field.value); });
      },
      this);
}

Action Filter::on_response_headers(filter::Stream&, http::HeaderMap& headers, bool) {
  response_.apply(headers);
  return Action::kContinue;
}

// --- Configuration -------------------------------------------------------------------------------------------------

namespace {

constexpr auto kUsualTimeout = std::chrono::milliseconds(200);

template <class ListStringMatcher>
NameList read_names(const ListStringMatcher& list, filter::FactoryScope& scope, std::string_view field) {
  return filter::translate_all(scope.translator(), &filter::ConfigTranslator::string_matcher, list.patterns(),
                               scope.at(field) + ".patterns");
}

BodySettings read_body(const pb::BufferSettings& proto) {
  return {proto.max_request_bytes(), proto.allow_partial_message(), proto.pack_as_bytes()};
}

std::vector<stream::HeaderValue> read_headers(const pb::AuthorizationRequest& proto, filter::FactoryScope& scope) {
  std::vector<stream::HeaderValue> headers;
  for (int i = 0; i < proto.headers_to_add_size(); ++i) {
    auto value = filter::read_header_value(proto.headers_to_add(i), stream::AppendAction::kOverwriteIfExistsOrAdd,
                                           scope.below("authorization_request").below("headers_to_add", i));
    if (value) headers.push_back(std::move(*value));
  }
  return headers;
}

// An HTTP service has no place for these.
void warn_of_unheard(const pb::ExtAuthz& proto, filter::FactoryScope& scope) {
  constexpr std::string_view kWhy = "is told to gRPC services alone; an HTTP service does not hear of it";
  const auto warn = [&](bool set, std::string_view field) {
    if (set) scope.warning(field, std::string(kWhy));
  };
  warn(proto.metadata_context_namespaces_size() > 0, "metadata_context_namespaces");
  warn(proto.typed_metadata_context_namespaces_size() > 0, "typed_metadata_context_namespaces");
  warn(proto.route_metadata_context_namespaces_size() > 0, "route_metadata_context_namespaces");
  warn(proto.include_peer_certificate(), "include_peer_certificate");
  warn(proto.include_tls_session(), "include_tls_session");
  if (proto.encode_raw_headers()) scope.warning("encode_raw_headers", "an HTTP service gets headers as they are");
  if (proto.with_request_body().pack_as_bytes())
    scope.warning("with_request_body.pack_as_bytes", "an HTTP service gets the bytes of the body as they are");
}

Told read_told(const pb::ExtAuthz& proto, filter::FactoryScope& scope) {
  Told told;
  told.allowed_headers = read_names(proto.allowed_headers(), scope, "allowed_headers");
  told.disallowed_headers = read_names(proto.disallowed_headers(), scope, "disallowed_headers");
  const auto names = [](const auto& list) { return std::vector<std::string>(list.begin(), list.end()); };
  told.metadata = names(proto.metadata_context_namespaces());
  told.typed_metadata = names(proto.typed_metadata_context_namespaces());
  told.route_metadata = names(proto.route_metadata_context_namespaces());
  told.peer_certificate = proto.include_peer_certificate();
  told.tls_session = proto.include_tls_session();
  told.raw_headers = proto.encode_raw_headers();
  return told;
}

std::shared_ptr<const AuthzService> read_grpc_service(const envoy::config::core::v3::GrpcService& from,
                                                      const filter::FactoryScope& below) {
  return std::make_shared<const GrpcService>(grpc::read_service(from, below, kUsualTimeout));
}

std::shared_ptr<const AuthzService> read_http_service(const pb::HttpService& from, filter::FactoryScope below) {
  HttpService::Spec spec;
  if (!from.has_server_uri())
    below.error("server_uri", "must be set: the cluster of the service, and how long it may take");
  const std::string& cluster = from.server_uri().cluster();
  if (!cluster.empty()) spec.cluster = below.routes().cluster(cluster);
  spec.timeout = kUsualTimeout;
  if (from.server_uri().has_timeout()) {
    const auto& timeout = from.server_uri().timeout();
    spec.timeout = duration_of(timeout.seconds(), timeout.nanos());
  }
  // As published, where nothing says on what.
  constexpr std::string_view kUsual = "5xx,gateway-error,connect-failure,reset";
  if (from.has_retry_policy())
    spec.retries = grpc::read_retries(from.retry_policy(), kUsual, below.below("retry_policy"));
  spec.path_prefix = from.path_prefix();
  if (!spec.path_prefix.empty() && spec.path_prefix.front() != '/')
    below.error("path_prefix",
                "'" + spec.path_prefix + "' must begin with a slash; it is put before the request's path");
  const pb::AuthorizationRequest& request = from.authorization_request();
  spec.allowed_headers = read_names(request.allowed_headers(), below, "authorization_request.allowed_headers");
  spec.headers_to_add = read_headers(request, below);
  const pb::AuthorizationResponse& response = from.authorization_response();
  auto of_response = below.below("authorization_response");
  spec.upstream = read_names(response.allowed_upstream_headers(), of_response, "allowed_upstream_headers");
  spec.upstream_append =
      read_names(response.allowed_upstream_headers_to_append(), of_response, "allowed_upstream_headers_to_append");
  spec.client = read_names(response.allowed_client_headers(), of_response, "allowed_client_headers");
  spec.client_on_success =
      read_names(response.allowed_client_headers_on_success(), of_response, "allowed_client_headers_on_success");
  spec.metadata = read_names(response.dynamic_metadata_from_headers(), of_response, "dynamic_metadata_from_headers");
  return std::make_shared<const HttpService>(std::move(spec));
}

std::shared_ptr<const AuthzService> read_service(const pb::ExtAuthz& proto, filter::FactoryScope& scope) {
  if (proto.has_grpc_service()) return read_grpc_service(proto.grpc_service(), scope.below("grpc_service"));
  if (!proto.has_http_service()) {
    scope.error("http_service", "or grpc_service must be set: who is to be asked");
    return nullptr;
  }
  warn_of_unheard(proto, scope);
  if (proto.has_allowed_headers() && proto.http_service().authorization_request().has_allowed_headers()) {
    scope.error(
        "allowed_headers",
        "and http_service.authorization_request.allowed_headers are both set; remove the latter, the older one");
  }
  return read_http_service(proto.http_service(), scope.below("http_service"));
}

struct Config : Settings {
  static Result<std::shared_ptr<const Config>> from_proto(const pb::ExtAuthz& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    filter::ConfigTranslator& translator = scope.translator();
    config->service = read_service(proto, scope);
    config->told = read_told(proto, scope);
    const std::string prefix = "ext_authz." + (proto.stat_prefix().empty() ? "" : proto.stat_prefix() + ".");
    config->stats = {scope.counter(prefix + "ok"),
                     scope.counter(prefix + "denied"),
                     scope.counter(prefix + "error"),
                     scope.counter(prefix + "disabled"),
                     scope.counter(prefix + "failure_mode_allowed"),
                     scope.counter(prefix + "ignored_dynamic_metadata")};
    if (proto.has_with_request_body()) config->body = read_body(proto.with_request_body());
    if (proto.has_filter_enabled()) config->enabled = translator.runtime_fraction(proto.filter_enabled());
    if (proto.has_filter_enabled_metadata()) {
      config->enabled_metadata =
          translator.metadata_matcher(proto.filter_enabled_metadata(), scope.at("filter_enabled_metadata"));
    }
    if (proto.has_deny_at_disable()) config->deny_at_disable = translator.runtime_flag(proto.deny_at_disable());
    if (proto.has_status_on_error()) {
      config->status_on_error = proto.status_on_error().code();
      if (config->status_on_error < 200)
        scope.error("status_on_error.code", std::to_string(config->status_on_error) + " ends no request; 200 or more");
    }
    if (proto.max_denied_response_body_bytes() != 0) config->max_denied_body = proto.max_denied_response_body_bytes();
    if (proto.has_enable_dynamic_metadata_ingestion())
      config->takes_metadata = proto.enable_dynamic_metadata_ingestion().value();
    config->failure_mode_allow = proto.failure_mode_allow();
    config->failure_mode_allow_header = proto.failure_mode_allow_header_add();
    config->clear_route_cache = proto.clear_route_cache();
    if (proto.has_charge_cluster_response_stats())
      config->charge_cluster = proto.charge_cluster_response_stats().value();
    return std::shared_ptr<const Config>(std::move(config));
  }
};

struct RouteConfig : RouteSettings {
  static Result<std::shared_ptr<const RouteConfig>> from_proto(const pb::ExtAuthzPerRoute& proto,
                                                               filter::FactoryScope& scope) {
    auto config = std::make_shared<RouteConfig>();
    config->disabled = proto.disabled();
    if (proto.has_check_settings()) {
      const pb::CheckSettings& settings = proto.check_settings();
      for (const auto& [key, value] : settings.context_extensions()) config->context.emplace_back(key, value);
      config->without_body = settings.disable_request_body_buffering();
      auto below = scope.below("check_settings");
      if (settings.has_grpc_service())
        config->service = read_grpc_service(settings.grpc_service(), below.below("grpc_service"));
      if (settings.has_http_service())
        config->service = read_http_service(settings.http_service(), below.below("http_service"));
      if (settings.has_with_request_body()) config->body = read_body(settings.with_request_body());
      if (config->without_body && config->body) {
        scope.error("check_settings.disable_request_body_buffering",
                    "and with_request_body are both set; the service is either told of bodies or not");
      }
    }
    return std::shared_ptr<const RouteConfig>(std::move(config));
  }
};

class Plugin final : public Filter {
 public:
  using RouteConfig = ext_authz::RouteConfig;
  explicit Plugin(const Config& config) : Filter(config) {}
};

}  // namespace
}  // namespace weir::filters::ext_authz

WEIR_HTTP_FILTER(ext_authz, "envoy.filters.http.ext_authz", weir::filters::ext_authz::Config,
                 weir::filters::ext_authz::Plugin)
