// The names that a request's connection is asked for, where the cluster takes them from requests.
#pragma once

#include "core/base/arena.h"
#include "core/filter/transport_socket.h"
#include "core/http/header_map.h"
#include "core/upstream/cluster.h"

namespace weir::proxy {

// `request`: as it comes to the router. Texts in the arena.
filter::UpstreamTransportOptions names_of(const upstream::AutoNames& wanted, const http::HeaderMap& request,
                                          Arena& arena);

}  // namespace weir::proxy
