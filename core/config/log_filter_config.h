// From envoy.config.accesslog.v3.AccessLogFilter to core/match. [main]
#pragma once

#include "core/config/field_report.h"
#include "core/match/log_filter.h"

namespace envoy::config::accesslog::v3 {
class AccessLogFilter;
}

namespace weir::config {

// nullptr: faults were reported.
match::LogFilterPtr translate(const envoy::config::accesslog::v3::AccessLogFilter& message, const FieldReport& at);

}  // namespace weir::config
