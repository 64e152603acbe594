#include "core/config/cluster_specifier_config.h"

#include <utility>

#include "core/config/matcher_config.h"
#include "core/config/path_report.h"
#include "core/config/policy_config.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/router/cluster_specifiers/matcher/v3/matcher.pb.h"

namespace weir::config {
namespace {

using Step = FieldPath::Step;
namespace specifier_v3 = envoy::extensions::router::cluster_specifiers::matcher::v3;

class ClusterActions final : public filter::MatcherActions {
 public:
  ClusterActions(filter::ConfigReport& report, FieldPath& path, RouteConfigEnv& env, bool check_clusters,
                 std::vector<std::string>& clusters)
      : report_(report), path_(path), env_(env), check_clusters_(check_clusters), clusters_(clusters) {}
  std::optional<uint32_t> add(const google::protobuf::Any& any, std::string_view /*name*/,
                              const std::string& path) override {
    const auto message = report_.unpack(any, path);
    if (message == nullptr) return std::nullopt;
    const auto* action = dynamic_cast<const specifier_v3::ClusterAction*>(message.get());
    FieldPath at(path, path_.positions(), path_.diagnostics());
    if (action == nullptr) {
      at.error("the action of this matcher is an " + specifier_v3::ClusterAction::descriptor()->full_name());
    } else if (action->cluster().empty()) {
      at.error_at("cluster", "must not be empty");
    } else if (check_clusters_) {
      check_cluster(env_, at, "cluster", action->cluster());
    }
    if (!at.ok()) {
      path_.count_error();
      return std::nullopt;
    }
    clusters_.push_back(action->cluster());
    return static_cast<uint32_t>(clusters_.size() - 1);
  }

 private:
  filter::ConfigReport& report_;
  FieldPath& path_;
  RouteConfigEnv& env_;
  const bool check_clusters_;
  std::vector<std::string>& clusters_;
};

}  // namespace

std::shared_ptr<const route::ClusterSpecifier> read_cluster_specifier(
    const envoy::config::route::v3::ClusterSpecifierPlugin& message, FieldPath& path, RouteConfigEnv& env,
    bool check_clusters) {
  auto specifier = std::make_shared<route::ClusterSpecifier>();
  Step extension(path, "extension");
  if (message.extension().name().empty()) path.error_at("name", "must not be empty");
  Step config(path, "typed_config");
  const std::string type = specifier_v3::MatcherClusterSpecifier::descriptor()->full_name();
  const std::string& url = message.extension().typed_config().type_url();
  if (const std::string found = url.substr(url.rfind('/') + 1); found != type) {
    const std::string text = (found.empty() ? std::string("no type") : found) +
                             " does not say which cluster a request goes to here; " + type + " does";
    if (message.is_optional()) {
      path.warning_at({}, text + "; requests of routes with this plugin have no cluster");
    } else {
      path.error(text);
    }
    return specifier;
  }
  PathReport shared(path);
  const auto unpacked = shared.unpack(message.extension().typed_config());
  if (unpacked != nullptr) {
    const auto& matcher = static_cast<const specifier_v3::MatcherClusterSpecifier&>(*unpacked);
    ClusterActions actions(shared.at().report, path, env, check_clusters, specifier->clusters);
    if (matcher.has_cluster_matcher()) {
      specifier->tree = translate_matcher(matcher.cluster_matcher(), actions, {}, shared.at().below("cluster_matcher"));
    } else {
      path.error_at("cluster_matcher", "is required");
    }
  }
  return specifier;
}

}  // namespace weir::config
