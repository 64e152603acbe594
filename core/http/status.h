// Status codes and their reason phrases (RFC 9110 section 15 and the IANA registry).
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::http {

// "Unknown" for a code that is not registered: a phrase is only decoration (RFC 9112 section 4).
std::string_view reason_phrase(int status);

constexpr bool is_informational(int status) { return status >= 100 && status < 200; }
// Heads of them before a response: nobody means more than so many.
inline constexpr uint8_t kMaxInformational = 32;
constexpr bool is_success(int status) { return status >= 200 && status < 300; }
// RFC 9110 6.4.1: these never have content, whatever their fields say.
constexpr bool forbids_content(int status) { return is_informational(status) || status == 204 || status == 304; }

}  // namespace weir::http
