// Where a request of an ORIGINAL_DST cluster is to go.
#pragma once

#include "core/http/header_map.h"
#include "core/stream/stream_info.h"
#include "core/upstream/cluster.h"

namespace weir::upstream {

// The address that the request, or else its client's connection, says; empty: neither does. `headers`: nullptr, there
// are none. [worker]
net::Address find_destination(const OriginalDestination& original, const stream::StreamInfo& info,
                              const http::HeaderMap* headers);

// "10.0.0.1:80" or "[::1]:80"; empty: it is not one.
net::Address parse_destination(std::string_view text);

}  // namespace weir::upstream
