// From envoy.config.core.v3.GrpcService.GoogleGrpc, which names a server as gRPC's own library does, to the cluster
// that weir calls it through. [main]
#pragma once

#include <optional>
#include <string>

#include "core/filter/factory.h"
#include "envoy/config/cluster/v3/cluster.pb.h"

namespace envoy::config::core::v3 {
class GrpcService_GoogleGrpc;
}

namespace weir::config {

struct GoogleGrpcTarget {
  envoy::config::cluster::v3::Cluster cluster;  // named after the stat_prefix
  std::string authority;                        // of calls
};

// Nothing: it has faults, all reported.
std::optional<GoogleGrpcTarget> read_google_grpc(const envoy::config::core::v3::GrpcService_GoogleGrpc& proto,
                                                 filter::FactoryScope& scope);

}  // namespace weir::config
