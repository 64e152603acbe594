#include "core/config/policy_config.h"

#include <utility>

#include "core/config/route_matchers.h"
#include "core/config/shared_messages.h"
#include "core/route/route_builder.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace weir::config {

using Step = FieldPath::Step;

void check_cluster(RouteConfigEnv& env, FieldPath& path, std::string_view field, const std::string& name) {
  std::string hint;
  if (env.has_cluster(name, hint)) return;
  path.error_at(field, in_quotes(name) + " is not a cluster of this configuration", in_quotes(name), hint);
}

std::vector<route::MirrorSpec> mirror_specs(
    const google::protobuf::RepeatedPtrField<envoy::config::route::v3::RouteAction_RequestMirrorPolicy>& messages,
    FieldPath& path, RouteConfigEnv& env, bool validate_clusters) {
  std::vector<route::MirrorSpec> specs(static_cast<size_t>(messages.size()));
  for (size_t i = 0; i < specs.size(); ++i) {
    Step step(path, "request_mirror_policies", i);
    const auto& message = messages.Get(static_cast<int>(i));
    route::MirrorSpec& spec = specs[i];
    spec.cluster = message.cluster();
    if (!spec.cluster.empty() && validate_clusters) check_cluster(env, path, "cluster", spec.cluster);
    if (env.has_http_filters(spec.cluster))
      path.warning_at("cluster",
                      in_quotes(spec.cluster) + " has http_filters, which copies of requests do not pass yet");
    spec.cluster_header = message.cluster_header();
    if (message.has_runtime_fraction()) spec.fraction = to_setting(message.runtime_fraction());
    spec.keeps_host = message.disable_shadow_host_suffix_append();
    spec.host = message.host_rewrite_literal();
    for (int j = 0; j < message.request_headers_mutations_size(); ++j) {
      Step field(path, "request_headers_mutations", static_cast<size_t>(j));
      const auto& from = message.request_headers_mutations(j);
      route::MirrorMutationSpec& to = spec.mutations.emplace_back();
      to.remove = from.remove();
      if (from.has_remove_on_match()) to.remove_matching = to_spec(from.remove_on_match().key_matcher());
      if (from.has_append()) {
        Step append(path, "append");
        to.append = to_spec(from.append(),
                            [&path](std::string_view below, std::string_view text) { path.error_at(below, text); });
      }
    }
  }
  return specs;
}

std::shared_ptr<const route::ClusterPolicies> build_cluster_policies(
    const envoy::extensions::upstreams::http::v3::HttpProtocolOptions& message, const std::string& path,
    RouteConfigEnv& env, Diagnostics& diagnostics) {
  if (!message.has_retry_policy() && message.request_mirror_policies().empty()) return nullptr;
  FieldPath at(path, env.positions(), diagnostics);
  route::ClusterPoliciesSpec spec;
  if (message.has_retry_policy()) {
    Step step(at, "retry_policy");
    spec.retry = to_spec(message.retry_policy(), at);
  }
  spec.mirrors = mirror_specs(message.request_mirror_policies(), at, env, env.validate_clusters_by_default());
  route::RouteTable::ResolveCluster resolve;
  if (at.ok()) resolve = [&env](std::string_view cluster) { return env.cluster_slot(cluster); };
  route::ErrorSink errors;
  auto policies = route::RouteBuilder(resolve, errors, nullptr).build(std::move(spec));
  for (const route::BuildError& error : errors.errors()) at.error_at(error.path, error.message);
  return at.ok() ? policies : nullptr;
}

}  // namespace weir::config
