#include "core/route/route.h"

#include "core/http/chars.h"
#include "core/stream/grpc_status.h"

namespace weir::route {
namespace {

bool starts_with(std::string_view path, std::string_view prefix, bool case_sensitive) {
  if (case_sensitive) return path.starts_with(prefix);
  return path.size() >= prefix.size() && http::equals_ignoring_case(path.substr(0, prefix.size()), prefix);
}

}  // namespace

RequestPath split_path(const http::HeaderMap& request, bool ignore_path_parameters) noexcept {
  RequestPath out;
  std::string_view whole = request.path();
  out.present = whole.data() != nullptr;
  size_t end = whole.find_first_of("?#");
  out.path = whole.substr(0, end);
  if (end != std::string_view::npos && whole[end] == '?') {
    out.query = whole.substr(end + 1);
    out.query = out.query.substr(0, out.query.find('#'));
  }
  if (ignore_path_parameters) out.path = out.path.substr(0, out.path.find(';'));
  return out;
}

bool Route::matches_path(const RequestPath& path, const http::HeaderMap& request) const noexcept {
  if (path_kind_ == PathKind::kConnect) return request.method() == "CONNECT";
  if (!path.present) return false;
  switch (path_kind_) {
    case PathKind::kPrefix:
      return starts_with(path.path, path_, case_sensitive_);
    case PathKind::kExact:
      return path.path.size() == path_.size() && starts_with(path.path, path_, case_sensitive_);
    case PathKind::kSegmentPrefix:
      return starts_with(path.path, path_, case_sensitive_) &&
             (path.path.size() == path_.size() || path.path[path_.size()] == '/');
    case PathKind::kRegex:
      return regex_->full_match(path.path);
    case PathKind::kTemplate:
      return more_->path_template->matches(path.path);
    case PathKind::kConnect:
      break;
  }
  return false;
}

bool Route::matches_conditions(const RequestPath& path, const http::HeaderMap& request,
                               const SelectInput& input) const noexcept {
  const Conditions& conditions = *conditions_;
  if (conditions.fraction) {
    const runtime::Fraction fraction =
        input.slots != nullptr ? conditions.fraction->get(*input.slots) : conditions.fraction->default_value;
    if (!fraction.hit(input.random)) return false;
  }
  if (conditions.tls_presented && *conditions.tls_presented != input.client_certificate_presented) return false;
  if (conditions.tls_validated && *conditions.tls_validated != input.client_certificate_validated) return false;
  if (conditions.grpc && !stream::is_grpc_type(request.get(http::HeaderId::kContentType))) return false;
  for (const match::HeaderMatcher& matcher : conditions.headers) {
    if (!matcher.matches(request)) return false;
  }
  for (const match::QueryParameterMatcher& matcher : conditions.query_parameters) {
    if (!matcher.matches(path.query)) return false;
  }
  for (const match::CookieMatcher& matcher : conditions.cookies) {
    if (!matcher.matches(request)) return false;
  }
  for (const match::MetadataMatcher& matcher : conditions.dynamic_metadata) {
    const stream::Metadata* metadata = input.info != nullptr ? input.info->metadata : nullptr;
    if (!matcher.matches(metadata != nullptr ? &metadata->root() : nullptr)) return false;
  }
  for (const match::FilterStateMatcher& matcher : conditions.filter_state) {
    if (input.info == nullptr || !matcher.matches(*input.info)) return false;
  }
  return true;
}

Rewritten Route::rewrite_path(const stream::LogSubject& subject, Arena& arena) const noexcept {
  const std::string_view path = subject.request->path();
  const PathRewrite* rewrite = forward_.special_->path_rewrite.get();
  if (rewrite == nullptr || path.empty()) return {};
  return rewrite->rewrite(path, subject, {path_kind_, path_.size(), path_template()}, ignore_path_parameters_, arena);
}

std::string_view Route::redirect_location(const stream::LogSubject& subject, Arena& arena) const noexcept {
  return more_->redirect->location(subject, {path_kind_, path_.size(), path_template()}, ignore_path_parameters_,
                                   arena);
}

}  // namespace weir::route
