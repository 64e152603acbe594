#include "core/config/balance_config.h"

#include <utility>

#include "core/config/field_report.h"
#include "core/config/hash_policy_config.h"
#include "core/config/subset_config.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb.h"
#include "envoy/extensions/load_balancing_policies/maglev/v3/maglev.pb.h"
#include "envoy/extensions/load_balancing_policies/random/v3/random.pb.h"
#include "envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.pb.h"
#include "envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb.h"
#include "envoy/extensions/load_balancing_policies/subset/v3/subset.pb.h"

namespace weir::config {
namespace {

namespace cluster_v3 = envoy::config::cluster::v3;
namespace policies = envoy::extensions::load_balancing_policies;
using google::protobuf::Message;
using policies::common::v3::ConsistentHashingLbConfig;

class BalanceReader {
 public:
  BalanceReader(const cluster_v3::Cluster& proto, const std::string& path, const filter::Registry& registry,
                RouteConfigEnv& env, Report& report, ClusterTranslation& out)
      : proto_(proto), at_{report, path}, registry_(registry), env_(env), report_(report), out_(out) {}

  void read() {
    if (proto_.has_load_balancing_policy()) {
      without_effect("load_balancing_policy says how hosts are chosen", true);
      from_list(proto_.load_balancing_policy(), at_.below("load_balancing_policy"));
    } else {
      without_effect("lb_policy is " + cluster_v3::Cluster::LbPolicy_Name(proto_.lb_policy()), false);
      from_enum();
      const FieldReport subsets = at_.below("lb_subset_config");
      if (proto_.has_lb_subset_config() && out_.policy != nullptr)
        use_subsets(translate(proto_.lb_subset_config(), subsets), subsets, out_);
    }
    out_.spec.divided = out_.subsets != nullptr;
  }

 private:
  // Settings for other policies than the one that is used.
  void without_effect(const std::string& because, bool all) const {
    const auto tell = [&](std::string_view field, bool is_set, cluster_v3::Cluster::LbPolicy policy) {
      if (is_set && (all || proto_.lb_policy() != policy))
        at_.below(field).warning("has no effect: " + because + "; remove it");
    };
    tell("round_robin_lb_config", proto_.has_round_robin_lb_config(), cluster_v3::Cluster::ROUND_ROBIN);
    tell("least_request_lb_config", proto_.has_least_request_lb_config(), cluster_v3::Cluster::LEAST_REQUEST);
    tell("ring_hash_lb_config", proto_.has_ring_hash_lb_config(), cluster_v3::Cluster::RING_HASH);
    tell("maglev_lb_config", proto_.has_maglev_lb_config(), cluster_v3::Cluster::MAGLEV);
    if (proto_.has_lb_subset_config() && all)
      at_.below("lb_subset_config").warning("has no effect: " + because + "; remove it");
    const cluster_v3::Cluster::CommonLbConfig& common = proto_.common_lb_config();
    const FieldReport at_common = at_.below("common_lb_config");
    const bool hashes =
        proto_.lb_policy() == cluster_v3::Cluster::RING_HASH || proto_.lb_policy() == cluster_v3::Cluster::MAGLEV;
    if (common.has_consistent_hashing_lb_config() && (all || !hashes))
      at_common.below("consistent_hashing_lb_config").warning("has no effect: " + because + "; remove it");
    if (common.has_zone_aware_lb_config() && all)
      at_common.below("zone_aware_lb_config").warning("has no effect: " + because + "; remove it");
    if (common.has_locality_weighted_lb_config() && all)
      at_common.below("locality_weighted_lb_config").warning("has no effect: " + because + "; remove it");
  }

  // As published, the first policy of the list that this build has counts.
  void from_list(const cluster_v3::LoadBalancingPolicy& list, const FieldReport& at) {
    std::string names;
    for (int i = 0; i < list.policies_size(); ++i) {
      const FieldReport here = at.item("policies", i).below("typed_extension_config").below("typed_config");
      auto message = report_.unpack(list.policies(i).typed_extension_config().typed_config(), here.path);
      if (message == nullptr) return;
      if (const auto* subset = dynamic_cast<const policies::subset::v3::Subset*>(message.get())) {
        if (inside_subset_) {
          here.error("subsets cannot be divided into subsets");
          return;
        }
        from_subset(*subset, here);
        return;
      }
      const lb::PolicyDescriptor* policy = registry_.lb_policy(message->GetTypeName());
      if (policy == nullptr) {
        names += (names.empty() ? "" : ", ") + message->GetTypeName();
        continue;
      }
      if (!use(*policy, *message, here)) return;
      if (const auto* ring = dynamic_cast<const policies::ring_hash::v3::RingHash*>(message.get()))
        hash_policies(ring->consistent_hashing_lb_config(), here);
      if (const auto* maglev = dynamic_cast<const policies::maglev::v3::Maglev*>(message.get()))
        hash_policies(maglev->consistent_hashing_lb_config(), here);
      return;
    }
    at.error(names.empty() ? "policies must not be empty"
                           : "none of these policies is supported by weir yet: " + names);
  }

  void from_subset(const policies::subset::v3::Subset& message, const FieldReport& at) {
    auto subsets = translate(message, at);
    inside_subset_ = true;
    from_list(message.subset_lb_policy(), at.below("subset_lb_policy"));
    if (out_.policy != nullptr) use_subsets(std::move(subsets), at, out_);
  }

  void hash_policies(const ConsistentHashingLbConfig& config, const FieldReport& at) {
    if (config.hash_policy().empty()) return;
    out_.spec.hash_policies = build_hash_policies(config.hash_policy(), at.below("consistent_hashing_lb_config").path,
                                                  env_, report_.diagnostics());
  }

  void from_enum() {
    const cluster_v3::Cluster::CommonLbConfig& common = proto_.common_lb_config();
    switch (proto_.lb_policy()) {
      case cluster_v3::Cluster::ROUND_ROBIN:
        use_settings(policies::round_robin::v3::RoundRobin(), "round_robin_lb_config");
        break;
      case cluster_v3::Cluster::RANDOM:
        use_settings(policies::random::v3::Random(), "lb_policy");
        break;
      case cluster_v3::Cluster::LEAST_REQUEST: {
        policies::least_request::v3::LeastRequest config;
        if (proto_.least_request_lb_config().has_choice_count())
          *config.mutable_choice_count() = proto_.least_request_lb_config().choice_count();
        use_settings(config, "least_request_lb_config");
        break;
      }
      case cluster_v3::Cluster::RING_HASH: {
        policies::ring_hash::v3::RingHash config;
        const cluster_v3::Cluster::RingHashLbConfig& from = proto_.ring_hash_lb_config();
        if (from.has_minimum_ring_size()) *config.mutable_minimum_ring_size() = from.minimum_ring_size();
        if (from.has_maximum_ring_size()) *config.mutable_maximum_ring_size() = from.maximum_ring_size();
        if (from.hash_function() == cluster_v3::Cluster::RingHashLbConfig::MURMUR_HASH_2)
          config.set_hash_function(policies::ring_hash::v3::RingHash::MURMUR_HASH_2);
        consistent(common, *config.mutable_consistent_hashing_lb_config());
        use_settings(config, "ring_hash_lb_config");
        break;
      }
      case cluster_v3::Cluster::MAGLEV: {
        policies::maglev::v3::Maglev config;
        if (proto_.maglev_lb_config().has_table_size())
          *config.mutable_table_size() = proto_.maglev_lb_config().table_size();
        consistent(common, *config.mutable_consistent_hashing_lb_config());
        use_settings(config, "maglev_lb_config");
        break;
      }
      case cluster_v3::Cluster::CLUSTER_PROVIDED:
        at_.error_at(
            "lb_policy",
            "CLUSTER_PROVIDED is for clusters of a type that chooses hosts by itself; this one has ROUND_ROBIN, "
            "LEAST_REQUEST, RING_HASH, MAGLEV and RANDOM");
        return;
      case cluster_v3::Cluster::LOAD_BALANCING_POLICY_CONFIG:
        at_.error_at("lb_policy", "LOAD_BALANCING_POLICY_CONFIG leaves it to load_balancing_policy, which is not set");
        return;
      default:
        at_.below("lb_policy")
            .unsupported(cluster_v3::Cluster::LbPolicy_Name(proto_.lb_policy()) +
                         " is not supported by weir yet; ROUND_ROBIN, LEAST_REQUEST, RING_HASH, MAGLEV and RANDOM are");
        return;
    }
    lb::HostSet::Options& options = out_.host_options;
    options.locality_weighted |= common.has_locality_weighted_lb_config();
    if (options.locality_weighted) options.zones.reset();
    if (common.has_zone_aware_lb_config()) read_zones(common.zone_aware_lb_config());
  }

  void read_zones(const cluster_v3::Cluster::CommonLbConfig::ZoneAwareLbConfig& from) {
    std::optional<lb::ZonePolicy>& zones = out_.host_options.zones;
    if (!zones) {
      at_.below("common_lb_config")
          .below("zone_aware_lb_config")
          .warning("has no effect: lb_policy is " + cluster_v3::Cluster::LbPolicy_Name(proto_.lb_policy()) +
                   "; remove it");
      return;
    }
    if (from.has_routing_enabled())
      zones->enabled = static_cast<uint32_t>(from.routing_enabled().value() / 100 * lb::ZonePolicy::kAlways);
    if (from.has_min_cluster_size()) zones->min_cluster_size = from.min_cluster_size().value();
    zones->fail_on_panic = from.fail_traffic_on_panic();
  }

  static void consistent(const cluster_v3::Cluster::CommonLbConfig& from, ConsistentHashingLbConfig& to) {
    to.set_use_hostname_for_hashing(from.consistent_hashing_lb_config().use_hostname_for_hashing());
    if (from.consistent_hashing_lb_config().has_hash_balance_factor())
      *to.mutable_hash_balance_factor() = from.consistent_hashing_lb_config().hash_balance_factor();
  }

  void use_settings(const Message& config, std::string_view settings) {
    const lb::PolicyDescriptor* policy = registry_.lb_policy(config.GetTypeName());
    if (policy == nullptr) {
      at_.error_at("lb_policy", "this build was made without that load balancer");
      return;
    }
    use(*policy, config, at_.below(settings));
  }

  // `place`: of its settings.
  bool use(const lb::PolicyDescriptor& policy, const Message& config, const FieldReport& place) {
    auto made = policy.make_config(config);
    if (!made.ok()) {
      const FieldFault fault = field_fault(made.status());
      if (config.GetDescriptor()->FindFieldByName(fault.field) != nullptr) {
        place.below(fault.field).error(fault.text);
      } else {
        place.error(message_of(made.status()));
      }
      return false;
    }
    out_.policy = &policy;
    out_.policy_config = std::move(made->config);
    out_.host_options.locality_weighted = made->locality_weighted;
    out_.host_options.zones = made->zones;
    return true;
  }

  const cluster_v3::Cluster& proto_;
  const FieldReport at_;
  const filter::Registry& registry_;
  RouteConfigEnv& env_;
  Report& report_;
  ClusterTranslation& out_;
  bool inside_subset_ = false;
};

}  // namespace

void read_balancing(const cluster_v3::Cluster& proto, const std::string& path, const filter::Registry& registry,
                    RouteConfigEnv& env, Report& report, ClusterTranslation& out) {
  BalanceReader(proto, path, registry, env, report, out).read();
}

}  // namespace weir::config
