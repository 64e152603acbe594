// Conditions on a stream at the moment its line is about to be written: which lines an access log takes, and which
// local replies a mapper is about (envoy.config.accesslog.v3.AccessLogFilter). Built on main; [immutable].
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/event/lane.h"
#include "core/match/header_matcher.h"
#include "core/match/value_matcher.h"
#include "core/runtime/runtime.h"
#include "core/stream/access_logger.h"
#include "core/stream/stream_info.h"

namespace weir::match {

class LogFilter {
 public:
  virtual ~LogFilter() = default;
  // [worker]
  virtual bool passes(const stream::LogSubject& subject, event::Lane& lane) const noexcept = 0;
};
using LogFilterPtr = std::unique_ptr<const LogFilter>;

enum class Comparison : uint8_t { kEqual, kAtLeast, kAtMost, kNotEqual };

// The status code; 0: no response was sent.
LogFilterPtr status_code_filter(Comparison comparison, runtime::RuntimeUnsigned value);
// Milliseconds since the first byte of the request, to the end or, before that, to now.
LogFilterPtr duration_filter(Comparison comparison, runtime::RuntimeUnsigned value);
LogFilterPtr not_health_check_filter();
// A share of the streams: the same for all proxies that see the same x-request-id, unless `independent`.
LogFilterPtr runtime_filter(runtime::RuntimeFraction fraction, bool independent);
LogFilterPtr all_of_filter(std::vector<LogFilterPtr> filters);
LogFilterPtr any_of_filter(std::vector<LogFilterPtr> filters);
// Of the request.
LogFilterPtr header_filter(HeaderMatcher header);
// One of these flags is set; of none at all: any flag is.
LogFilterPtr response_flag_filter(stream::ResponseFlags flags);
// The status that a gRPC client sees is one of these, or with `exclude` is not.
LogFilterPtr grpc_status_filter(std::bitset<17> statuses, bool exclude);
// Dynamic metadata; `if_missing` is the answer when there is no such value.
LogFilterPtr metadata_filter(MetadataMatcher matcher, bool if_missing);
LogFilterPtr log_type_filter(std::bitset<static_cast<size_t>(stream::AccessLogType::kCount)> types, bool exclude);

// `logger`, for the streams that pass.
std::shared_ptr<const stream::AccessLogger> filtered(LogFilterPtr filter,
                                                     std::shared_ptr<const stream::AccessLogger> logger);

}  // namespace weir::match
