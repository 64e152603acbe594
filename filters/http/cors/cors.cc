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

constexpr std::string_view kDetails = "cors_response";

bool allowed_by(const RouteSettings& policy, std::string_view origin) {
  return policy.any_origin || std::any_of(policy.origins.begin(), policy.origins.end(),
                                          [&](const match::StringMatcher& each) { return each.matches(origin); });
}

void add_unless_empty(http::HeaderMap& headers, HeaderId id, std::string_view value) {
  if (!value.empty()) headers.set(id, value);
}

}  // namespace

bool Filter::allowed(std::string_view origin) const {
  for (size_t i = policies_.size(); i-- > 0;) {
    if (!policies_[i].origins.empty()) return allowed_by(policies_[i], origin);
  }
  return false;
}

std::string_view Filter::text(std::string RouteSettings::*field) const {
  for (size_t i = policies_.size(); i-- > 0;) {
    if (!(policies_[i].*field).empty()) return policies_[i].*field;
  }
  return {};
}

bool Filter::flag(std::optional<bool> RouteSettings::*field, bool otherwise) const {
  for (size_t i = policies_.size(); i-- > 0;) {
    if ((policies_[i].*field).has_value()) return *(policies_[i].*field);
  }
  return otherwise;
}

void Filter::allow_origin(http::HeaderMap& headers) const {
  headers.set(HeaderId::kAccessControlAllowOrigin, origin_);
  if (flag(&RouteSettings::allow_credentials, false)) headers.set(HeaderId::kAccessControlAllowCredentials, "true");
}

Action Filter::on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool) {
  policies_ = stream.route_configs<RouteSettings>();
  if (policies_.size() == 0)
    policies_ = filter::RouteConfigs<RouteSettings>(stream.host().route_configs(filter::kRouteCors));
  if (policies_.size() == 0) return Action::kContinue;
  const event::SlotTable& slots = stream.lane().slots();
  const uint64_t random = stream.info().random;
  const RouteSettings& own = policies_[policies_.size() - 1];
  enforced_ = own.enabled.enabled(slots, random);
  if (!enforced_ && !own.shadow.enabled(slots, random)) return Action::kContinue;
  const std::string_view origin = headers.get(HeaderId::kOrigin);
  if (origin.empty()) return Action::kContinue;
  const bool valid = allowed(origin);
  (valid ? settings_.origin_valid : settings_.origin_invalid).inc();
  if (!enforced_) return Action::kContinue;
  if (valid) origin_ = origin;
  const bool preflight = headers.method() == "OPTIONS" && !headers.get(HeaderId::kAccessControlRequestMethod).empty();
  if (preflight && (valid || !flag(&RouteSettings::forward_unmatched_preflights, true)))
    return answer_preflight(stream);
  return Action::kContinue;
}

Action Filter::answer_preflight(filter::Stream& stream) {
  return stream.reply_local(
      200, kDetails, {},
      [](http::HeaderMap& headers, filter::Stream& to, const void* user) {
        static const http::HeaderName kWantsPrivate("access-control-request-private-network");
        static const http::HeaderName kMayPrivate("access-control-allow-private-network");
        const auto& self = *static_cast<const Filter*>(user);
        http::add_vary(headers, "Origin", to.arena());
        if (self.origin_.data() == nullptr) return;  // the browser refuses an answer without these
        self.allow_origin(headers);
        add_unless_empty(headers, HeaderId::kAccessControlAllowMethods, self.text(&RouteSettings::allow_methods));
        add_unless_empty(headers, HeaderId::kAccessControlAllowHeaders, self.text(&RouteSettings::allow_headers));
        add_unless_empty(headers, HeaderId::kAccessControlMaxAge, self.text(&RouteSettings::max_age));
        if (to.request_headers().get(kWantsPrivate) == "true" &&
            self.flag(&RouteSettings::allow_private_network, false))
          headers.set(kMayPrivate, "true");
      },
      this);
}

Action Filter::on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool) {
  if (!enforced_) return Action::kContinue;
  // Also if this request has no origin: a cache must not give its answer to one that has.
  http::add_vary(headers, "Origin", stream.arena());
  if (origin_.data() == nullptr) return Action::kContinue;
  allow_origin(headers);
  add_unless_empty(headers, HeaderId::kAccessControlExposeHeaders, text(&RouteSettings::expose_headers));
  return Action::kContinue;
}

// --- Configuration -------------------------------------------------------------------------------------------------

namespace {

struct Config : Settings {
  static Result<std::shared_ptr<const Config>> from_proto(const pb::Cors&, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
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
    config->any_origin = allowed_by(*config, "*");  // as published: whatever matches "*" means all
    config->allow_methods = read_value(proto.allow_methods(), scope, "allow_methods");
    config->allow_headers = read_value(proto.allow_headers(), scope, "allow_headers");
    config->expose_headers = read_value(proto.expose_headers(), scope, "expose_headers");
    config->max_age = read_value(proto.max_age(), scope, "max_age");
    const auto said = [](bool has, const auto& value) { return has ? std::optional(value.value()) : std::nullopt; };
    config->allow_credentials = said(proto.has_allow_credentials(), proto.allow_credentials());
    config->allow_private_network =
        said(proto.has_allow_private_network_access(), proto.allow_private_network_access());
    config->forward_unmatched_preflights =
        said(proto.has_forward_not_matching_preflights(), proto.forward_not_matching_preflights());
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
  registry.add(filter::describe_http_filter<Config, Plugin>("envoy.filters.http.cors"));
}
}  // namespace weir::plugins
