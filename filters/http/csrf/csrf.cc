#include "filters/http/csrf/csrf.h"

#include <algorithm>

#include "core/filter/config_translator.h"
#include "core/filter/register.h"
#include "core/filter/stream.h"
#include "core/http/chars.h"
#include "core/http/url.h"
#include "envoy/extensions/filters/http/csrf/v3/csrf.pb.h"

namespace weir::filters::csrf {

using filter::Action;
using http::HeaderId;
namespace pb = envoy::extensions::filters::http::csrf::v3;

namespace {

bool changes_something(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "DELETE" || method == "PATCH";
}

}  // namespace

std::string_view host_and_port(std::string_view url) {
  size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return url;
  url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find_first_of("/?#"));
  return url.substr(url.rfind('@') + 1);
}

Action Filter::on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool) {
  if (!changes_something(headers.method())) return Action::kContinue;
  const Policy* policy = stream.route_config<Policy>();
  if (policy == nullptr) policy = &settings_;
  const event::SlotTable& slots = stream.lane().slots();
  uint64_t random = stream.info().random;
  bool enforced = policy->enabled.enabled(slots, random);
  if (!enforced && !policy->shadow.enabled(slots, random)) return Action::kContinue;

  // All values: whoever sends several has none that can be relied on. "null" is an origin too, of nobody.
  std::string_view source = host_and_port(headers.get_all(HeaderId::kOrigin, stream.arena()));
  if (source.empty()) source = host_and_port(headers.get_all(HeaderId::kReferer, stream.arena()));
  if (source.empty()) {
    settings_.missing_source_origin.inc();
  } else if (http::equals_ignoring_case(source, headers.authority()) ||
             (http::is_valid_authority(source) &&
              std::any_of(policy->additional_origins.begin(), policy->additional_origins.end(),
                          [&](const match::StringMatcher& each) { return each.matches(source); }))) {
    settings_.request_valid.inc();
    return Action::kContinue;
  } else {
    settings_.request_invalid.inc();
  }
  if (!enforced) return Action::kContinue;
  return stream.reply_local(403, "csrf_origin_mismatch", "Invalid origin");
}

// --- Configuration -------------------------------------------------------------------------------------------------

namespace {

void read_policy(const pb::CsrfPolicy& proto, filter::FactoryScope& scope, Policy& policy) {
  filter::ConfigTranslator& translator = scope.translator();
  policy.enabled = translator.runtime_fraction(proto.filter_enabled());
  if (proto.has_shadow_enabled()) policy.shadow = translator.runtime_fraction(proto.shadow_enabled());
  policy.additional_origins = filter::translate_all(translator, &filter::ConfigTranslator::string_matcher,
                                                    proto.additional_origins(), scope.at("additional_origins"));
}

struct Config : Settings {
  static Result<std::shared_ptr<const Config>> from_proto(const pb::CsrfPolicy& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    read_policy(proto, scope, *config);
    config->missing_source_origin = scope.counter("csrf.missing_source_origin");
    config->request_invalid = scope.counter("csrf.request_invalid");
    config->request_valid = scope.counter("csrf.request_valid");
    return std::shared_ptr<const Config>(std::move(config));
  }
};

struct RouteConfigOf : Policy {
  static Result<std::shared_ptr<const RouteConfigOf>> from_proto(const pb::CsrfPolicy& proto,
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
}  // namespace weir::filters::csrf

namespace weir::plugins {
void http_filter_csrf(filter::RegistryBuilder& registry) {
  using namespace filters::csrf;
  registry.add(filter::describe_http_filter<Config, Plugin>("envoy.filters.http.csrf"));
}
}  // namespace weir::plugins
