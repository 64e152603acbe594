#include "filters/http/local_ratelimit/local_ratelimit.h"

#include <algorithm>
#include <utility>

#include "core/filter/config_translator.h"
#include "core/filter/register.h"
#include "core/filter/route_rate_limits.h"
#include "core/filter/stream.h"
#include "core/stream/grpc_status.h"
#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "filters/common/token_bucket/read_bucket.h"

namespace weir::filters::local_ratelimit {

using filter::Action;
namespace pb = envoy::extensions::filters::http::local_ratelimit::v3;
namespace common_pb = envoy::extensions::common::ratelimit::v3;

namespace {

constexpr std::string_view kDetails = "local_rate_limited";
constexpr std::string_view kResourceExhausted = "8";  // of gRPC's statuses

struct Names {
  http::HeaderName limit{"x-ratelimit-limit"};
  http::HeaderName remaining{"x-ratelimit-remaining"};
  http::HeaderName reset{"x-ratelimit-reset"};
};
const Names& names() {
  static const Names kNames;
  return kNames;
}

}  // namespace

// The buckets of the request's descriptors.
void Filter::collect(filter::Stream& stream, const stream::LogSubject& subject, When when, Limiter::Request& request) {
  const Settings& settings = *active_;
  match::DescriptorEntry room[match::RateLimit::kMaxActions];
  const match::DescriptorFacts facts{subject, stream.host().route_cluster(), settings.local_cluster,
                                     stream.lane().slots(), stream.arena()};
  const auto add = [&](const std::vector<match::RateLimit>& limits) {
    for (const match::RateLimit& limit : limits) {
      if (limit.stage != settings.stage) continue;
      counts_when_done_ |= limit.when_done;
      if (limit.when_done != (when == When::kDone)) continue;
      if (!limit.enabled.enabled(facts.slots, subject.info.random)) continue;
      const match::Descriptor descriptor = limit.describe(facts, room);
      if (descriptor.empty()) continue;
      if (const auto hits = limit.count(facts)) request.add(settings.limiter, descriptor, *hits, limit.headers);
    }
  };
  if (!settings.rate_limits.empty()) return add(settings.rate_limits);
  const auto levels = filter::route_rate_limits(stream);
  const match::RouteRateLimits* route = levels.size() > 0 ? &levels[levels.size() - 1] : nullptr;
  if (route != nullptr && route->of_virtual_host) route = nullptr;
  using enum VirtualHostLimits;
  const VirtualHostLimits of_host =
      route != nullptr && route->include_virtual_host ? kInclude : settings.virtual_host_limits;
  for (size_t i = 0; i < levels.size(); ++i) {
    if (levels[i].of_virtual_host && (of_host == kIgnore || (of_host == kOverride && route != nullptr))) continue;
    add(levels[i].limits);
  }
}

Limiter::Answer Filter::ask(filter::Stream& stream, const http::HeaderMap& headers) {
  const Settings& settings = *active_;
  Limiter::Request request;
  if (settings.limiter.has_descriptors()) collect(stream, {stream.info(), &headers}, When::kNow, request);
  buckets_ = settings.of_connection != nullptr ? settings.of_connection->of(stream)
                                               : Buckets{settings.fixed.get(), settings.by_value.get()};
  return settings.limiter.ask(request, buckets_, stream.lane().now());
}

Action Filter::on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool) {
  active_ = stream.route_config<Settings>();
  if (active_ == nullptr) active_ = &settings_;
  const Settings& settings = *active_;
  event::Lane& lane = stream.lane();
  if (!settings.enabled.enabled(lane.slots(), lane.random().next())) return Action::kContinue;
  settings.stats.enabled.inc();

  const Limiter::Answer answer = ask(stream, headers);
  using Headers = match::RateLimit::Headers;
  const bool tell =
      answer.headers == Headers::kAsTheFilterSays ? settings.headers : answer.headers == Headers::kDraft03;
  if (tell && answer.bucket != nullptr) {
    told_ = true;
    limit_ = answer.spec->max_tokens;
    remaining_ = answer.bucket->tokens(*answer.spec, lane.now());
    reset_seconds_ = static_cast<uint64_t>(
        (answer.bucket->until_fill(*answer.spec, lane.now()) + std::chrono::seconds(1) - Duration(1)) /
        std::chrono::seconds(1));
  }
  if (answer.allowed && !answer.shadowed) {
    settings.stats.ok.inc();
    return Action::kContinue;
  }
  settings.stats.rate_limited.inc();
  if (answer.allowed) {
    settings.stats.shadow_mode.inc();
    return Action::kContinue;
  }
  if (!settings.enforced.enabled(lane.slots(), lane.random().next())) {
    const stream::LogSubject subject{stream.info(), &headers};
    for (const stream::HeaderValue& each : settings.request_headers) each.apply(headers, subject, stream.arena());
    return Action::kContinue;
  }
  settings.stats.enforced.inc();
  return refuse(stream);
}

Action Filter::refuse(filter::Stream& stream) {
  counts_when_done_ = false;
  stream.info().flags.set(stream::ResponseFlag::kRateLimited);
  return stream.reply_local(
      active_->status, kDetails, kDetails,
      [](http::HeaderMap& headers, filter::Stream& of, const void* user) {
        const Filter& self = *static_cast<const Filter*>(user);
        headers.set(http::HeaderId::kXEnvoyRatelimited, "true");
        if (self.active_->resource_exhausted &&
            stream::is_grpc_type(of.request_headers().get(http::HeaderId::kContentType))) {
          headers.set(http::HeaderId::kGrpcStatus, kResourceExhausted);
        }
        const stream::LogSubject subject{of.info(), &of.request_headers(), &headers};
        for (const stream::HeaderValue& each : self.active_->response_headers) each.apply(headers, subject, of.arena());
        self.tell(headers, of.arena());
      },
      this);
}

void Filter::on_complete(filter::Stream& stream) {
  if (!counts_when_done_) return;
  Limiter::Request request;
  collect(stream, {stream.info(), &stream.request_headers(), &stream.response_headers(), stream.response_trailers()},
          When::kDone, request);
  active_->limiter.charge(request, buckets_, stream.lane().now());
}

Action Filter::on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool) {
  tell(headers, stream.arena());
  return Action::kContinue;
}

void Filter::tell(http::HeaderMap& headers, Arena& arena) const {
  if (!told_) return;
  const auto set = [&](const http::HeaderName& name, uint64_t number) { headers.set(name, arena.number(number)); };
  set(names().limit, limit_);
  set(names().remaining, remaining_);
  set(names().reset, reset_seconds_);
}

// --- Configuration -------------------------------------------------------------------------------------------------

namespace {

constexpr uint64_t kUsualValues = 20;      // as published
constexpr uint64_t kMostValues = 1000000;  // at most 128 MB
constexpr uint64_t kMostValuesOfConnection = 1000;

std::vector<LimitedDescriptor> read_descriptors(const pb::LocalRateLimit& proto, filter::FactoryScope& scope) {
  std::vector<LimitedDescriptor> descriptors;
  for (int i = 0; i < proto.descriptors_size(); ++i) {
    const auto& from = proto.descriptors(i);
    filter::FactoryScope here = scope.below("descriptors", i);
    LimitedDescriptor one;
    for (const auto& entry : from.entries()) one.entries.emplace_back(entry.key(), entry.value());
    one.shadow = from.shadow_mode();
    one.bucket = read_bucket(from.token_bucket(), here.below("token_bucket"));
    for (size_t j = 0; j < descriptors.size(); ++j) {
      if (descriptors[j].entries == one.entries) {
        here.error("entries", "are those of descriptors[" + std::to_string(j) + "]; one descriptor has one bucket");
      }
    }
    descriptors.push_back(std::move(one));
  }
  return descriptors;
}

// For each descriptor that leaves values open.
size_t read_values(const pb::LocalRateLimit& proto, const std::vector<LimitedDescriptor>& descriptors,
                   filter::FactoryScope& scope) {
  const uint64_t values = proto.has_max_dynamic_descriptors() ? proto.max_dynamic_descriptors().value() : kUsualValues;
  const auto open = static_cast<uint64_t>(
      std::count_if(descriptors.begin(), descriptors.end(), [](const LimitedDescriptor& each) { return each.open(); }));
  const bool of_connection = proto.local_rate_limit_per_downstream_connection();
  const uint64_t most = of_connection ? kMostValuesOfConnection : kMostValues;
  if (values == 0 || values * open <= most) return std::max<uint64_t>(values, 1);  // the rules report 0
  scope.error("max_dynamic_descriptors", std::to_string(values) + " for each of the " + std::to_string(open) +
                                             " descriptors with an empty value are too many; together at most " +
                                             std::to_string(most) +
                                             (of_connection ? ", for every connection keeps as many" : ""));
  return 1;
}

void read_settings(const pb::LocalRateLimit& proto, filter::FactoryScope& scope, Settings& settings) {
  filter::ConfigTranslator& translator = scope.translator();
  const std::string prefix = proto.stat_prefix() + ".http_local_rate_limit.";
  stats::Store& store = scope.store();
  settings.stats = {store.counter(prefix + "enabled"), store.counter(prefix + "ok"),
                    store.counter(prefix + "rate_limited"), store.counter(prefix + "enforced"),
                    store.counter(prefix + "shadow_mode")};
  if (proto.has_filter_enabled()) settings.enabled = translator.runtime_fraction(proto.filter_enabled());
  if (proto.has_filter_enforced()) settings.enforced = translator.runtime_fraction(proto.filter_enforced());
  std::optional<BucketSpec> usual;
  if (proto.has_token_bucket()) usual = read_bucket(proto.token_bucket(), scope.below("token_bucket"));
  std::vector<LimitedDescriptor> descriptors = read_descriptors(proto, scope);
  const size_t values = read_values(proto, descriptors, scope);
  settings.limiter = Limiter(
      usual, !proto.has_always_consume_default_token_bucket() || proto.always_consume_default_token_bucket().value(),
      std::move(descriptors), values);
  const BucketCounts buckets = settings.limiter.buckets();
  if (proto.local_rate_limit_per_downstream_connection()) {
    settings.of_connection = std::make_unique<const ConnectionBuckets>(buckets);
  } else {
    settings.fixed = std::make_unique<TokenBucket[]>(buckets.fixed);
    settings.by_value = std::make_unique<ValueBucket[]>(buckets.by_value);
  }
  settings.stage = proto.stage();
  switch (proto.vh_rate_limits()) {
    case common_pb::INCLUDE:
      settings.virtual_host_limits = VirtualHostLimits::kInclude;
      break;
    case common_pb::IGNORE:
      settings.virtual_host_limits = VirtualHostLimits::kIgnore;
      break;
    default:
      break;
  }
  settings.rate_limits = translator.rate_limits(proto.rate_limits(), scope.at("rate_limits"));
  if (!proto.rate_limits().empty() && proto.descriptors().empty()) {
    scope.warning("rate_limits", "mean nothing without descriptors, which have the buckets; add some, or remove these");
  }
  // As published: what does not say that something is wrong becomes 429.
  if (proto.status().code() >= 400) settings.status = proto.status().code();
  settings.resource_exhausted = proto.rate_limited_as_resource_exhausted();
  settings.local_cluster = scope.node().cluster;
  settings.headers = proto.enable_x_ratelimit_headers() == common_pb::DRAFT_VERSION_03;
  const auto headers = [&](const auto& options, std::string_view field) {
    return filter::translate_all(translator, &filter::ConfigTranslator::header_value, options, scope.at(field));
  };
  settings.request_headers =
      headers(proto.request_headers_to_add_when_not_enforced(), "request_headers_to_add_when_not_enforced");
  settings.response_headers = headers(proto.response_headers_to_add(), "response_headers_to_add");
}

struct Config : Settings {
  static Result<std::shared_ptr<const Config>> from_proto(const pb::LocalRateLimit& proto,
                                                          filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    read_settings(proto, scope, *config);
    return std::shared_ptr<const Config>(std::move(config));
  }
};

class Plugin final : public Filter {
 public:
  using RouteConfig = Config;  // the same message, instead of the filter's
  explicit Plugin(const Config& config) : Filter(config) {}
};

}  // namespace
}  // namespace weir::filters::local_ratelimit

namespace weir::plugins {
void http_filter_local_ratelimit(filter::RegistryBuilder& registry) {
  using namespace filters::local_ratelimit;
  registry.add(filter::describe_http_filter<Config, Plugin>("envoy.filters.http.local_ratelimit"));
}
}  // namespace weir::plugins
