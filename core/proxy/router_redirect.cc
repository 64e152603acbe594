// The router's part about redirects that it follows itself: what makes one unfit to follow, and what the request
// becomes.
#include <algorithm>

#include "core/http/chars.h"
#include "core/http/path.h"
#include "core/http/url.h"
#include "core/proxy/router.h"

namespace weir::proxy {

using http::HeaderId;

namespace {

// Where a redirect leads; views into its Location and the arena. No scheme and authority: those of the request.
struct Target {
  std::string_view scheme, authority, path;
};

// An absolute http or https URL, or an absolute path on the same host, that can be sent and is as clean as the path of
// a client's request. A fragment is the client's business.
bool parse_location(std::string_view location, const http::PathOptions& options, Arena& arena, Target& target) {
  location = location.substr(0, location.find('#'));
  target.path = location;
  if (!location.starts_with('/') || location.starts_with("//")) {
    const size_t colon = location.find("://");
    if (colon == std::string_view::npos) return false;
    const std::string_view scheme = location.substr(0, colon);
    for (std::string_view known : {"http", "https"}) {
      if (http::equals_ignoring_case(scheme, known)) target.scheme = known;
    }
    const std::string_view rest = location.substr(colon + 3);
    const size_t slash = std::min(rest.find_first_of("/?"), rest.size());
    target.authority = rest.substr(0, slash);
    target.path = rest.substr(slash);
    if (target.scheme.empty() || !http::is_valid_authority(target.authority)) return false;
  }
  if (!http::all_chars(target.path, http::kTargetChar)) return false;
  target.path = target.path.starts_with('/') ? arena.copy(target.path) : arena.concat("/", target.path);
  return http::sanitize_path(target.path, options, arena, target.path) != http::PathVerdict::kReject;
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
  if (attempt.pool()->canary()) [[unlikely]]
    stats().canary().codes.inc(status);
  http::HeaderMap& request = stream_->request_headers();
  for (const http::HeaderName& name : policy.headers_to_copy) {
    request.remove(name);
    response.for_each([&](const http::HeaderEntry& entry) {
      if (entry.id == name.id() && entry.name() == name.text())
        request.add(name, stream_->arena().copy_or_empty(entry.value()));
    });
  }
  Slices body;
  if (status == 303) {
    // RFC 9110 15.4.4: what is there is to be asked for, and not to be sent again.
    if (request.method() != "HEAD") request.set(HeaderId::kMethod, "GET");
    for (HeaderId about_body : {HeaderId::kContentLength, HeaderId::kContentType, HeaderId::kContentEncoding,
                                HeaderId::kContentLanguage, HeaderId::kTrailer, HeaderId::kExpect})
      request.remove(about_body);
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
  if (!parse_location(response.get(HeaderId::kLocation), host_->config().path, arena, target)) {
    stats.redirect_bad_location.inc();
    return std::nullopt;
  }
  const std::string_view own_scheme = request.get(HeaderId::kXForwardedProto) == "https" ? "https" : "http";
  const bool to_safety = own_scheme == "http" && target.scheme == "https";
  if (!target.scheme.empty() && target.scheme != own_scheme &&
      (!policy.any_scheme || (policy.safe_cross_scheme && to_safety))) {
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
  if (!target.scheme.empty()) {
    request.set(HeaderId::kScheme, target.scheme);
    request.set_copy(HeaderId::kAuthority, target.authority);
  }
  request.set(HeaderId::kPath, target.path);
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
    if (!target.scheme.empty()) {
      request.set(HeaderId::kScheme, scheme);
      request.set(HeaderId::kAuthority, authority);
    }
    request.set(HeaderId::kPath, path);
    return std::nullopt;
  }
  if (!request.contains(HeaderId::kXEnvoyOriginalUrl))
    request.set(HeaderId::kXEnvoyOriginalUrl, arena.concat(own_scheme, "://", authority, path));
  return next;
}

}  // namespace weir::proxy
