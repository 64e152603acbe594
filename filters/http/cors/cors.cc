#include "filters/http/cors/cors.h"

#include <algorithm>

#include "core/filter/config_translator.h"
#include "core/filter/register.h"
#include "core/filter/stream.h"
#include "core/http/chars.h"
#include "core/http/vary.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"

namespace weir::filters::cors {

using filter::Action;
using http::HeaderId;
namespace pb = envoy::extensions::filters::http::cors::v3;

namespace {

constexpr std::string_view kName = "envoy.filters.http.cors";
constexpr std::string_view kDetails = "cors_response";

bool allowed(const RouteSettings& policy, std::string_view origin) {
  return policy.any_origin || std::any_of(policy.origins.begin(), policy.origins.end(),
                                          [&](const match::StringMatcher& each) { return each.matches(origin); });
}

void add_unless_empty(http::HeaderMap& headers, HeaderId id, std::string_view value) {
  if (!value.empty()) headers.set(id, value);
}

void allow_origin(http::HeaderMap& headers, const RouteSettings& policy, std::string_view origin) {
  headers.set(HeaderId::kAccessControlAllowOrigin, origin);
  if (policy.allow_credentials) headers.set(HeaderId::kAccessControlAllowCredentials, "true");
}

}  // namespace

Action Filter::on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool) {
  const auto* policy = stream.route_config<RouteSettings>();
  if (policy == nullptr) policy = static_cast<const RouteSettings*>(stream.host().route_config(settings_.usual_name));
  if (policy == nullptr) return Action::kContinue;
  const event::SlotTable& slots = stream.lane().slots();
  uint64_t random = stream.info().random;
  bool enforced = policy->enabled.enabled(slots, random);
  if (!enforced && !policy->shadow.enabled(slots, random)) return Action::kContinue;
  if (enforced) policy_ = policy;
  std::string_view origin = headers.get(HeaderId::kOrigin);
  if (origin.empty()) return Action::kContinue;
  bool valid = allowed(*policy, origin);
  (valid ? settings_.origin_valid : settings_.origin_invalid).inc();
  if (!enforced) return Action::kContinue;
  if (valid) origin_ = origin;
  bool preflight = headers.method() == "OPTIONS" && !headers.get(HeaderId::kAccessControlRequestMethod).empty();
  if (preflight && (valid || !policy->forward_unmatched_preflights)) return answer_preflight(stream);
  return Action::kContinue;
}

Action Filter::answer_preflight(filter::Stream& stream) {
  return stream.reply_local(
      200, kDetails, {},
      [](http::HeaderMap& headers, filter::Stream& to, const void* user) {
        static const http::HeaderName kWantsPrivate("access-control-request-private-network");
        static const http::HeaderName kMayPrivate("access-control-allow-private-network");
        const auto& self = *static_cast<const Filter*>(user);
        const RouteSettings& policy = *self.policy_;
        http::add_vary(headers, "Origin", to.arena());
        if (self.origin_.data() == nullptr) return;  // the browser refuses an answer without these
        allow_origin(headers, policy, self.origin_);
        add_unless_empty(headers, HeaderId::kAccessControlAllowMethods, policy.allow_methods);
        add_unless_empty(headers, HeaderId::kAccessControlAllowHeaders, policy.allow_headers);
        add_unless_empty(headers, HeaderId::kAccessControlMaxAge, policy.max_age);
        if (policy.allow_private_network && to.request_headers().get(kWantsPrivate) == "true")
          headers.set(kMayPrivate, "true");
      },
      this);
}

Action Filter::on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool) {
  if (policy_ == nullptr) return Action::kContinue;
  // Also if this request has no origin: a cache must not give its answer to one that has.
  http::add_vary(headers, "Origin", stream.arena());
  if (origin_.data() == nullptr) return Action::kContinue;
  allow_origin(headers, *policy_, origin_);
  add_unless_empty(headers, HeaderId::kAccessControlExposeHeaders, policy_->expose_headers);
  return Action::kContinue;
}

// --- Configuration -------------------------------------------------------------------------------------------------

namespace {

struct Config : Settings {
  static Result<std::shared_ptr<const Config>> from_proto(const pb::Cors&, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    config->usual_name = {filter::Registry::intern_filter_name(kName),
                          filter::Registry::intern_filter_name(pb::CorsPolicy::descriptor()->full_name())};
    config->origin_valid = scope.counter("cors.origin_valid");
    config->origin_invalid = scope.counter("cors.origin_invalid");
    return std::shared_ptr<const Config>(std::move(config));
  }
};

std::string read_value(const std::string& text, filter::FactoryScope& scope, std::string_view field) {
  if (!http::all_chars(text, http::kFieldChar))
    scope.error(field, "has a control character, which no header value may have");
  return text;
}

struct RouteConfigOf : RouteSettings {
  static Result<std::shared_ptr<const RouteConfigOf>> from_proto(const pb::CorsPolicy& proto,
                                                                 filter::FactoryScope& scope) {
    auto config = std::make_shared<RouteConfigOf>();
    config->origins = filter::translate_all(scope.translator(), &filter::ConfigTranslator::string_matcher,
                                            proto.allow_origin_string_match(), scope.at("allow_origin_string_match"));
    config->any_origin = allowed(*config, "*");  // as published: whatever matches "*" means all
    config->allow_methods = read_value(proto.allow_methods(), scope, "allow_methods");
    config->allow_headers = read_value(proto.allow_headers(), scope, "allow_headers");
    config->expose_headers = read_value(proto.expose_headers(), scope, "expose_headers");
    config->max_age = read_value(proto.max_age(), scope, "max_age");
    config->allow_credentials = proto.allow_credentials().value();
    config->allow_private_network = proto.allow_private_network_access().value();
    config->forward_unmatched_preflights =
        !proto.has_forward_not_matching_preflights() || proto.forward_not_matching_preflights().value();
    config->enabled.default_value = {100, 100};
    if (proto.has_filter_enabled()) config->enabled = scope.translator().runtime_fraction(proto.filter_enabled());
    if (proto.has_shadow_enabled()) config->shadow = scope.translator().runtime_fraction(proto.shadow_enabled());
    return std::shared_ptr<const RouteConfigOf>(std::move(config));
  }
};

class Plugin final : public Filter {
 public:
  using RouteConfig = RouteConfigOf;
  explicit Plugin(const Config& config) : Filter(config) {}
};

}  // namespace
}  // namespace weir::filters::cors

namespace weir::plugins {
void http_filter_cors(filter::RegistryBuilder& registry) {
  using namespace filters::cors;
  registry.add(filter::describe_http_filter<Config, Plugin>(kName));
}
}  // namespace weir::plugins
