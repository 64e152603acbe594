// What a connection of HTTP/2 allows its peer, from envoy.config.core.v3.Http2ProtocolOptions. [main]
#pragma once

#include "core/config/field_report.h"
#include "core/http/h2/options.h"

namespace envoy::config::core::v3 {
class Http2ProtocolOptions;
}

namespace weir::config {

// What the message does not say stays as it is.
void translate(const envoy::config::core::v3::Http2ProtocolOptions& message, http::h2::Options& to);

}  // namespace weir::config
