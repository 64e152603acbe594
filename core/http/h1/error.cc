#include "core/http/h1/error.h"

#include <iterator>

namespace weir::http::h1 {
namespace {
struct Row {
  std::string_view name;
  int status;
};
constexpr Row kRows[] = {{"http1.none", 400},
#define WEIR_X(name, text, status, reason) {"http1." #text, status},
                         WEIR_H1_ERRORS(WEIR_X)
#undef WEIR_X
};
static_assert(std::size(kRows) == static_cast<size_t>(ParseError::kCount));

constexpr std::string_view kEncodeNames[] = {
    "http1.encode.none",          "http1.encode.invalid_start_line",
    "http1.encode.invalid_field", "http1.encode.invalid_content_length",
    "http1.encode.body_too_long", "http1.encode.body_too_short",
    "http1.encode.wrong_state",
};
}  // namespace

std::string_view error_name(ParseError error) { return kRows[static_cast<size_t>(error)].name; }
int suggested_status(ParseError error) { return kRows[static_cast<size_t>(error)].status; }
std::string_view error_name(EncodeError error) { return kEncodeNames[static_cast<size_t>(error)]; }

}  // namespace weir::http::h1
