#include "core/upstream/upstream_stream.h"

namespace weir::upstream {

std::string_view reason_text(ResetReason reason) {
  switch (reason) {
    case ResetReason::kNone:
      return "";
    case ResetReason::kConnectFailure:
      return "connection_failure";
    case ResetReason::kConnectTimeout:
      return "connection_timeout";
    case ResetReason::kConnectionTermination:
    case ResetReason::kResponseCut:
      return "connection_termination";
    case ResetReason::kProtocolError:
      return "protocol_error";
    case ResetReason::kOverflow:
      return "overflow";
    case ResetReason::kLocalReset:
      return "local_reset";
    case ResetReason::kRemoteReset:
      return "remote_reset";
    case ResetReason::kRemoteRefused:
      return "remote_refused_stream_reset";
  }
  return "";
}

}  // namespace weir::upstream
