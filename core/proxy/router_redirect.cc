// The router's part about redirects that it follows itself: what makes one unfit to follow, and what the request
// becomes.
#include "core/http/url.h"
#include "core/proxy/router.h"

namespace weir::proxy {

using http::HeaderId;

namespace {

const http::HeaderName& original_url() {
  static const http::HeaderName name("x-envoy-original-url");
  return name;
}

// Where a redirect leads; views into its Location.
struct Target {
  std::string_view scheme, authority, path;
};

// An absolute http or https URL, or an absolute path on the same host. A fragment is the client's business.
bool parse_location(std::string_view location, const http::HeaderMap& request, Target& target) {
  location = location.substr(0, location.find('#'));
  if (location.starts_with('/') && !location.starts_with("//")) {
    target = {request.get(HeaderId::kScheme), request.authority(), location};
    return true;
  }
  const size_t colon = location.find("://");
  if (colon == std::string_view::npos) return false;
  target.scheme = location.substr(0, colon);
  if (target.scheme != "http" && target.scheme != "https") return false;
  const std::string_view rest = location.substr(colon + 3);
  const size_t slash = std::min(rest.find_first_of("/?"), rest.size());
  target.authority = rest.substr(0, slash);
  target.path = rest.substr(slash);
  return http::is_valid_authority(target.authority);
}

}  // namespace

bool Router::follow_redirect(Attempt& attempt, const http::HeaderMap& response, int status, bool end) {
  const route::InternalRedirectPolicy& policy = *host_->selection().route->forward().internal_redirect();
  if (!policy.covers(status)) return false;
  std::optional<route::Selection> next = redirected(policy, response);
  if (!next) {
    stats().internal_redirect_failed.inc();
    return false;
  }
  stats().internal_redirect_succeeded.inc();
  stats().codes.inc(status);
  http::HeaderMap& request = stream_->request_headers();
  for (const std::string& name : policy.headers_to_copy) {
    const http::HeaderName header(name);
    request.remove(header);
    if (const std::string_view value = response.get(header); value.data() != nullptr) request.add_copy(name, value);
  }
  Slices body;
  if (status == 303) {
    // RFC 9110 15.4.4: what is there is to be asked for, and not to be sent again.
    if (request.method() != "HEAD") request.set(HeaderId::kMethod, "GET");
    request.remove(HeaderId::kContentLength);
    request.remove(HeaderId::kContentType);
    has_trailers_ = false;
  } else {
    body.append_all(body_);
  }
  end ? end_attempt(attempt) : abandon_attempt(attempt);
  host_->restart(*next, body, has_trailers_);
  return true;
}

// The request's headers become those of the redirect; nothing if it is not to be followed, and they are as before.
std::optional<route::Selection> Router::redirected(const route::InternalRedirectPolicy& policy,
                                                   const http::HeaderMap& response) {
  const ConnectionManagerStats& stats = *host_->config().stats;
  // Only a request that is here as a whole can be sent again.
  if (!request_end_ || !replayable_) return std::nullopt;
  http::HeaderMap& request = stream_->request_headers();
  Arena& arena = stream_->arena();
  Target target;
  if (!parse_location(response.get(HeaderId::kLocation), request, target)) {
    stats.redirect_bad_location.inc();
    return std::nullopt;
  }
  const std::string_view own_scheme = request.get(HeaderId::kXForwardedProto) == "https" ? "https" : "http";
  const bool to_safety = own_scheme == "http" && target.scheme == "https";
  if (target.scheme != own_scheme && (!policy.any_scheme || (policy.safe_cross_scheme && to_safety))) {
    stats.redirect_unsafe_scheme.inc();
    return std::nullopt;
  }
  if (host_->redirects() >= policy.max_redirects) {
    stats.redirect_too_many.inc();
    return std::nullopt;
  }
  const std::string_view scheme = request.get(HeaderId::kScheme);
  const std::string_view authority = request.authority();
  const std::string_view path = request.path();
  request.set_copy(http::HeaderName(HeaderId::kScheme), target.scheme);
  request.set_copy(http::HeaderName(HeaderId::kAuthority), target.authority);
  request.set(HeaderId::kPath, target.path.starts_with('/') ? arena.copy(target.path) : arena.concat("/", target.path));
  std::optional<route::Selection> next = host_->look_up_route();
  bool allowed = next.has_value();
  if (!allowed) stats.redirect_no_route.inc();
  if (allowed && ((policy.no_previous_routes && !host_->is_new_redirect(*next->route)) ||
                  (policy.allowed_routes && std::find(policy.allowed_routes->begin(), policy.allowed_routes->end(),
                                                      next->route->name()) == policy.allowed_routes->end()))) {
    stats.redirect_predicate.inc();
    allowed = false;
  }
  if (!allowed) {
    request.set(HeaderId::kScheme, scheme);
    request.set(HeaderId::kAuthority, authority);
    request.set(HeaderId::kPath, path);
    return std::nullopt;
  }
  if (!request.contains(original_url())) request.set(original_url(), arena.concat(own_scheme, "://", authority, path));
  return next;
}

}  // namespace weir::proxy
