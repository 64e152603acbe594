// The field `access_log` of terminal network filters.
#pragma once

#include <memory>
#include <vector>

#include "core/filter/factory.h"
#include "core/stream/access_logger.h"

namespace google::protobuf {
template <typename Element>
class RepeatedPtrField;
}
namespace envoy::config::accesslog::v3 {
class AccessLog;
}

namespace weir::filters::access_logs {

// [main] The loggers, behind their filters. Faults are reported below the field `access_log` of the scope's message;
// what has one is left out.
std::vector<std::shared_ptr<const stream::AccessLogger>> read(
    const google::protobuf::RepeatedPtrField<envoy::config::accesslog::v3::AccessLog>& messages,
    filter::FactoryScope& scope);

}  // namespace weir::filters::access_logs
