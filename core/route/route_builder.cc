#include "core/route/route_builder.h"

#include <utility>

#include "core/base/assert.h"
#include "core/http/chars.h"

namespace weir::route {

using At = ErrorSink::At;

namespace {

// What is below envoy.lb, over `general`. Null: nothing of its own.
std::unique_ptr<const stream::StaticMetadata> subset_match(const stream::StaticMetadata* own,
                                                           const stream::StaticMetadata* general) {
  const stream::Value* space = own != nullptr ? own->root().find("envoy.lb") : nullptr;
  if (space == nullptr) return nullptr;
  if (general == nullptr) return std::make_unique<const stream::StaticMetadata>(*space);
  ArenaPool pool;
  Arena arena(pool);
  return std::make_unique<const stream::StaticMetadata>(stream::with_members(general->root(), *space, arena));
}

}  // namespace

std::unique_ptr<RouteTable> RouteBuilder::build(RouteTableSpec spec) {
  table_.reset(new RouteTable());
  RouteTable& table = *table_;
  table.name_ = std::move(spec.name);
  table.mutations_ = Mutations::build(std::move(spec.mutations), errors_);
  table.filter_configs_ = FilterConfigs(spec.filter_configs);
  table.most_specific_wins_ = spec.most_specific_header_mutations_wins;
  table.ignore_port_ = spec.ignore_port_in_host_matching;
  table.ignore_path_parameters_ = spec.ignore_path_parameters_in_path_matching;
  if (!spec.vhost_header.empty()) table.vhost_header_ = header_name(spec.vhost_header, "vhost_header");
  table.mirrors_ = build_mirrors(std::move(spec.mirrors));
  for (size_t i = 0; i < spec.internal_only_headers.size(); ++i) {
    At at(errors_, "internal_only_headers", static_cast<int64_t>(i));
    const std::string& name = spec.internal_only_headers[i];
    if (http::is_token(name)) {
      table.internal_only_headers_.emplace_back(name);
    } else {
      errors_.add("\"" + name + "\" is not a header name");
    }
  }
  table.virtual_hosts_.reserve(spec.virtual_hosts.size());
  for (size_t i = 0; i < spec.virtual_hosts.size(); ++i) {
    At at(errors_, "virtual_hosts", static_cast<int64_t>(i));
    // Moved out and destroyed one by one: the spec of a large table goes as the table grows.
    VirtualHostSpec host = std::move(spec.virtual_hosts[i]);
    build_virtual_host(std::move(host), static_cast<uint32_t>(i));
  }
  table.clusters_ = std::move(clusters_);  // routes have views of the names
  return std::move(table_);
}

std::shared_ptr<const ClusterPolicies> RouteBuilder::build(ClusterPoliciesSpec spec) {
  auto policies = std::make_shared<ClusterPolicies>();
  if (spec.retry) {
    At at(errors_, "retry_policy");
    policies->retry = RetryPolicy::build(std::move(*spec.retry), errors_);
  }
  policies->mirrors = build_mirrors(std::move(spec.mirrors));
  return policies;
}

void RouteBuilder::build_virtual_host(VirtualHostSpec spec, uint32_t index) {
  VirtualHost& host = table_->virtual_hosts_.emplace_back();
  host.name_ = std::move(spec.name);
  if (host.name_.empty()) {
    At at(errors_, "name");
    errors_.add("must not be empty");
  }
  host.require_tls_ = spec.require_tls;
  host.body_limits_ = spec.body_limits;
  host.include_request_attempt_count_ = spec.include_request_attempt_count;
  host.include_attempt_count_in_response_ = spec.include_attempt_count_in_response;
  host.include_is_timeout_retry_header_ = spec.include_is_timeout_retry_header;
  host.mutations_ = Mutations::build(std::move(spec.mutations), errors_);
  host.filter_configs_ = merge(table_->filter_configs_, spec.filter_configs, host.own_filter_configs_);
  if (spec.retry) {
    At at(errors_, "retry_policy");
    host.retry_ = RetryPolicy::build(std::move(*spec.retry), errors_);
  }
  host.hedges_ = spec.hedge;
  host.own_mirrors_ = build_mirrors(std::move(spec.mirrors));
  host.mirrors_ = host.own_mirrors_ != nullptr ? host.own_mirrors_.get() : table_->mirrors_.get();

  host.domains_ = std::move(spec.domains);
  if (host.domains_.empty()) {
    At at(errors_, "domains");
    errors_.add("must have at least one item; \"*\" takes every host");
  }
  for (size_t i = 0; i < host.domains_.size(); ++i) {
    At at(errors_, "domains", static_cast<int64_t>(i));
    const std::string& domain = host.domains_[i];
    uint32_t other = 0;
    switch (table_->hosts_.add(domain, index, other)) {
      case HostIndex::Added::kYes:
        break;
      case HostIndex::Added::kDuplicate:
        errors_.add("\"" + domain + "\" is already a domain of virtual host \"" +
                    std::string(table_->virtual_hosts_[other].name_) + "\" (virtual_hosts[" + std::to_string(other) +
                    "]); each domain may appear once");
        break;
      case HostIndex::Added::kBadWildcard:
        errors_.add("\"" + domain + "\": a * may stand only at the beginning or only at the end");
        break;
      case HostIndex::Added::kEmpty:
        errors_.add("must not be empty");
        break;
    }
  }

  host.metadata_ = std::move(spec.metadata);
  build_virtual_clusters(std::move(spec.virtual_clusters), host);
  if (spec.matcher != nullptr || !spec.matcher_actions.empty()) {
    build_matcher(spec, host);
    return;
  }
  host.routes_.reserve(spec.routes.size());
  for (size_t i = 0; i < spec.routes.size(); ++i) {
    At at(errors_, "routes", static_cast<int64_t>(i));
    RouteSpec route = std::move(spec.routes[i]);
    build_route(std::move(route), host, static_cast<uint32_t>(i));
  }
  if (host.routes_.size() >= kIndexFrom && errors_.errors().empty()) {
    host.paths_.emplace(host.routes_);
    host.indexed_ = true;
  }
}

void RouteBuilder::build_virtual_clusters(std::vector<VirtualClusterSpec> specs, VirtualHost& host) {
  if (specs.empty()) return;
  host.virtual_clusters_.reserve(specs.size() + 1);
  for (size_t i = 0; i < specs.size(); ++i) {
    At at(errors_, "virtual_clusters", static_cast<int64_t>(i));
    VirtualCluster& cluster = host.virtual_clusters_.emplace_back();
    cluster.name = std::move(specs[i].name);
    for (size_t j = 0; j < specs[i].headers.size(); ++j) {
      At header(errors_, "headers", static_cast<int64_t>(j));
      Result<match::HeaderMatcher> matcher = match::HeaderMatcher::build(std::move(specs[i].headers[j]));
      if (!errors_.add_if_error(matcher.status())) cluster.headers.push_back(std::move(*matcher));
    }
    if (specs[i].headers.empty()) {
      At headers(errors_, "headers");
      errors_.add("must have one item at least");
    }
    cluster.stats = make_stats(host, RouteStats::Kind::kVirtualCluster, cluster.name);
  }
  VirtualCluster& other = host.virtual_clusters_.emplace_back();
  other.name = "other";
  other.stats = make_stats(host, RouteStats::Kind::kVirtualCluster, other.name);
}

std::unique_ptr<const RouteStats> RouteBuilder::make_stats(const VirtualHost& host, RouteStats::Kind kind,
                                                           const std::string& name) {
  if (store_ == nullptr || name.empty()) return nullptr;
  return std::make_unique<const RouteStats>(*store_, host.name_, kind, name);
}

void RouteBuilder::build_matcher(VirtualHostSpec& spec, VirtualHost& host) {
  if (!spec.routes.empty()) {
    At at(errors_, "matcher");
    errors_.add("matcher and routes exclude each other");
  }
  host.matcher_ = std::move(spec.matcher);
  size_t count = 0;
  for (const MatcherActionSpec& action : spec.matcher_actions) count += action.routes.size();
  host.routes_.reserve(count);
  for (MatcherActionSpec& action : spec.matcher_actions) {
    At at(errors_, action.path);
    const auto first = static_cast<uint32_t>(host.routes_.size());
    for (size_t i = 0; i < action.routes.size(); ++i) {
      std::optional<At> item;
      if (action.is_list) item.emplace(errors_, "routes", static_cast<int64_t>(i));
      build_route(std::move(action.routes[i]), host, first + static_cast<uint32_t>(i));
    }
    host.parts_.push_back({first, static_cast<uint32_t>(host.routes_.size())});
  }
}

void RouteBuilder::build_route(RouteSpec spec, VirtualHost& host, uint32_t index) {
  Route& route = host.routes_.emplace_back();
  route.name_ = std::move(spec.name);
  route.index_ = index;
  route.metadata_ = std::move(spec.metadata);
  route.stats_ = make_stats(host, RouteStats::Kind::kRoute, spec.stat_prefix);
  route.ignore_path_parameters_ = table_->ignore_path_parameters_;
  {
    At at(errors_, "match");
    build_match(std::move(spec.match), route);
  }
  route.mutations_ = Mutations::build(std::move(spec.mutations), errors_);
  std::unique_ptr<const FilterConfigs> own;
  route.filter_configs_ = merge(*host.filter_configs_, spec.filter_configs, own);
  if (own != nullptr) more_of(route).own_filter_configs = std::move(own);
  route.action_ = spec.action;
  switch (spec.action) {
    case ActionKind::kForward: {
      At at(errors_, "route");
      build_forward(std::move(spec.forward), spec.body_limits.over(host.body_limits_), host, route);
      break;
    }
    case ActionKind::kRedirect: {
      At at(errors_, "redirect");
      more_of(route).redirect =
          RedirectAction::build(spec.redirect ? std::move(*spec.redirect) : RedirectSpec{}, errors_);
      break;
    }
    case ActionKind::kDirectResponse: {
      At at(errors_, "direct_response");
      auto response = std::make_unique<DirectResponse>();
      if (spec.direct_response) {
        response->status = spec.direct_response->status;
        response->body = std::move(spec.direct_response->body);
        response->format = std::move(spec.direct_response->format);
        response->content_type = std::move(spec.direct_response->content_type);
      }
      if (response->status < 200 || response->status > 599) {
        At status(errors_, "status");
        errors_.add(std::to_string(response->status) + " is out of range; 200 to 599 are allowed");
      }
      more_of(route).direct_response = std::move(response);
      break;
    }
    case ActionKind::kNonForwarding:
      break;
  }
  const bool mutates = route.mutations_ != nullptr || host.mutations_ != nullptr || table_->mutations_ != nullptr;
  route.plain_ = route.action_ == ActionKind::kForward && !route.forward_.weighted() && !route.forward_.specified() &&
                 !route.forward_.limits_stream() && !mutates && route.filter_configs_->empty() && route.name_.empty() &&
                 route.metadata_ == nullptr && route.stats_ == nullptr;
}

void RouteBuilder::build_match(RouteMatchSpec spec, Route& route) {
  route.path_kind_ = spec.path_kind;
  route.case_sensitive_ =
      spec.case_sensitive || spec.path_kind == PathKind::kRegex || spec.path_kind == PathKind::kTemplate;
  if (spec.path_kind == PathKind::kTemplate) {
    WEIR_CHECK(spec.path_template.has_value());
    more_of(route).path_template = std::make_unique<match::PathTemplate>(std::move(*spec.path_template));
  } else if (spec.path_kind == PathKind::kRegex) {
    At at(errors_, "safe_regex");
    Result<match::Regex> regex = spec.path.empty() ? Result<match::Regex>(invalid("must not be empty"))
                                                   : match::Regex::compile(spec.path, {.pool = &regexes_});
    if (!errors_.add_if_error(regex.status())) route.regex_ = std::make_unique<match::Regex>(std::move(*regex));
  } else {
    if (spec.path_kind == PathKind::kSegmentPrefix &&
        (spec.path.size() < 2 || spec.path.find_first_of("?#") != std::string::npos || spec.path.ends_with('/'))) {
      At at(errors_, "path_separated_prefix");
      errors_.add("\"" + spec.path + "\" must have two characters at least, no ? or #, and no / at its end");
    }
    route.path_ = std::move(spec.path);
    if (!route.case_sensitive_) {
      for (char& c : route.path_) c = http::to_lower(c);
    }
    route.path_.shrink_to_fit();
  }

  auto conditions = std::make_unique<Route::Conditions>();
  conditions->grpc = spec.grpc;
  conditions->tls_presented = spec.tls_presented;
  conditions->tls_validated = spec.tls_validated;
  if (spec.runtime_fraction) {
    At at(errors_, "runtime_fraction");
    if (spec.runtime_fraction->default_value.denominator == 0) errors_.add("denominator must not be zero");
    conditions->fraction = spec.runtime_fraction;
  }
  conditions->headers.reserve(spec.headers.size());
  for (size_t i = 0; i < spec.headers.size(); ++i) {
    At at(errors_, "headers", static_cast<int64_t>(i));
    Result<match::HeaderMatcher> matcher = match::HeaderMatcher::build(std::move(spec.headers[i]));
    if (!errors_.add_if_error(matcher.status())) conditions->headers.push_back(std::move(*matcher));
  }
  conditions->query_parameters.reserve(spec.query_parameters.size());
  for (size_t i = 0; i < spec.query_parameters.size(); ++i) {
    At at(errors_, "query_parameters", static_cast<int64_t>(i));
    Result<match::QueryParameterMatcher> matcher =
        match::QueryParameterMatcher::build(std::move(spec.query_parameters[i]));
    if (!errors_.add_if_error(matcher.status())) conditions->query_parameters.push_back(std::move(*matcher));
  }
  conditions->cookies = std::move(spec.cookies);
  conditions->dynamic_metadata = std::move(spec.dynamic_metadata);
  conditions->filter_state = std::move(spec.filter_state);
  const bool any = !conditions->cookies.empty() || !conditions->dynamic_metadata.empty() ||
                   !conditions->filter_state.empty() || spec.grpc || spec.tls_presented || spec.tls_validated ||
                   spec.runtime_fraction || !spec.headers.empty() || !spec.query_parameters.empty();
  if (any) route.conditions_ = std::move(conditions);
}

void RouteBuilder::build_forward(ForwardSpec spec, const BodyLimits& body_limits, const VirtualHost& host,
                                 Route& route) {
  ForwardAction& action = route.forward_;
  auto special = std::make_unique<ForwardAction::Special>();
  int targets = int{!spec.cluster.empty()} + int{!spec.cluster_header.empty()} + int{!spec.weighted_clusters.empty()} +
                int{spec.specifier != nullptr};
  if (targets != 1) {
    errors_.add(targets == 0 ? "needs one of cluster, cluster_header and weighted_clusters"
                             : "cluster, cluster_header and weighted_clusters exclude each other");
  }
  if (spec.specifier != nullptr) build_specified(std::move(spec.specifier), *special, *route.filter_configs_);
  if (!spec.cluster.empty()) {
    const auto& [name, slot] = known(spec.cluster);
    action.cluster_ = name;
    action.slot_ = slot;
  }
  if (!spec.cluster_header.empty()) special->cluster_header = header_name(spec.cluster_header, "cluster_header");
  special->match = subset_match(spec.metadata_match.get(), nullptr);
  build_weighted(spec, *special, *route.filter_configs_);

  auto duration = [&](const std::optional<Duration>& value, std::string_view field) {
    if (!value) return ForwardAction::kUnset;
    if (*value < Duration::zero()) {
      At at(errors_, field);
      errors_.add("must not be negative");
    }
    return *value;
  };
  action.timeout_ = duration(spec.timeout, "timeout");
  special->idle_timeout = duration(spec.idle_timeout, "idle_timeout");
  special->max_stream_duration = duration(spec.max_stream_duration, "max_stream_duration");
  special->flush_timeout = duration(spec.flush_timeout, "flush_timeout");
  special->grpc_timeout_header_max = duration(spec.grpc_timeout_header_max, "max_stream_duration");
  special->grpc_timeout_is_of_stream = spec.grpc_timeout_is_of_stream;
  special->grpc_timeout_header_offset = duration(spec.grpc_timeout_header_offset, "max_stream_duration");
  action.retry_ = host.retry_.get();
  if (spec.retry) {
    At at(errors_, "retry_policy");
    special->own_retry = RetryPolicy::build(std::move(*spec.retry), errors_);
    action.retry_ = special->own_retry.get();
  }
  if (spec.internal_redirect != nullptr) {
    At at(errors_, "internal_redirect_policy");
    for (size_t i = 0; i < spec.internal_redirect->headers_to_copy.size(); ++i) {
      At item(errors_, "response_headers_to_copy", static_cast<int64_t>(i));
      const std::string_view name = spec.internal_redirect->headers_to_copy[i].text();
      if (!http::is_token(name)) errors_.add("\"" + std::string(name) + "\" is not a header name");
    }
    special->internal_redirect = std::move(spec.internal_redirect);
  }
  special->hedges = spec.hedge.value_or(host.hedges_);
  special->own_mirrors = build_mirrors(std::move(spec.mirrors));
  action.mirrors_ = special->own_mirrors != nullptr ? special->own_mirrors.get() : host.mirrors_;
  special->path_rewrite = build_path_rewrite(spec, route);
  special->hash_policies = HashPolicies::build(std::move(spec.hash_policies), errors_);
  special->weighs_by_hash = spec.weight_by_hash && special->hash_policies != nullptr;
  build_host_rewrite(std::move(spec.host_rewrite), *special);
  special->high_priority = spec.high_priority;
  special->append_x_forwarded_host = spec.append_x_forwarded_host;
  special->upgrades = std::move(spec.upgrades);
  special->ends_connect = spec.ends_connect;
  special->ends_post = spec.ends_post;
  special->cluster_not_found_status = spec.cluster_not_found_status;
  special->body_limits = body_limits;
  if (*special != ForwardAction::Special::none()) action.special_.reset(special.release());
}

std::unique_ptr<const PathRewrite> RouteBuilder::build_path_rewrite(ForwardSpec& spec, const Route& route) {
  if (!spec.path_template_rewrite) {
    return PathRewrite::build(
        {std::move(spec.prefix_rewrite), std::move(spec.regex_rewrite), std::move(spec.path_rewrite)}, errors_);
  }
  if (!spec.prefix_rewrite.empty() || spec.regex_rewrite || !spec.path_rewrite.empty()) {
    errors_.add("prefix_rewrite, regex_rewrite, path_rewrite and path_rewrite_policy exclude each other");
    return nullptr;
  }
  At policy(errors_, "path_rewrite_policy");
  if (route.path_template() == nullptr) {
    errors_.add("needs a path_match_policy, whose variables it uses");
    return nullptr;
  }
  At config(errors_, "typed_config");
  At field(errors_, "path_template_rewrite");
  auto rewrite = match::PathTemplateRewrite::parse(*spec.path_template_rewrite, *route.path_template());
  if (errors_.add_if_error(rewrite.status())) return nullptr;
  return PathRewrite::build(std::move(*rewrite));
}

std::unique_ptr<const Mirrors> RouteBuilder::build_mirrors(std::vector<MirrorSpec> specs) {
  if (specs.empty()) return nullptr;
  auto mirrors = std::make_unique<Mirrors>();
  for (size_t i = 0; i < specs.size(); ++i) {
    At at(errors_, "request_mirror_policies", static_cast<int64_t>(i));
    MirrorSpec& spec = specs[i];
    Mirror& mirror = mirrors->emplace_back();
    if (spec.cluster.empty() == spec.cluster_header.empty()) errors_.add("needs either cluster or cluster_header");
    if (!spec.cluster.empty()) mirror.slot = slot_of(spec.cluster);
    if (!spec.cluster_header.empty()) mirror.header = header_name(spec.cluster_header, "cluster_header");
    mirror.cluster = std::move(spec.cluster);
    mirror.fraction = spec.fraction;
    mirror.keeps_host = spec.keeps_host;
    if (!http::all_chars(spec.host, http::kFieldChar)) {
      At field(errors_, "host_rewrite_literal");
      errors_.add("has a control character");
    }
    mirror.host = std::move(spec.host);
    for (size_t j = 0; j < spec.mutations.size(); ++j) {
      At field(errors_, "request_headers_mutations", static_cast<int64_t>(j));
      mirror.mutations.push_back(build_mirror_mutation(std::move(spec.mutations[j])));
    }
  }
  return mirrors;
}

HeaderMutationStep RouteBuilder::build_mirror_mutation(MirrorMutationSpec spec) {
  HeaderMutationStep mutation;
  if (spec.remove_matching) {
    At at(errors_, "remove_on_match");
    Result<match::StringMatcher> matcher = match::StringMatcher::build(std::move(*spec.remove_matching));
    if (!errors_.add_if_error(matcher.status()))
      mutation.remove_matching = std::make_unique<const match::StringMatcher>(std::move(*matcher));
    return mutation;
  }
  At at(errors_, spec.append ? "append.header" : "remove");
  HeaderMutationsSpec one;
  if (spec.append) {
    one.add.push_back(std::move(*spec.append));
  } else {
    one.remove.push_back(std::move(spec.remove));
  }
  // The lists of routes, of which this is none, have other paths.
  ErrorSink errors;
  mutation.mutations = HeaderMutations::build(std::move(one), HeaderMutations::Target::kRequest, errors);
  for (const BuildError& error : errors.errors()) errors_.add(error.message);
  return mutation;
}

void RouteBuilder::build_weighted(ForwardSpec& spec, ForwardAction::Special& special, const FilterConfigs& route) {
  if (spec.weighted_clusters.empty()) return;
  At weighted(errors_, "weighted_clusters");
  if (!spec.weight_header.empty()) special.weight_header = header_name(spec.weight_header, "header_name");
  special.weighted_clusters.reserve(spec.weighted_clusters.size());
  for (size_t i = 0; i < spec.weighted_clusters.size(); ++i) {
    At at(errors_, "clusters", static_cast<int64_t>(i));
    WeightedClusterSpec& one = spec.weighted_clusters[i];
    WeightedCluster& cluster = special.weighted_clusters.emplace_back();
    if (one.name.empty() == one.cluster_header.empty()) errors_.add("needs either name or cluster_header");
    if (!one.name.empty()) cluster.slot = slot_of(one.name);
    if (!one.cluster_header.empty()) cluster.cluster_header = header_name(one.cluster_header, "cluster_header");
    if (!spec.weight_runtime_prefix.empty() && !one.name.empty()) {
      cluster.weight_key = runtime::Key(spec.weight_runtime_prefix + "." + one.name);
      special.runtime_weights = true;
    }
    cluster.name = std::move(one.name);
    cluster.weight = one.weight;
    cluster.mutations = Mutations::build(std::move(one.mutations), errors_);
    cluster.filter_configs = merge(route, one.filter_configs, cluster.own_filter_configs);
    check_host(one.host_rewrite_literal, "host_rewrite_literal", errors_);
    cluster.host_rewrite_literal = std::move(one.host_rewrite_literal);
    cluster.match = subset_match(one.metadata_match.get(), special.match.get());
    special.total_weight += one.weight;
  }
  if (special.total_weight == 0) errors_.add("the sum of the weights must be greater than zero");
  if (special.total_weight > UINT32_MAX) {
    errors_.add("the sum of the weights is " + std::to_string(special.total_weight) +
                "; at most 4294967295 is allowed");
  }
}

void RouteBuilder::build_specified(std::shared_ptr<const ClusterSpecifier> specifier, ForwardAction::Special& special,
                                   const FilterConfigs& route) {
  special.specifier = std::move(specifier);
  const std::vector<std::string>& clusters = special.specifier->clusters;
  for (size_t i = 0; i <= clusters.size(); ++i) {
    WeightedCluster& cluster = special.specified.emplace_back();
    cluster.filter_configs = &route;
    cluster.slot = {event::SlotKind::kCluster, UINT32_MAX};  // nowhere
    if (i == clusters.size()) return;
    cluster.name = clusters[i];
    cluster.slot = slot_of(cluster.name);
  }
}

void RouteBuilder::build_host_rewrite(HostRewriteSpec spec, ForwardAction::Special& special) {
  special.host_rewrite_kind = spec.kind;
  switch (spec.kind) {
    case HostRewriteSpec::Kind::kNone:
    case HostRewriteSpec::Kind::kAuto:
      return;
    case HostRewriteSpec::Kind::kLiteral:
      check_host(spec.text, "host_rewrite_literal", errors_);
      special.host_rewrite_literal = std::move(spec.text);
      // An empty text is no host to send: as if it had not been said.
      if (special.host_rewrite_literal.empty()) special.host_rewrite_kind = HostRewriteSpec::Kind::kNone;
      return;
    case HostRewriteSpec::Kind::kHeader:
      special.host_rewrite_header = header_name(spec.text, "host_rewrite_header");
      return;
    case HostRewriteSpec::Kind::kFormat:
      special.host_rewrite_format = FormatRewrite::build(spec.text, "host_rewrite", errors_);
      return;
    case HostRewriteSpec::Kind::kPathRegex: {
      At at(errors_, "host_rewrite_path_regex");
      if (!http::all_chars(spec.regex.substitution, http::kFieldChar))
        errors_.add_if_field_error(invalid("substitution: has a control character"));
      Result<match::RegexRewrite> regex = match::RegexRewrite::build(spec.regex);
      if (errors_.add_if_field_error(regex.status())) return;
      special.host_rewrite_regex = std::make_unique<match::RegexRewrite>(std::move(*regex));
      return;
    }
  }
}

std::unique_ptr<http::HeaderName> RouteBuilder::header_name(const std::string& text, std::string_view field) {
  std::string_view token = text;
  if (token.starts_with(':')) token.remove_prefix(1);
  if (!http::is_token(token)) {
    At at(errors_, field);
    errors_.add("\"" + text + "\" is not a header name");
  }
  auto name = std::make_unique<http::HeaderName>(text);
  // The host of a request is kept under :authority, whatever the protocol.
  if (name->id() == http::HeaderId::kHost) *name = http::HeaderName(http::HeaderId::kAuthority);
  return name;
}

const FilterConfigs* RouteBuilder::merge(const FilterConfigs& general, const std::vector<FilterConfigSpec>& specs,
                                         std::unique_ptr<const FilterConfigs>& own) {
  if (specs.empty()) return &general;
  own = std::make_unique<FilterConfigs>(specs);
  if (general.empty()) return own.get();
  table_->merged_filter_configs_.push_back(std::make_unique<FilterConfigs>(FilterConfigs::merge(general, *own)));
  return table_->merged_filter_configs_.back().get();
}

const RouteTable::KnownCluster& RouteBuilder::known(const std::string& cluster) {
  auto [at, added] = clusters_.try_emplace(cluster, event::SlotId{event::SlotKind::kCluster, UINT32_MAX});
  if (added && resolve_) at->second = resolve_(cluster);
  return *at;
}

}  // namespace weir::route
