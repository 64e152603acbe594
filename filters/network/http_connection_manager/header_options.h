// Headers to add, as the parts of the connection manager's configuration have them. [main]
#pragma once

#include "core/filter/factory.h"
#include "core/route/spec.h"

namespace envoy::config::core::v3 {
class HeaderValueOption;
}

namespace weir::filters::http_connection_manager {

// `scope`: of the message. What only compiling shows is not checked here.
route::HeaderValueSpec read_header_option(const envoy::config::core::v3::HeaderValueOption& proto,
                                          filter::FactoryScope& scope);

}  // namespace weir::filters::http_connection_manager
