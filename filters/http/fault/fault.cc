#include "filters/http/fault/fault.h"

#include <algorithm>

#include "core/filter/config_translator.h"
#include "core/filter/register.h"
#include "core/filter/stream.h"
#include "core/http/chars.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"

namespace weir::filters::fault {

using filter::Action;
using http::HeaderId;
using stream::ResponseFlag;
namespace pb = envoy::extensions::filters::http::fault::v3;
namespace common_pb = envoy::extensions::filters::common::fault::v3;

namespace {

constexpr std::string_view kDetails = "fault_filter_abort";
constexpr std::string_view kText = "fault filter abort";
constexpr uint64_t kMaxKbps = uint64_t{1} << 40;  // more is no limit

struct Names {
  http::HeaderName delay{"x-envoy-fault-delay-request"};
  http::HeaderName delay_percentage{"x-envoy-fault-delay-request-percentage"};
  http::HeaderName abort{"x-envoy-fault-abort-request"};
  http::HeaderName abort_grpc{"x-envoy-fault-abort-grpc-request"};
  http::HeaderName abort_percentage{"x-envoy-fault-abort-request-percentage"};
  http::HeaderName throughput{"x-envoy-fault-throughput-response"};
  http::HeaderName throughput_percentage{"x-envoy-fault-throughput-response-percentage"};
};

const Names& names() {
  static const Names kNames;
  return kNames;
}

// The number in a header; no value if it is not there or none.
std::optional<uint64_t> number_in(const http::HeaderMap& headers, const http::HeaderName& name) {
  uint64_t number = 0;
  if (!http::parse_decimal(headers.get(name), number)) return std::nullopt;
  return number;
}

}  // namespace

bool Filter::concerns(filter::Stream& stream, const http::HeaderMap& headers) const {
  if (!policy_->upstream_cluster.empty() && stream.host().route_cluster() != policy_->upstream_cluster) return false;
  if (!policy_->downstream_nodes.empty()) {
    std::string_view node = headers.get(HeaderId::kXEnvoyDownstreamServiceNode);
    if (std::find(policy_->downstream_nodes.begin(), policy_->downstream_nodes.end(), node) ==
        policy_->downstream_nodes.end())
      return false;
  }
  return std::all_of(policy_->headers.begin(), policy_->headers.end(),
                     [&](const match::HeaderMatcher& each) { return each.matches(headers); });
}

bool Filter::inject(const Chance& chance, const http::HeaderName& percentage_header, const http::HeaderMap& headers) {
  event::Lane& lane = stream_->lane();
  runtime::Fraction fraction = chance.percentage.get(lane.slots());
  if (chance.by_header) {  // a request can only ask for less than is configured
    if (auto asked = number_in(headers, percentage_header))
      fraction.numerator = static_cast<uint32_t>(std::min<uint64_t>(*asked, fraction.numerator));
  }
  // Not the stream's one random number: delays and aborts are to be independent.
  if (!fraction.hit(lane.random().next())) return false;
  if (active_) return true;
  uint32_t most = policy_->max_active.get(lane.slots());
  if (most != UINT32_MAX && settings_.stats.active_faults.value() >= static_cast<int64_t>(most)) {
    settings_.stats.faults_overflow.inc();
    return false;
  }
  active_ = true;
  settings_.stats.active_faults.inc();
  return true;
}

Action Filter::on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool) {
  policy_ = stream.route_config<Policy>();
  if (policy_ == nullptr) policy_ = &settings_;
  if (!concerns(stream, headers)) return Action::kContinue;
  stream_ = &stream;
  if (policy_->rate_limit) {
    uint64_t kbps = policy_->limit_kbps;
    if (policy_->rate_limit->by_header) kbps = number_in(headers, names().throughput).value_or(0);
    if (kbps > 0 && inject(*policy_->rate_limit, names().throughput_percentage, headers)) {
      settings_.stats.response_rl_injected.inc();
      trickle_.start(stream.lane(), std::min(kbps, kMaxKbps) * 1024);
    }
  }
  if (auto ms = delay_of(headers)) {
    settings_.stats.delays_injected.inc();
    tell();
    stream.info().flags.set(ResponseFlag::kDelayInjected);
    delayed_ = stream.resume_handle();
    stream.lane().arm_in(*this, std::chrono::milliseconds(*ms));
    return Action::kPause;
  }
  return abort(headers) ? answer() : Action::kContinue;
}

std::optional<uint32_t> Filter::delay_of(const http::HeaderMap& headers) {
  if (!policy_->delay) return std::nullopt;
  uint64_t ms = policy_->delay_ms.get(stream_->lane().slots());
  if (policy_->delay->by_header) ms = number_in(headers, names().delay).value_or(0);
  if (ms == 0 || !inject(*policy_->delay, names().delay_percentage, headers)) return std::nullopt;
  return static_cast<uint32_t>(std::min<uint64_t>(ms, UINT32_MAX));
}

bool Filter::abort(const http::HeaderMap& headers) {
  if (!policy_->abort) return false;
  const event::SlotTable& slots = stream_->lane().slots();
  uint64_t http_status = 0;
  std::optional<uint64_t> grpc_status;
  if (policy_->abort->by_header) {
    http_status = number_in(headers, names().abort).value_or(0);
    if (http_status == 0) grpc_status = number_in(headers, names().abort_grpc);
  } else if (policy_->is_grpc) {
    grpc_status = policy_->grpc_status.get(slots);
  } else {
    http_status = policy_->http_status.get(slots);
  }
  bool known = grpc_status ? *grpc_status <= UINT32_MAX : http_status >= 200 && http_status < 600;
  if (!known || !inject(*policy_->abort, names().abort_percentage, headers)) return false;
  http_status_ = grpc_status ? 200 : static_cast<uint32_t>(http_status);
  if (grpc_status) grpc_status_ = static_cast<int64_t>(*grpc_status);
  return true;
}

Action Filter::answer() {
  settings_.stats.aborts_injected.inc();
  tell();
  stream_->info().flags.set(ResponseFlag::kFaultInjected);
  int code = static_cast<int>(http_status_);
  if (grpc_status_ < 0) return stream_->reply_local(*this, code, kDetails, kText);
  return stream_->reply_local(
      *this, code, kDetails, {},
      [](http::HeaderMap& headers, filter::Stream&, const void* user) {
        headers.set(HeaderId::kContentType, "application/grpc");
        headers.set_copy(HeaderId::kGrpcStatus, std::to_string(static_cast<const Filter*>(user)->grpc_status_));
        headers.set(HeaderId::kGrpcMessage, kText);
      },
      this);
}

void Filter::tell() {
  if (policy_->metadata != nullptr) stream_->dynamic_metadata().set_all(settings_.name, policy_->metadata->root());
}

// The delay is over.
void Filter::on_timer() {
  if (abort(stream_->request_headers())) {
    (void)answer();
  } else {
    delayed_.resume();
  }
}

Action Filter::on_response_headers(filter::Stream& stream, http::HeaderMap&, bool) {
  // An answer that did not wait for the request (a deadline's) ends its delay.
  cancel();
  delayed_.cancel();
  if (!trickle_.started()) stream.leave_body_alone();
  return Action::kContinue;
}

Action Filter::on_response_data(filter::Stream& stream, Slices& data, bool) { return trickle_.pass(stream, data); }

void Filter::on_complete(filter::Stream&) {
  cancel();
  delayed_.cancel();
  trickle_.stop();
  if (active_) settings_.stats.active_faults.dec();
  active_ = false;
}

// --- Configuration -------------------------------------------------------------------------------------------------

namespace {

runtime::Key key_of(const std::string& configured, std::string_view usual) {
  return runtime::Key(configured.empty() ? usual : std::string_view(configured));
}

Chance read_chance(const envoy::type::v3::FractionalPercent& proto, bool by_header, runtime::Key key,
                   filter::FactoryScope& scope) {
  return {{scope.translator().fraction(proto), key}, by_header};
}

void read_policy(const pb::HTTPFault& proto, filter::FactoryScope& scope, Policy& policy) {
  if (proto.has_delay()) {
    const common_pb::FaultDelay& delay = proto.delay();
    policy.delay = read_chance(delay.percentage(), delay.has_header_delay(),
                               key_of(proto.delay_percent_runtime(), "fault.http.delay.fixed_delay_percent"), scope);
    int64_t ms = std::clamp<int64_t>(delay.fixed_delay().seconds(), 0, UINT32_MAX) * 1000 +
                 delay.fixed_delay().nanos() / 1'000'000;
    policy.delay_ms = {static_cast<uint32_t>(std::clamp<int64_t>(ms, 0, UINT32_MAX)),
                       key_of(proto.delay_duration_runtime(), "fault.http.delay.fixed_duration_ms")};
  }
  if (proto.has_abort()) {
    const pb::FaultAbort& abort = proto.abort();
    policy.abort = read_chance(abort.percentage(), abort.has_header_abort(),
                               key_of(proto.abort_percent_runtime(), "fault.http.abort.abort_percent"), scope);
    policy.is_grpc = abort.error_type_case() == pb::FaultAbort::kGrpcStatus;
    policy.http_status = {abort.http_status(),
                          key_of(proto.abort_http_status_runtime(), "fault.http.abort.http_status")};
    policy.grpc_status = {abort.grpc_status(),
                          key_of(proto.abort_grpc_status_runtime(), "fault.http.abort.grpc_status")};
  }
  if (proto.has_response_rate_limit()) {
    const common_pb::FaultRateLimit& limit = proto.response_rate_limit();
    policy.rate_limit = read_chance(
        limit.percentage(), limit.has_header_limit(),
        key_of(proto.response_rate_limit_percent_runtime(), "fault.http.rate_limit.response_percent"), scope);
    policy.limit_kbps = limit.fixed_limit().limit_kbps();
  }
  policy.headers = filter::translate_all(scope.translator(), &filter::ConfigTranslator::header_matcher, proto.headers(),
                                         scope.at("headers"));
  policy.upstream_cluster = proto.upstream_cluster();
  policy.downstream_nodes.assign(proto.downstream_nodes().begin(), proto.downstream_nodes().end());
  if (proto.has_max_active_faults()) policy.max_active.default_value = proto.max_active_faults().value();
  if (proto.has_filter_metadata()) {
    ArenaPool pool;
    Arena arena(pool);
    policy.metadata =
        std::make_unique<const stream::StaticMetadata>(scope.translator().value(proto.filter_metadata(), arena));
  }
  policy.max_active.key = key_of(proto.max_active_faults_runtime(), "fault.http.max_active_faults");
}

struct Config : Settings {
  static Result<std::shared_ptr<const Config>> from_proto(const pb::HTTPFault& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    config->name = scope.plugin_name();
    read_policy(proto, scope, *config);
    config->stats = {scope.counter("fault.delays_injected"), scope.counter("fault.aborts_injected"),
                     scope.counter("fault.response_rl_injected"), scope.counter("fault.faults_overflow"),
                     scope.store().gauge(scope.stat_prefix() + "fault.active_faults")};
    return std::shared_ptr<const Config>(std::move(config));
  }
};

struct RouteConfigOf : Policy {
  static Result<std::shared_ptr<const RouteConfigOf>> from_proto(const pb::HTTPFault& proto,
                                                                 filter::FactoryScope& scope) {
    auto config = std::make_shared<RouteConfigOf>();
    read_policy(proto, scope, *config);
    return std::shared_ptr<const RouteConfigOf>(std::move(config));
  }
};

class Plugin final : public Filter {
 public:
  using RouteConfig = RouteConfigOf;
  explicit Plugin(const Config& config) : Filter(config) {}
};

}  // namespace
}  // namespace weir::filters::fault

namespace weir::plugins {
void http_filter_fault(filter::RegistryBuilder& registry) {
  using namespace filters::fault;
  registry.add(filter::describe_http_filter<Config, Plugin>("envoy.filters.http.fault"));
}
}  // namespace weir::plugins
