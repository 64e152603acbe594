#include "core/http/h2/error.h"

#include <iterator>

namespace weir::http::h2 {
namespace {
struct Row {
  std::string_view name;
  ErrorCode code;
};
constexpr Row kRows[] = {{"", ErrorCode::kNoError},
#define WEIR_X(name, text, code, reason) {"http2." #text, ErrorCode::k##code},
                         WEIR_H2_ERRORS(WEIR_X)
#undef WEIR_X
};
static_assert(std::size(kRows) == static_cast<size_t>(Error::kCount));

constexpr std::string_view kCodeNames[] = {
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
};
}  // namespace

std::string_view error_name(Error error) { return kRows[static_cast<size_t>(error)].name; }
ErrorCode error_code(Error error) { return kRows[static_cast<size_t>(error)].code; }
std::string_view error_code_name(ErrorCode code) {
  const auto at = static_cast<size_t>(code);
  return at < std::size(kCodeNames) ? kCodeNames[at] : "unknown";
}

}  // namespace weir::http::h2
