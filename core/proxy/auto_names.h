// What the connection of a request is asked for, or tells, where the cluster takes it from the request or its client.
#pragma once

#include <memory>

#include "core/base/arena.h"
#include "core/filter/transport_socket.h"
#include "core/http/header_map.h"
#include "core/stream/stream_info.h"
#include "core/upstream/cluster.h"

namespace weir::proxy {

// `request`: as it goes to the upstream, its host rewritten. `told`: what the header of `wanted` said before the route
// changed headers. Texts in the arena.
filter::UpstreamTransportOptions names_of(const upstream::AutoNames& wanted, const http::HeaderMap& request,
                                          std::string_view told, Arena& arena);

// Whether any of this is to be asked for.
inline bool asks_for_names(const upstream::ClusterSpec& spec, const stream::StreamInfo& info) {
  const bool has_state =
      info.filter_state != nullptr || (info.connection != nullptr && info.connection->filter_state != nullptr);
  return spec.auto_names.server_name || spec.auto_names.validation || spec.transports.tells_client ||
         (has_state && spec.transports.encrypts);
}
// What filters have left in filter state counts more: `envoy.network.upstream_server_name`,
// `envoy.network.application_protocols` and `envoy.network.upstream_subject_alt_names`, the last two lists by commas.
void add_filter_state(const stream::StreamInfo& info, filter::UpstreamTransportOptions& options, Arena& arena);

// As a listener filter has kept it, or made of the addresses, into `own`.
const stream::ProxyHeader* client_of(const stream::StreamInfo& info, std::unique_ptr<stream::ProxyHeader>& own);

}  // namespace weir::proxy
