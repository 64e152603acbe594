#include "core/server/admin/load_assignment.h"

#include <algorithm>
#include <string>

#include "core/server/admin/json.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"

namespace weir::admin {
namespace {

using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::endpoint::v3::LbEndpoint;
using envoy::config::endpoint::v3::LocalityLbEndpoints;

void fill_value(const stream::Value& value, google::protobuf::Value& out);

void fill_struct(const stream::Value& value, google::protobuf::Struct& out) {
  for (const stream::Field& field : value.fields())
    fill_value(field.value, (*out.mutable_fields())[std::string(field.key)]);
}

void fill_value(const stream::Value& value, google::protobuf::Value& out) {
  switch (value.kind()) {
    case stream::Value::Kind::kNull:
      out.set_null_value(google::protobuf::NULL_VALUE);
      break;
    case stream::Value::Kind::kBool:
      out.set_bool_value(value.boolean());
      break;
    case stream::Value::Kind::kNumber:
      out.set_number_value(value.number());
      break;
    case stream::Value::Kind::kString:
      out.set_string_value(std::string(value.string()));
      break;
    case stream::Value::Kind::kList:
      out.mutable_list_value();
      for (const stream::Value& item : value.items()) fill_value(item, *out.mutable_list_value()->add_values());
      break;
    case stream::Value::Kind::kStruct:
      fill_struct(value, *out.mutable_struct_value());
      break;
  }
}

bool is_of(const LocalityLbEndpoints& group, const lb::HostEntry& entry) {
  const lb::Locality& locality = entry.locality();
  return group.priority() == entry.priority && group.locality().region() == locality.region &&
         group.locality().zone() == locality.zone && group.locality().sub_zone() == locality.sub_zone;
}

LocalityLbEndpoints& group_of(const lb::HostEntry& entry, ClusterLoadAssignment& out) {
  auto& groups = *out.mutable_endpoints();
  // Hosts come group by group.
  if (!groups.empty() && is_of(groups[groups.size() - 1], entry)) return groups[groups.size() - 1];
  const auto known =
      std::find_if(groups.begin(), groups.end(), [&](const LocalityLbEndpoints& group) { return is_of(group, entry); });
  if (known != groups.end()) return *known;
  LocalityLbEndpoints& made = *groups.Add();
  made.set_priority(entry.priority);
  const lb::Locality& locality = entry.locality();
  made.mutable_locality()->set_region(locality.region);
  made.mutable_locality()->set_zone(locality.zone);
  made.mutable_locality()->set_sub_zone(locality.sub_zone);
  if (locality.weight > 0) made.mutable_load_balancing_weight()->set_value(locality.weight);
  return made;
}

void fill_endpoint(const lb::HostEntry& entry, LbEndpoint& out) {
  fill_address(entry.address(), *out.mutable_endpoint()->mutable_address());
  out.mutable_endpoint()->set_hostname(entry.host->hostname());
  out.set_health_status(health_status(entry.health));
  out.mutable_load_balancing_weight()->set_value(entry.weight);
  if (entry.metadata == nullptr) return;
  for (const stream::Field& space : entry.metadata->root().fields())
    fill_struct(space.value, (*out.mutable_metadata()->mutable_filter_metadata())[std::string(space.key)]);
}

}  // namespace

envoy::config::core::v3::HealthStatus health_status(lb::Health health) {
  switch (health) {
    case lb::Health::kHealthy:
      return envoy::config::core::v3::HEALTHY;
    case lb::Health::kDegraded:
      return envoy::config::core::v3::DEGRADED;
    case lb::Health::kUnhealthy:
      return envoy::config::core::v3::UNHEALTHY;
    case lb::Health::kDraining:
      return envoy::config::core::v3::DRAINING;
  }
  return envoy::config::core::v3::HEALTHY;
}

void fill_load_assignment(const ClusterView& cluster, ClusterLoadAssignment& out) {
  out.set_cluster_name(std::string(cluster.eds_service_name.empty() ? cluster.name : cluster.eds_service_name));
  for (const lb::HostEntry& entry : cluster.hosts) fill_endpoint(entry, *group_of(entry, out).add_lb_endpoints());
}

}  // namespace weir::admin
