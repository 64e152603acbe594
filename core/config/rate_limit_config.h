// From the API's RateLimit messages to what makes descriptors. [main]
#pragma once

#include <google/protobuf/repeated_field.h>

#include <vector>

#include "core/config/field_report.h"
#include "core/match/rate_limits.h"

namespace envoy::config::route::v3 {
class RateLimit;
}

namespace weir::config {

// `list`: where they are. Faults are reported; what comes of messages that have any is of no use.
std::vector<match::RateLimit> translate(
    const google::protobuf::RepeatedPtrField<envoy::config::route::v3::RateLimit>& messages, const FieldReport& list);

}  // namespace weir::config
