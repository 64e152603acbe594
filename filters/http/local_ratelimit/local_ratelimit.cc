#include "filters/http/local_ratelimit/local_ratelimit.h"

#include <charconv>

#include "core/filter/config_translator.h"
#include "core/filter/register.h"
#include "core/filter/route_rate_limits.h"
#include "core/filter/stream.h"
#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"

namespace weir::filters::local_ratelimit {

using filter::Action;
namespace pb = envoy::extensions::filters::http::local_ratelimit::v3;
namespace common_pb = envoy::extensions::common::ratelimit::v3;

namespace {

constexpr std::string_view kDetails = "local_rate_limited";

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
void Filter::collect(filter::Stream& stream, const http::HeaderMap& headers, Limiter::Request& request) const {
  const Settings& settings = *active_;
  match::DescriptorEntry room[match::RateLimit::kMaxActions];
  const match::DescriptorFacts facts{stream.info(), headers, stream.host().route_cluster(), stream.lane().slots(),
                                     stream.arena()};
  const auto add = [&](const std::vector<match::RateLimit>& limits) {
    for (const match::RateLimit& limit : limits) {
      if (limit.stage != settings.stage || !limit.enabled.enabled(facts.slots, facts.info.random)) continue;
      request.add(settings.limiter, limit.describe(facts, room));
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

Limiter::Answer Filter::ask(filter::Stream& stream, const http::HeaderMap& headers) const {
  const Settings& settings = *active_;
  Limiter::Request request;
  if (settings.limiter.has_descriptors()) collect(stream, headers, request);
  TokenBucket* buckets = settings.buckets != nullptr ? settings.buckets.get() : settings.of_connection->of(stream);
  return settings.limiter.ask(request, buckets, stream.lane().now());
}

Action Filter::on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool) {
  active_ = stream.route_config<Settings>();
  if (active_ == nullptr) active_ = &settings_;
  const Settings& settings = *active_;
  event::Lane& lane = stream.lane();
  if (!settings.enabled.enabled(lane.slots(), lane.random().next())) return Action::kContinue;
  settings.stats.enabled.inc();

  const Limiter::Answer answer = ask(stream, headers);
  if (settings.headers && answer.bucket != nullptr) {
    told_ = true;
    limit_ = answer.spec->max_tokens;
    remaining_ = answer.bucket->tokens(*answer.spec, lane.now());
    reset_seconds_ = static_cast<uint64_t>(
        (answer.bucket->until_fill(*answer.spec, lane.now()) + std::chrono::seconds(1) - Duration(1)) /
        std::chrono::seconds(1));
  }
  if (answer.allowed) {
    settings.stats.ok.inc();
    return Action::kContinue;
  }
  settings.stats.rate_limited.inc();
  if (!settings.enforced.enabled(lane.slots(), lane.random().next())) {
    const stream::LogSubject subject{stream.info(), &headers};
    for (const stream::HeaderValue& each : settings.request_headers) each.apply(headers, subject, stream.arena());
    return Action::kContinue;
  }
  settings.stats.enforced.inc();
  return refuse(stream);
}

Action Filter::refuse(filter::Stream& stream) {
  stream.info().flags.set(stream::ResponseFlag::kRateLimited);
  return stream.reply_local(
      active_->status, kDetails, kDetails,
      [](http::HeaderMap& headers, filter::Stream& of, const void* user) {
        const Filter& self = *static_cast<const Filter*>(user);
        headers.set(http::HeaderId::kXEnvoyRatelimited, "true");
        const stream::LogSubject subject{of.info(), &of.request_headers(), &headers};
        for (const stream::HeaderValue& each : self.active_->response_headers) each.apply(headers, subject, of.arena());
        self.tell(headers, of.arena());
      },
      this);
}

Action Filter::on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool) {
  tell(headers, stream.arena());
  return Action::kContinue;
}

void Filter::tell(http::HeaderMap& headers, Arena& arena) const {
  if (!told_) return;
  const auto set = [&](const http::HeaderName& name, uint64_t number) {
    char text[20];
    headers.set(name,
                arena.copy_or_empty({text, static_cast<size_t>(std::to_chars(text, text + 20, number).ptr - text)}));
  };
  set(names().limit, limit_);
  set(names().remaining, remaining_);
  set(names().reset, reset_seconds_);
}

// --- Configuration -------------------------------------------------------------------------------------------------

namespace {

constexpr Duration kShortestFill = std::chrono::milliseconds(50);

BucketSpec read_bucket(const envoy::type::v3::TokenBucket& proto, const filter::FactoryScope& at) {
  BucketSpec spec;
  spec.max_tokens = proto.max_tokens();
  if (proto.has_tokens_per_fill()) spec.tokens_per_fill = proto.tokens_per_fill().value();
  spec.fill_interval = duration_of(proto.fill_interval().seconds(), proto.fill_interval().nanos());
  filter::FactoryScope scope = at;
  if (spec.fill_interval < kShortestFill) {
    scope.error("fill_interval", "must be 50ms at least; more tokens_per_fill give the same rate");
    spec.fill_interval = kShortestFill;
  }
  return spec;
}

std::vector<LimitedDescriptor> read_descriptors(const pb::LocalRateLimit& proto, filter::FactoryScope& scope) {
  std::vector<LimitedDescriptor> descriptors;
  for (int i = 0; i < proto.descriptors_size(); ++i) {
    const auto& from = proto.descriptors(i);
    filter::FactoryScope here = scope.below("descriptors", i);
    LimitedDescriptor one;
    for (int j = 0; j < from.entries_size(); ++j) {
      one.entries.emplace_back(from.entries(j).key(), from.entries(j).value());
      if (from.entries(j).value().empty()) {
        here.below("entries", j).error("value", "must not be empty: weir has no buckets for each value of a key yet");
      }
    }
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

void read_settings(const pb::LocalRateLimit& proto, filter::FactoryScope& scope, Settings& settings) {
  filter::ConfigTranslator& translator = scope.translator();
  const std::string prefix = proto.stat_prefix() + ".http_local_rate_limit.";
  stats::Store& store = scope.store();
  settings.stats = {store.counter(prefix + "enabled"), store.counter(prefix + "ok"),
                    store.counter(prefix + "rate_limited"), store.counter(prefix + "enforced")};
  if (proto.has_filter_enabled()) settings.enabled = translator.runtime_fraction(proto.filter_enabled());
  if (proto.has_filter_enforced()) settings.enforced = translator.runtime_fraction(proto.filter_enforced());
  std::optional<BucketSpec> usual;
  if (proto.has_token_bucket()) usual = read_bucket(proto.token_bucket(), scope.below("token_bucket"));
  settings.limiter = Limiter(
      usual, !proto.has_always_consume_default_token_bucket() || proto.always_consume_default_token_bucket().value(),
      read_descriptors(proto, scope));
  if (proto.local_rate_limit_per_downstream_connection()) {
    settings.of_connection = std::make_unique<const ConnectionBuckets>(settings.limiter.buckets());
  } else {
    settings.buckets = std::make_unique<TokenBucket[]>(settings.limiter.buckets());
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
