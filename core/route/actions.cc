#include "core/route/actions.h"

#include <charconv>

#include "core/http/chars.h"
#include "core/http/url.h"
#include "core/route/host_index.h"
#include "core/route/text_hash.h"

namespace weir::route {
namespace {

// "/a?b#c" -> "/a" and "?b#c".
struct PathParts {
  std::string_view path;
  std::string_view rest;
};
PathParts split(std::string_view path) {
  size_t end = path.find_first_of("?#");
  if (end == std::string_view::npos) return {path, {}};
  return {path.substr(0, end), path.substr(end)};
}

size_t matched_size(std::string_view path, MatchedPath matched, bool ignore_path_parameters) {
  switch (matched.kind) {
    case PathKind::kPrefix:
    case PathKind::kExact:
    case PathKind::kSegmentPrefix:
      return std::min(matched.size, path.size());
    case PathKind::kRegex:
    case PathKind::kConnect:
    case PathKind::kTemplate:
      break;
  }
  return ignore_path_parameters ? std::min(path.find(';'), path.size()) : path.size();
}

// What was made from a request goes to the upstream only if it is a host.
Rewritten checked_host(std::string_view made) {
  return made.data() == nullptr || http::is_valid_authority(made) ? made : Rewritten("");
}

}  // namespace

void check_host(const std::string& text, std::string_view field, ErrorSink& errors) {
  if (text.empty() || http::is_valid_authority(text)) return;
  ErrorSink::At at(errors, field);
  errors.add(http::all_chars(text, http::kFieldChar) ? "\"" + text + "\" " + std::string(http::kAuthorityRule)
                                                     : "has a control character");
}

std::unique_ptr<const FormatRewrite> FormatRewrite::build(const std::string& text, std::string_view field,
                                                          ErrorSink& errors) {
  ErrorSink::At at(errors, field);
  if (!http::all_chars(text, http::kFieldChar)) {
    errors.add("has a control character");
    return nullptr;
  }
  Result<stream::Format> format =
      stream::Format::compile(text, {.omit_empty = true, .for_headers = true, .verbatim = true});
  if (errors.add_if_error(format.status())) return nullptr;
  auto rewrite = std::make_unique<FormatRewrite>();
  rewrite->format_ = std::move(*format);
  return rewrite;
}

std::string_view FormatRewrite::text(const stream::LogSubject& subject, Arena& arena) const {
  const std::string_view made = stream::print(format_, subject, arena);
  return made.empty() ? std::string_view() : made;
}

Rewritten FormatRewrite::host(const stream::LogSubject& subject, Arena& arena) const {
  return checked_host(text(subject, arena));
}

Rewritten FormatRewrite::path(const stream::LogSubject& subject, Arena& arena) const {
  const std::string_view made = text(subject, arena);
  return made.data() == nullptr || http::all_chars(made, http::kTargetChar) ? made : Rewritten("");
}

std::unique_ptr<const PathRewrite> PathRewrite::build(Spec spec, ErrorSink& errors) {
  auto& [prefix, regex, format] = spec;
  std::string rules;
  const auto note = [&rules](bool there, const char* name) {
    if (there) rules.append(rules.empty() ? "" : " and ").append(name);
  };
  note(!prefix.empty(), "prefix_rewrite");
  note(regex.has_value(), "regex_rewrite");
  note(!format.empty(), "path_rewrite");
  if (rules.empty()) return nullptr;
  if (rules.find(' ') != std::string::npos) {
    errors.add(rules + " exclude each other");
    return nullptr;
  }
  auto rewrite = std::make_unique<PathRewrite>();
  if (!format.empty()) {
    rewrite->format_ = FormatRewrite::build(format, "path_rewrite", errors);
    if (rewrite->format_ == nullptr) return nullptr;
  } else if (regex) {
    ErrorSink::At at(errors, "regex_rewrite");
    if (!http::all_chars(regex->substitution, http::kFieldChar))
      errors.add_if_field_error(invalid("substitution: has a control character"));
    Result<match::RegexRewrite> built = match::RegexRewrite::build(*regex);
    if (errors.add_if_field_error(built.status())) return nullptr;
    rewrite->regex_ = std::move(*built);
  } else {
    ErrorSink::At at(errors, "prefix_rewrite");
    if (!http::all_chars(prefix, http::kTargetChar)) errors.add("has a space, a # or a control character");
    rewrite->prefix_ = std::move(prefix);
  }
  return rewrite;
}

std::unique_ptr<const PathRewrite> PathRewrite::build(match::PathTemplateRewrite rewrite) {
  auto out = std::make_unique<PathRewrite>();
  out->template_ = std::move(rewrite);
  return out;
}

Rewritten PathRewrite::rewrite(std::string_view path, const stream::LogSubject& subject, MatchedPath matched,
                               bool ignore_path_parameters, Arena& arena) const noexcept {
  PathParts parts = split(path);
  std::string_view head;
  std::string_view kept;
  if (format_ != nullptr) {
    head = format_->path(subject, arena);
    if (head.empty()) return head;
    if (brings_query(head)) parts.rest = {};
  } else if (regex_) {
    head = regex_->rewrite(parts.path, arena);
    if (!http::all_chars(head, http::kTargetChar)) return Rewritten("");
  } else if (template_) {
    const size_t size = matched_size(parts.path, matched, ignore_path_parameters);
    head = template_->rewrite(*matched.path_template, parts.path.substr(0, size), arena);
    kept = parts.path.substr(size);
  } else {
    head = prefix_;
    kept = parts.path.substr(matched_size(parts.path, matched, ignore_path_parameters));
  }
  // Anything else would be no request target, or another form of one, to whoever reads it next.
  bool rooted = head.empty() ? kept.starts_with('/') : head.starts_with('/');
  return arena.concat(rooted ? "" : "/", head, kept, parts.rest);
}

ClusterChoice WeightedCluster::cluster(const http::HeaderMap& request) const noexcept {
  if (cluster_header != nullptr) return {.name = request.get(*cluster_header), .slot = {}, .has_slot = false};
  return {.name = name, .slot = slot, .has_slot = true};
}

const ForwardAction::Special& ForwardAction::Special::none() {
  static const Special none;
  return none;
}

ClusterChoice ForwardAction::cluster(const http::HeaderMap& request, const WeightedCluster* weighted) const noexcept {
  if (weighted != nullptr) return weighted->cluster(request);
  if (special_->cluster_header != nullptr)
    return {.name = request.get(*special_->cluster_header), .slot = {}, .has_slot = false};
  return {.name = cluster_, .slot = slot_, .has_slot = true};
}

const WeightedCluster* ForwardAction::specify(const http::HeaderMap& request,
                                              const stream::StreamInfo* info) const noexcept {
  static const stream::StreamInfo kNothing;
  if (special_->specifier->tree == nullptr) return &special_->specified.back();
  const match::Tree::Result found =
      special_->specifier->tree->evaluate({.info = info != nullptr ? info : &kNothing, .request_headers = &request});
  return found.matched() ? &special_->specified[found.action] : &special_->specified.back();
}

const WeightedCluster* ForwardAction::pick_weighted(const http::HeaderMap& request, uint64_t random,
                                                    const event::SlotTable* slots,
                                                    std::optional<uint64_t> hash) const noexcept {
  if (special_->weighted_clusters.empty()) return nullptr;
  // Mixed, because a runtime fraction has already split the traffic by the same number.
  uint64_t value = mix_hash(random ^ 0x9e3779b97f4a7c15ULL);
  if (special_->weight_header != nullptr) {
    std::string_view text = request.get(*special_->weight_header);
    uint64_t from_header = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), from_header);
    if (error == std::errc() && end == text.data() + text.size()) value = from_header;
  }
  if (hash) value = *hash;
  uint64_t total = special_->total_weight;
  auto weight = [&](const WeightedCluster& cluster) {
    return slots != nullptr ? runtime::RuntimeUnsigned{cluster.weight, cluster.weight_key}.get(*slots) : cluster.weight;
  };
  if (special_->runtime_weights && slots != nullptr) [[unlikely]] {
    total = 0;
    for (const WeightedCluster& cluster : special_->weighted_clusters) total += weight(cluster);
  } else {
    slots = nullptr;
  }
  if (total == 0) {  // all are off at run time: nobody can mean that
    slots = nullptr;
    total = special_->total_weight;
  }
  value %= total;
  for (const WeightedCluster& cluster : special_->weighted_clusters) {
    const uint64_t share = weight(cluster);
    if (value < share) return &cluster;
    value -= share;
  }
  return &special_->weighted_clusters.back();  // not reached: the weights add up
}

Rewritten ForwardAction::rewrite_host(const stream::LogSubject& subject, const WeightedCluster* weighted,
                                      Arena& arena) const noexcept {
  const http::HeaderMap& request = *subject.request;
  if (weighted != nullptr && !weighted->host_rewrite_literal.empty()) return weighted->host_rewrite_literal;
  switch (special_->host_rewrite_kind) {
    case HostRewriteSpec::Kind::kNone:
    case HostRewriteSpec::Kind::kAuto:
      return {};
    case HostRewriteSpec::Kind::kLiteral:
      return special_->host_rewrite_literal;
    case HostRewriteSpec::Kind::kHeader: {
      std::string_view value = request.get(*special_->host_rewrite_header);
      return value.empty() ? Rewritten() : checked_host(value);
    }
    case HostRewriteSpec::Kind::kPathRegex: {
      std::string_view host = special_->host_rewrite_regex->rewrite(split(request.path()).path, arena);
      return host.empty() ? Rewritten() : checked_host(host);
    }
    case HostRewriteSpec::Kind::kFormat:
      return special_->host_rewrite_format->host(subject, arena);
  }
  return {};
}

std::unique_ptr<const RedirectAction> RedirectAction::build(RedirectSpec spec, ErrorSink& errors) {
  auto action = std::make_unique<RedirectAction>();
  if (spec.https && !spec.scheme.empty()) errors.add("https_redirect and scheme_redirect exclude each other");
  if (!spec.path.empty() && (!spec.prefix_rewrite.empty() || spec.regex_rewrite || !spec.path_rewrite.empty())) {
    errors.add("path_redirect, prefix_rewrite, regex_rewrite and path_rewrite exclude each other");
  }
  auto check = [&](std::string_view field, std::string_view text) {
    if (http::all_chars(text, http::kFieldChar) && text.find_first_of(" \t") == std::string_view::npos) return;
    ErrorSink::At at(errors, field);
    errors.add("has a space or a control character");
  };
  check("scheme_redirect", spec.scheme);
  check("host_redirect", spec.host);
  check("path_redirect", spec.path);
  action->scheme_ = spec.https ? "https" : std::move(spec.scheme);
  action->host_ = std::move(spec.host);
  if (spec.port != 0) action->port_ = std::to_string(spec.port);
  action->path_ = std::move(spec.path);
  action->path_rewrite_ = PathRewrite::build(
      {std::move(spec.prefix_rewrite), std::move(spec.regex_rewrite), std::move(spec.path_rewrite)}, errors);
  action->status_ = spec.status;
  action->strip_query_ = spec.strip_query;
  return action;
}

const RedirectAction& RedirectAction::to_https() {
  static const std::unique_ptr<const RedirectAction> action = [] {
    ErrorSink errors;
    RedirectSpec spec;
    spec.https = true;
    return build(std::move(spec), errors);
  }();
  return *action;
}

std::string_view RedirectAction::location(const stream::LogSubject& subject, MatchedPath matched,
                                          bool ignore_path_parameters, Arena& arena) const noexcept {
  const http::HeaderMap& request = *subject.request;
  std::string_view old_scheme = request.scheme();
  if (old_scheme.empty()) old_scheme = request.get(http::HeaderId::kXForwardedProto);
  if (old_scheme.empty()) old_scheme = "http";
  std::string_view scheme = scheme_.empty() ? old_scheme : std::string_view(scheme_);

  std::string_view host = host_.empty() ? request.authority() : std::string_view(host_);
  if (!port_.empty()) {
    host = without_port(host);
  } else if (host_.empty() && !scheme_.empty()) {
    // The default port of the scheme that is left behind would be wrong in the new one.
    std::string_view bare = without_port(host);
    std::string_view port = host.substr(bare.size());
    if ((old_scheme == "http" && port == ":80") || (old_scheme == "https" && port == ":443")) host = bare;
  }

  PathParts old_path = split(request.path());
  std::string_view query = old_path.rest.substr(0, old_path.rest.find('#'));
  if (strip_query_) query = {};
  std::string_view path = old_path.path;
  if (!path_.empty()) {
    path = path_;
    // A query in the rule counts, whatever strip_query says, and the request's goes.
    if (path_.find('?') != std::string::npos) query = {};
  } else if (path_rewrite_ != nullptr) {
    const Rewritten rewritten = path_rewrite_->rewrite(old_path.path, subject, matched, ignore_path_parameters, arena);
    if (rewritten.data() != nullptr) {
      if (rewritten.empty()) return {};
      path = rewritten;
      if (path_rewrite_->brings_query(path)) query = {};
    }
  }
  std::string_view origin;
  if (!host.empty()) {
    origin = arena.concat(scheme, "://", host, {});
    if (!port_.empty()) origin = arena.concat(origin, ":", port_);
  }
  return arena.concat(origin, path, query);
}

}  // namespace weir::route
