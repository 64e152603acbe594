#include "core/config/route_config.h"

#include <google/protobuf/any.pb.h>

#include <algorithm>
#include <map>
#include <utility>

#include "core/config/cluster_specifier_config.h"
#include "core/config/data_source.h"
#include "core/config/field_path.h"
#include "core/config/format_config.h"
#include "core/config/hash_policy_config.h"
#include "core/config/matcher_config.h"
#include "core/config/path_report.h"
#include "core/config/policy_config.h"
#include "core/config/route_faults.h"
#include "core/config/route_filter_configs.h"
#include "core/config/route_matchers.h"
#include "core/config/route_redirects.h"
#include "core/config/shared_messages.h"
#include "core/config/suggest.h"
#include "core/http/chars.h"
#include "core/route/upgrades.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/path/rewrite/uri_template/v3/uri_template_rewrite.pb.h"
#include "envoy/type/matcher/v3/regex.pb.h"
#include "envoy/type/v3/percent.pb.h"

// Deprecated fields are read on purpose: existing files have them.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace weir::config {

namespace core_v3 = envoy::config::core::v3;
namespace route_v3 = envoy::config::route::v3;
using Step = FieldPath::Step;

const PositionIndex& RouteConfigEnv::positions() const {
  static const PositionIndex none;
  return none;
}

std::optional<std::string> RouteConfigEnv::read_source(const core_v3::DataSource& source, std::string_view path,
                                                       SourceLimit limit, Diagnostics& diagnostics) {
  SourceFault fault;
  auto content = read_data_source(source, limit, fault);
  if (!content.has_value()) FieldPath(path, positions(), diagnostics).error_at(fault.field, fault.message);
  return content;
}

namespace {

constexpr uint32_t kDefaultMaxBody = 4096;  // of a direct response
constexpr const char* kMaxBodySetBy = "max_direct_response_body_size_bytes of the route configuration";

// Translates one RouteConfiguration. Lives for one call.
class RouteTranslator {
 public:
  RouteTranslator(RouteConfigEnv& env, FieldPath& path) : env_(env), path_(path), filters_(env, path) {}
  // For a message elsewhere in the table that `outer` is at work on.
  RouteTranslator(const RouteTranslator& outer, FieldPath& path)
      : env_(outer.env_),
        path_(path),
        filters_(outer.filters_, path),
        specifiers_(outer.specifiers_),
        validate_clusters_(outer.validate_clusters_),
        max_body_(outer.max_body_) {}

  void table(const route_v3::RouteConfiguration& message, route::RouteTableSpec& out) {
    validate_clusters_ =
        message.has_validate_clusters() ? message.validate_clusters().value() : env_.validate_clusters_by_default();
    max_body_ = message.has_max_direct_response_body_size_bytes()
                    ? message.max_direct_response_body_size_bytes().value()
                    : kDefaultMaxBody;
    out.name = message.name();
    out.most_specific_header_mutations_wins = message.most_specific_header_mutations_wins();
    out.ignore_port_in_host_matching = message.ignore_port_in_host_matching();
    out.ignore_path_parameters_in_path_matching = message.ignore_path_parameters_in_path_matching();
    out.internal_only_headers.assign(message.internal_only_headers().begin(), message.internal_only_headers().end());
    out.vhost_header = message.vhost_header();
    out.mutations = mutations(message);
    out.filter_configs = filters_.read(message.typed_per_filter_config());
    const RouteFilterConfigs::Below below(filters_, message.typed_per_filter_config());
    out.mirrors = mirrors(message.request_mirror_policies());
    read_specifiers(message);
    out.virtual_hosts.resize(static_cast<size_t>(message.virtual_hosts_size()));
    std::map<std::string_view, size_t> names;
    for (size_t i = 0; i < out.virtual_hosts.size(); ++i) {
      Step step(path_, "virtual_hosts", i);
      virtual_host(message.virtual_hosts(static_cast<int>(i)), out.virtual_hosts[i]);
      const auto [first, fresh] = names.try_emplace(out.virtual_hosts[i].name, i);
      if (!fresh) {
        path_.warning_at("name", "virtual_hosts[" + std::to_string(first->second) +
                                     "] has this name too; statistics and logs cannot tell them apart");
      }
    }
  }

 private:
  void read_specifiers(const route_v3::RouteConfiguration& message) {
    for (int i = 0; i < message.cluster_specifier_plugins_size(); ++i) {
      const route_v3::ClusterSpecifierPlugin& one = message.cluster_specifier_plugins(i);
      Step step(path_, "cluster_specifier_plugins", static_cast<size_t>(i));
      auto specifier = read_cluster_specifier(one, path_, env_, validate_clusters_);
      const std::string& name = one.extension().name();
      if (!specifiers_->try_emplace(name, std::move(specifier)).second)
        path_.error_at("extension.name", in_quotes(name) + " is the name of another one, too");
    }
  }

  std::shared_ptr<const route::ClusterSpecifier> find_specifier(const std::string& name) {
    const auto found = specifiers_->find(name);
    if (found != specifiers_->end()) return found->second;
    NearestName near(name);
    for (const auto& [known, specifier] : *specifiers_) near.offer(known);
    const std::string nearest(near.best());
    path_.error_at("cluster_specifier_plugin",
                   in_quotes(name) + " is not one of the cluster_specifier_plugins of this route configuration",
                   in_quotes(name), nearest.empty() ? "" : "did you mean " + nearest + "?");
    return std::make_shared<const route::ClusterSpecifier>();
  }

  void virtual_host(const route_v3::VirtualHost& message, route::VirtualHostSpec& out) {
    out.name = message.name();
    for (const route_v3::VirtualCluster& one : message.virtual_clusters())
      out.virtual_clusters.push_back({one.name(), to_specs(one.headers())});
    out.domains.assign(message.domains().begin(), message.domains().end());
    for (size_t i = 0; i < out.domains.size(); ++i) {
      // The published proxy takes them, and never finds a host that is called so.
      if (out.domains[i].find_first_of("/ \t") != std::string::npos) {
        Step step(path_, "domains", i);
        path_.warning_at("", "no request has this host; write the host alone, as in shop.example or shop.example:8080");
      }
    }
    switch (message.require_tls()) {
      case route_v3::VirtualHost::EXTERNAL_ONLY:
        out.require_tls = route::TlsRequirement::kExternalOnly;
        break;
      case route_v3::VirtualHost::ALL:
        out.require_tls = route::TlsRequirement::kAll;
        break;
      default:
        break;
    }
    out.body_limits = body_limits(message);
    out.mutations = mutations(message);
    out.filter_configs = filters_.read(message.typed_per_filter_config());
    if (message.has_cors()) filters_.read_cors(message.cors(), message.typed_per_filter_config(), out.filter_configs);
    const RouteFilterConfigs::Below below(filters_, message.typed_per_filter_config());
    filters_.read_rate_limits(message.rate_limits(), true, false, out.filter_configs);
    out.include_request_attempt_count = message.include_request_attempt_count();
    out.include_attempt_count_in_response = message.include_attempt_count_in_response();
    out.include_is_timeout_retry_header = message.include_is_timeout_retry_header();
    if (message.has_retry_policy()) {
      Step step(path_, "retry_policy");
      out.retry = to_spec(message.retry_policy(), path_);
    }
    out.mirrors = mirrors(message.request_mirror_policies());
    out.hedge = message.hedge_policy().hedge_on_per_try_timeout();
    if (message.has_metadata()) out.metadata = translate(message.metadata());
    out.routes.resize(static_cast<size_t>(message.routes_size()));
    for (size_t i = 0; i < out.routes.size(); ++i) {
      Step step(path_, "routes", i);
      one_route(message.routes(static_cast<int>(i)), out.routes[i]);
    }
    if (message.has_matcher()) {
      RouteActions actions(*this, out);
      Step step(path_, "matcher");
      PathReport shared(path_);
      out.matcher = translate_matcher(message.matcher(), actions, {}, shared.at());
    }
  }

  // The actions of a virtual host's matcher tree: a route, or a list of routes.
  class RouteActions final : public filter::MatcherActions {
   public:
    RouteActions(RouteTranslator& translator, route::VirtualHostSpec& out)
        : translator_(translator), out_(out), start_(translator.path_.text().size() + 1) {}
    std::optional<uint32_t> add(const google::protobuf::Any& any, std::string_view /*name*/,
                                const std::string& path) override {
      FieldPath at(path, translator_.path_.positions(), translator_.path_.diagnostics());
      RouteTranslator inner(translator_, at);
      route::MatcherActionSpec spec;
      spec.path = path.substr(start_);
      const auto message = PathReport(at).unpack(any);
      if (message == nullptr) return std::nullopt;
      if (const auto* one = dynamic_cast<const route_v3::Route*>(message.get())) {
        inner.one_route(*one, spec.routes.emplace_back());
      } else if (const auto* list = dynamic_cast<const route_v3::RouteList*>(message.get())) {
        spec.is_list = true;
        spec.routes.resize(static_cast<size_t>(list->routes_size()));
        for (size_t i = 0; i < spec.routes.size(); ++i) {
          Step step(at, "routes", i);
          inner.one_route(list->routes(static_cast<int>(i)), spec.routes[i]);
        }
      } else {
        at.error("the action of a virtual host's matcher is an envoy.config.route.v3.Route or RouteList");
      }
      if (!at.ok()) translator_.path_.count_error();
      out_.matcher_actions.push_back(std::move(spec));
      return static_cast<uint32_t>(out_.matcher_actions.size() - 1);
    }

   private:
    RouteTranslator& translator_;
    route::VirtualHostSpec& out_;
    size_t start_;  // of what is below the virtual host in a path
  };

  // Of a virtual host or a route.
  template <class Message>
  static route::BodyLimits body_limits(const Message& message) {
    route::BodyLimits limits;
    if (message.has_request_body_buffer_limit()) limits.exact = message.request_body_buffer_limit().value();
    if (message.has_per_request_buffer_limit_bytes()) limits.at_most = message.per_request_buffer_limit_bytes().value();
    return limits;
  }

  void one_route(const route_v3::Route& message, route::RouteSpec& out) {
    out.name = message.name();
    out.stat_prefix = message.stat_prefix();
    {
      Step step(path_, "match");
      match(message.match(), out.match);
    }
    out.body_limits = body_limits(message);
    out.mutations = mutations(message);
    out.filter_configs = filters_.read(message.typed_per_filter_config());
    if (message.has_metadata()) out.metadata = translate(message.metadata());
    switch (message.action_case()) {
      case route_v3::Route::kRoute: {
        Step step(path_, "route");
        forward(message.route(), out.forward);
        if (message.route().has_cors())
          filters_.read_cors(message.route().cors(), message.typed_per_filter_config(), out.filter_configs);
        filters_.read_rate_limits(message.route().rate_limits(), false,
                                  message.route().include_vh_rate_limits().value(), out.filter_configs);
        break;
      }
      case route_v3::Route::kRedirect: {
        Step step(path_, "redirect");
        out.action = route::ActionKind::kRedirect;
        out.redirect = std::make_unique<route::RedirectSpec>(redirect_spec(message.redirect(), path_));
        break;
      }
      case route_v3::Route::kDirectResponse: {
        Step step(path_, "direct_response");
        out.action = route::ActionKind::kDirectResponse;
        out.direct_response = std::make_unique<route::DirectResponseSpec>(direct_response(message.direct_response()));
        break;
      }
      case route_v3::Route::kNonForwardingAction:
        out.action = route::ActionKind::kNonForwarding;
        break;
      case route_v3::Route::kFilterAction:  // reported as not supported
        out.action = route::ActionKind::kNonForwarding;
        break;
      default:
        out.action = route::ActionKind::kNonForwarding;  // one fault is enough: nothing to compile
        path_.error_at("route", "is required, or else redirect, direct_response or non_forwarding_action");
        break;
    }
  }

  void match(const route_v3::RouteMatch& message, route::RouteMatchSpec& out) {
    switch (message.path_specifier_case()) {
      case route_v3::RouteMatch::kPrefix:
        out.path = message.prefix();
        break;
      case route_v3::RouteMatch::kPath:
        out.path_kind = route::PathKind::kExact;
        out.path = message.path();
        break;
      case route_v3::RouteMatch::kPathSeparatedPrefix:
        out.path_kind = route::PathKind::kSegmentPrefix;
        out.path = message.path_separated_prefix();
        break;
      case route_v3::RouteMatch::kSafeRegex:
        out.path_kind = route::PathKind::kRegex;
        out.path = message.safe_regex().regex();
        break;
      case route_v3::RouteMatch::kConnectMatcher:
        out.path_kind = route::PathKind::kConnect;
        break;
      case route_v3::RouteMatch::kPathMatchPolicy: {
        Step step(path_, "path_match_policy");
        Step config(path_, "typed_config");
        PathReport shared(path_);
        out.path_template = translate_path_template(message.path_match_policy().typed_config(), shared.at());
        // One fault is enough: nothing to compile.
        if (out.path_template) out.path_kind = route::PathKind::kTemplate;
        break;
      }
      default:
        path_.error_at("prefix",
                       "is required, or else path, path_separated_prefix, safe_regex, path_match_policy or "
                       "connect_matcher");
        break;
    }
    if (message.has_case_sensitive()) out.case_sensitive = message.case_sensitive().value();
    out.headers = to_specs(message.headers());
    out.query_parameters = to_specs(message.query_parameters());
    if (message.has_runtime_fraction()) out.runtime_fraction = to_setting(message.runtime_fraction());
    translate_all(message.cookies(), "cookies", out.cookies);
    translate_all(message.dynamic_metadata(), "dynamic_metadata", out.dynamic_metadata);
    translate_all(message.filter_state(), "filter_state", out.filter_state);
    out.grpc = message.has_grpc();
    if (message.has_tls_context()) {
      if (message.tls_context().has_presented()) out.tls_presented = message.tls_context().presented().value();
      if (message.tls_context().has_validated()) out.tls_validated = message.tls_context().validated().value();
    }
  }

  template <class Messages, class Matcher>
  void translate_all(const Messages& messages, std::string_view field, std::vector<Matcher>& out) {
    if (messages.empty()) return;
    PathReport shared(path_);
    for (int i = 0; i < messages.size(); ++i) {
      if (auto matcher = translate(messages.Get(i), shared.at().item(field, i))) out.push_back(std::move(*matcher));
    }
  }

  void forward(const route_v3::RouteAction& message, route::ForwardSpec& out) {
    switch (message.cluster_specifier_case()) {
      case route_v3::RouteAction::kCluster:
        out.cluster = message.cluster();
        check_cluster("cluster", out.cluster);
        break;
      case route_v3::RouteAction::kClusterHeader:
        out.cluster_header = message.cluster_header();
        env_.may_lead_anywhere();
        break;
      case route_v3::RouteAction::kWeightedClusters: {
        Step step(path_, "weighted_clusters");
        weighted_clusters(message.weighted_clusters(), out);
        break;
      }
      case route_v3::RouteAction::CLUSTER_SPECIFIER_NOT_SET:
        path_.error_at("cluster", "is required, or else cluster_header or weighted_clusters");
        out.cluster = "?";
        break;
      case route_v3::RouteAction::kClusterSpecifierPlugin:
        out.specifier = find_specifier(message.cluster_specifier_plugin());
        break;
      case route_v3::RouteAction::kInlineClusterSpecifierPlugin: {
        Step step(path_, "inline_cluster_specifier_plugin");
        out.specifier =
            read_cluster_specifier(message.inline_cluster_specifier_plugin(), path_, env_, validate_clusters_);
        break;
      }
    }
    out.mirrors = mirrors(message.request_mirror_policies());
    out.hash_policies = hash_policy_specs(message.hash_policy());
    if (message.has_metadata_match()) out.metadata_match = metadata_match(message.metadata_match());
    if (out.weight_by_hash && out.hash_policies.empty())
      path_.warning_at("weighted_clusters.use_hash_policy", "has no effect without hash_policy");
    if (message.has_internal_redirect_policy()) {
      Step step(path_, "internal_redirect_policy");
      out.internal_redirect = internal_redirect_policy(message.internal_redirect_policy(), path_);
    } else if (message.internal_redirect_action() == route_v3::RouteAction::HANDLE_INTERNAL_REDIRECT) {
      out.internal_redirect = std::make_unique<route::InternalRedirectPolicy>();
      if (message.has_max_internal_redirects())
        out.internal_redirect->max_redirects = message.max_internal_redirects().value();
    }
    if (message.has_hedge_policy()) out.hedge = message.hedge_policy().hedge_on_per_try_timeout();
    switch (message.cluster_not_found_response_code()) {
      case route_v3::RouteAction::NOT_FOUND:
        out.cluster_not_found_status = 404;
        break;
      case route_v3::RouteAction::INTERNAL_SERVER_ERROR:
        out.cluster_not_found_status = 500;
        break;
      default:
        break;
    }
    if (message.has_timeout()) out.timeout = to_duration(message.timeout());
    if (message.has_idle_timeout()) out.idle_timeout = to_duration(message.idle_timeout());
    if (message.has_flush_timeout()) out.flush_timeout = to_duration(message.flush_timeout());
    if (message.has_max_stream_duration() && message.max_stream_duration().has_max_stream_duration()) {
      out.max_stream_duration = to_duration(message.max_stream_duration().max_stream_duration());
    }
    if (message.max_stream_duration().has_grpc_timeout_header_max()) {
      out.grpc_timeout_header_max = to_duration(message.max_stream_duration().grpc_timeout_header_max());
      out.grpc_timeout_is_of_stream = true;
    } else if (message.has_max_grpc_timeout()) {
      out.grpc_timeout_header_max = to_duration(message.max_grpc_timeout());
    }
    if (message.max_stream_duration().has_grpc_timeout_header_offset()) {
      out.grpc_timeout_header_offset = to_duration(message.max_stream_duration().grpc_timeout_header_offset());
    } else if (message.has_grpc_timeout_offset()) {
      out.grpc_timeout_header_offset = to_duration(message.grpc_timeout_offset());
    }
    if (message.has_retry_policy()) {
      Step step(path_, "retry_policy");
      out.retry = to_spec(message.retry_policy(), path_);
    }
    out.prefix_rewrite = message.prefix_rewrite();
    out.path_rewrite = message.path_rewrite();
    if (message.has_regex_rewrite()) out.regex_rewrite = to_spec(message.regex_rewrite());
    if (message.has_path_rewrite_policy()) path_rewrite_policy(message.path_rewrite_policy().typed_config(), out);
    out.append_x_forwarded_host = message.append_x_forwarded_host();
    out.high_priority = message.priority() == core_v3::HIGH;
    upgrades(message, out);

    using Kind = route::HostRewriteSpec::Kind;
    switch (message.host_rewrite_specifier_case()) {
      case route_v3::RouteAction::kHostRewriteLiteral:
        out.host_rewrite = {Kind::kLiteral, message.host_rewrite_literal(), {}};
        break;
      case route_v3::RouteAction::kAutoHostRewrite:
        if (message.auto_host_rewrite().value()) out.host_rewrite.kind = Kind::kAuto;
        break;
      case route_v3::RouteAction::kHostRewriteHeader:
        out.host_rewrite = {Kind::kHeader, message.host_rewrite_header(), {}};
        break;
      case route_v3::RouteAction::kHostRewritePathRegex:
        out.host_rewrite = {Kind::kPathRegex, {}, to_spec(message.host_rewrite_path_regex())};
        break;
      case route_v3::RouteAction::kHostRewrite:
        out.host_rewrite = {Kind::kFormat, message.host_rewrite(), {}};
        break;
      default:
        break;
    }
  }

  std::shared_ptr<const stream::StaticMetadata> metadata_match(const core_v3::Metadata& message) {
    if (!message.filter_metadata().contains("envoy.lb"))
      path_.warning_at("metadata_match", "has no effect: nothing but filter_metadata of envoy.lb is compared");
    return translate(message);
  }

  void upgrades(const route_v3::RouteAction& message, route::ForwardSpec& out) {
    for (int i = 0; i < message.upgrade_configs_size(); ++i) {
      const auto& from = message.upgrade_configs(i);
      Step step(path_, "upgrade_configs", static_cast<size_t>(i));
      if (const std::string fault = route::upgrade_fault(from.upgrade_type(), out.upgrades); !fault.empty())
        path_.error_at("upgrade_type", fault);
      out.upgrades.push_back({from.upgrade_type(), !from.has_enabled() || from.enabled().value()});
      if (!from.has_connect_config()) continue;
      if (!http::equals_ignoring_case(from.upgrade_type(), "CONNECT")) {
        path_.error_at("connect_config", "is for upgrade_type CONNECT alone; leave it out");
        continue;
      }
      out.ends_connect = true;
      out.ends_post = from.connect_config().allow_post();
    }
  }

  void path_rewrite_policy(const google::protobuf::Any& any, route::ForwardSpec& out) {
    using envoy::extensions::path::rewrite::uri_template::v3::UriTemplateRewriteConfig;
    Step step(path_, "path_rewrite_policy");
    Step config(path_, "typed_config");
    PathReport shared(path_);
    auto message = shared.unpack(any);
    if (message == nullptr) return;
    if (message->GetTypeName() != UriTemplateRewriteConfig::descriptor()->full_name()) {
      shared.at().unsupported(message->GetTypeName() + " is not supported by weir yet; " +
                              UriTemplateRewriteConfig::descriptor()->full_name() + " is");
      return;
    }
    out.path_template_rewrite = static_cast<const UriTemplateRewriteConfig&>(*message).path_template_rewrite();
  }

  void weighted_clusters(const route_v3::WeightedCluster& message, route::ForwardSpec& out) {
    out.weight_header = message.header_name();
    out.weight_runtime_prefix = message.runtime_key_prefix();
    out.weight_by_hash = message.use_hash_policy().value();
    const auto count = static_cast<size_t>(message.clusters_size());
    // An empty list has been refused; one without a name says no more than that.
    out.weighted_clusters.resize(std::max<size_t>(count, 1));
    uint64_t sum = 0;
    for (size_t i = 0; i < count; ++i) {
      Step step(path_, "clusters", i);
      const auto& from = message.clusters(static_cast<int>(i));
      route::WeightedClusterSpec& to = out.weighted_clusters[i];
      to.name = from.name();
      if (!to.name.empty()) check_cluster("name", to.name);
      to.cluster_header = from.cluster_header();
      if (!to.cluster_header.empty()) env_.may_lead_anywhere();
      to.weight = from.weight().value();
      to.mutations = mutations(from);
      to.filter_configs = filters_.read(from.typed_per_filter_config());
      to.host_rewrite_literal = from.host_rewrite_literal();
      if (from.has_metadata_match()) to.metadata_match = metadata_match(from.metadata_match());
      sum += to.weight;
    }
    if (message.has_total_weight() && message.total_weight().value() != sum) {
      path_.error_at("total_weight", "is " + std::to_string(message.total_weight().value()) +
                                         ", but the weights add up to " + std::to_string(sum) + "; leave it out");
    }
  }

  template <class Messages>
  std::vector<route::MirrorSpec> mirrors(const Messages& messages) {
    return mirror_specs(messages, path_, env_, validate_clusters_);
  }

  route::DirectResponseSpec direct_response(const route_v3::DirectResponseAction& message) {
    route::DirectResponseSpec spec;
    if (message.status() < 200 || message.status() > 599) {
      path_.error_at("status", std::to_string(message.status()) + " is out of range; 200 to 599 are allowed");
    }
    spec.status = static_cast<uint16_t>(message.status());
    if (message.has_body_format()) {
      PathReport shared(path_);
      spec.format = translate(message.body_format(), {.verbatim = true}, shared.at().below("body_format"));
      spec.content_type = message.body_format().content_type();
      if (spec.content_type.empty())
        spec.content_type = message.body_format().has_json_format() ? "application/json" : "text/plain";
      if (!http::all_chars(spec.content_type, http::kFieldChar))
        path_.error_at("body_format.content_type", "has a control character, which no header value may have");
    }
    if (!message.has_body()) return spec;
    Step step(path_, "body");
    auto body = env_.read_source(message.body(), path_.text(), {max_body_, kMaxBodySetBy}, path_.diagnostics());
    if (body.has_value()) {
      spec.body = std::move(*body);
    } else {
      path_.count_error();
    }
    return spec;
  }

  // Of any level: the four fields have the same names everywhere.
  template <class Message>
  route::MutationsSpec mutations(const Message& message) {
    route::MutationsSpec spec;
    spec.request.add = header_values(message.request_headers_to_add(), "request_headers_to_add");
    spec.request.remove.assign(message.request_headers_to_remove().begin(), message.request_headers_to_remove().end());
    spec.response.add = header_values(message.response_headers_to_add(), "response_headers_to_add");
    spec.response.remove.assign(message.response_headers_to_remove().begin(),
                                message.response_headers_to_remove().end());
    return spec;
  }

  route::HeaderValueSpec header_value(const core_v3::HeaderValueOption& message) {
    return to_spec(message, [this](std::string_view field, std::string_view text) { path_.error_at(field, text); });
  }

  template <class Messages>
  std::vector<route::HeaderValueSpec> header_values(const Messages& messages, std::string_view field) {
    std::vector<route::HeaderValueSpec> values;
    values.reserve(static_cast<size_t>(messages.size()));
    for (int i = 0; i < messages.size(); ++i) {
      Step step(path_, field, static_cast<size_t>(i));
      values.push_back(header_value(messages.Get(i)));
    }
    return values;
  }

  void check_cluster(std::string_view field, const std::string& name) {
    if (validate_clusters_) config::check_cluster(env_, path_, field, name);
  }

  RouteConfigEnv& env_;
  FieldPath& path_;
  RouteFilterConfigs filters_;
  using Specifiers = std::map<std::string, std::shared_ptr<const route::ClusterSpecifier>>;
  std::shared_ptr<Specifiers> specifiers_ = std::make_shared<Specifiers>();  // of the table, by name
  bool validate_clusters_ = false;
  uint32_t max_body_ = kDefaultMaxBody;
};

}  // namespace

bool translate_route_config(const route_v3::RouteConfiguration& message, std::string_view path, RouteConfigEnv& env,
                            route::RouteTableSpec& out, Diagnostics& diagnostics) {
  FieldPath at(path, env.positions(), diagnostics);
  RouteTranslator(env, at).table(message, out);
  return at.ok();
}

std::unique_ptr<route::RouteTable> build_route_table(const route_v3::RouteConfiguration& message, std::string_view path,
                                                     RouteConfigEnv& env, Diagnostics& diagnostics) {
  route::RouteTableSpec spec;
  const bool translated = translate_route_config(message, path, env, spec, diagnostics);
  std::vector<route::BuildError> errors;
  auto resolve = [&](std::string_view cluster) { return env.cluster_slot(cluster); };
  // Also after errors, with slots left alone: what compiling finds belongs in the same report.
  auto table = route::RouteTable::build(
      std::move(spec), translated ? route::RouteTable::ResolveCluster(resolve) : route::RouteTable::ResolveCluster(),
      &errors, env.stats_store());
  FieldPath at(path, env.positions(), diagnostics);
  for (const route::BuildError& error : errors) at.error_at(path_of_fault(message, error), error.message);
  if (!translated || !table.ok()) return nullptr;
  return std::move(*table);
}

}  // namespace weir::config
