#include "core/config/route_redirects.h"

#include <cstdint>

#include "core/config/path_report.h"
#include "core/config/route_matchers.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/internal_redirect/allow_listed_routes/v3/allow_listed_routes_config.pb.h"
#include "envoy/extensions/internal_redirect/previous_routes/v3/previous_routes_config.pb.h"
#include "envoy/extensions/internal_redirect/safe_cross_scheme/v3/safe_cross_scheme_config.pb.h"

namespace weir::config {

namespace route_v3 = envoy::config::route::v3;

route::RedirectSpec redirect_spec(const route_v3::RedirectAction& message, FieldPath& path) {
  route::RedirectSpec spec;
  spec.https = message.https_redirect();
  spec.scheme = message.scheme_redirect();
  spec.host = message.host_redirect();
  if (message.port_redirect() > UINT16_MAX) {
    path.error_at("port_redirect", std::to_string(message.port_redirect()) + " is no port; 1 to 65535 are");
  }
  spec.port = static_cast<uint16_t>(message.port_redirect());
  spec.path = message.path_redirect();
  spec.prefix_rewrite = message.prefix_rewrite();
  spec.path_rewrite = message.path_rewrite();
  if (message.has_regex_rewrite()) spec.regex_rewrite = to_spec(message.regex_rewrite());
  switch (message.response_code()) {
    case route_v3::RedirectAction::FOUND:
      spec.status = 302;
      break;
    case route_v3::RedirectAction::SEE_OTHER:
      spec.status = 303;
      break;
    case route_v3::RedirectAction::TEMPORARY_REDIRECT:
      spec.status = 307;
      break;
    case route_v3::RedirectAction::PERMANENT_REDIRECT:
      spec.status = 308;
      break;
    default:
      spec.status = 301;
      break;
  }
  spec.strip_query = message.strip_query();
  return spec;
}

std::unique_ptr<route::InternalRedirectPolicy> internal_redirect_policy(const route_v3::InternalRedirectPolicy& message,
                                                                        FieldPath& path) {
  namespace redirects = envoy::extensions::internal_redirect;
  auto policy = std::make_unique<route::InternalRedirectPolicy>();
  if (message.has_max_internal_redirects()) policy->max_redirects = message.max_internal_redirects().value();
  if (message.redirect_response_codes_size() > 0) {
    policy->statuses.clear();
    for (int i = 0; i < message.redirect_response_codes_size(); ++i) {
      const uint32_t status = message.redirect_response_codes(i);
      if (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) {
        policy->statuses.push_back(status);
        continue;
      }
      path.warning_at(
          "redirect_response_codes[" + std::to_string(i) + "]",
          std::to_string(status) + " is no redirect to follow, so this has no effect; 301, 302, 303, 307 and 308 are");
    }
  }
  policy->any_scheme = message.allow_cross_scheme_redirect();
  for (const std::string& name : message.response_headers_to_copy()) policy->headers_to_copy.emplace_back(name);
  for (int i = 0; i < message.predicates_size(); ++i) {
    FieldPath::Step step(path, "predicates", static_cast<size_t>(i));
    FieldPath::Step config(path, "typed_config");
    auto predicate = PathReport(path).unpack(message.predicates(i).typed_config());
    if (predicate == nullptr) continue;
    if (predicate->GetDescriptor() == redirects::previous_routes::v3::PreviousRoutesConfig::descriptor()) {
      policy->no_previous_routes = true;
    } else if (predicate->GetDescriptor() == redirects::safe_cross_scheme::v3::SafeCrossSchemeConfig::descriptor()) {
      policy->safe_cross_scheme = true;
    } else if (predicate->GetDescriptor() ==
               redirects::allow_listed_routes::v3::AllowListedRoutesConfig::descriptor()) {
      const auto& list = static_cast<const redirects::allow_listed_routes::v3::AllowListedRoutesConfig&>(*predicate);
      policy->allowed_routes.emplace(list.allowed_route_names().begin(), list.allowed_route_names().end());
    } else {
      path.error(predicate->GetTypeName() + " is no predicate of internal redirects");
    }
  }
  return policy;
}

}  // namespace weir::config
