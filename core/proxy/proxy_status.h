// The proxy-status header (RFC 9209) of responses that tell of an error of this proxy or its upstream.
#pragma once

#include <string>
#include <string_view>

#include "core/base/arena.h"
#include "core/http/header_map.h"
#include "core/proxy/connection_manager.h"
#include "core/stream/stream_info.h"

namespace weir::proxy {

// How a name stands in the header: as it is if it is a token (RFC 8941 3.3.4), else as a string in quotes. [main]
std::string proxy_status_name(std::string_view name);

// Appends a member if the stream's response flags are those of an error; may replace the status code, as configured.
void add_proxy_status(const ProxyStatusConfig& config, const stream::StreamInfo& info, http::HeaderMap& headers,
                      Arena& arena);

}  // namespace weir::proxy
