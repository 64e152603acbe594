// Parses one complete head (RFC 9112 sections 2 to 6) in one pass. The views put into the map point into `head`, into
// static storage or, for unknown names with capitals and rewritten targets, into the map's arena. On an error the map
// holds what came before it, for the access log.
#pragma once

#include <array>
#include <initializer_list>
#include <string_view>

#include "core/http/h1/error.h"
#include "core/http/h1/message.h"
#include "core/http/header_map.h"

namespace weir::http::h1 {

// `head` begins with a complete head; what is behind its empty line makes no difference. :authority is the target's or
// Host's; `host` is not kept. :scheme is set for absolute-form only. On an error `out` is complete if out.invalid says
// so too: what the fields mean is wrong, and the message's end is certain.
[[nodiscard]] ParseError parse_request_head(std::string_view head, const Settings& settings, HeaderMap& map,
                                            RequestHead& out);

// What RequestKind::protocol is for a field value; 0 for one that is empty or names several.
uint32_t upgrade_protocol(std::string_view upgrade);
[[nodiscard]] ParseError parse_response_head(std::string_view head, const Settings& settings, RequestKind request,
                                             HeaderMap& map, ResponseHead& out);

// The status of a head that starts with a valid status line; 0 otherwise. To choose where its fields go.
int peek_status(std::string_view head);

// `section` ends with its empty line. The views point into `section`.
[[nodiscard]] ParseError parse_trailers(std::string_view section, const Settings& settings, HeaderMap& map);

namespace detail {
constexpr auto make_id_set(std::initializer_list<HeaderId> ids) {
  std::array<bool, 256> set{};
  for (HeaderId id : ids) set[static_cast<size_t>(id)] = true;
  return set;
}

// RFC 9110 6.5.1: framing, routing, authentication, request modifiers, response controls, content format. A recipient
// that merged one of these into the head would be led astray.
inline constexpr auto kForbiddenInTrailers = make_id_set({HeaderId::kHost,
                                                          HeaderId::kContentLength,
                                                          HeaderId::kTransferEncoding,
                                                          HeaderId::kConnection,
                                                          HeaderId::kKeepAlive,
                                                          HeaderId::kProxyConnection,
                                                          HeaderId::kTe,
                                                          HeaderId::kTrailer,
                                                          HeaderId::kUpgrade,
                                                          HeaderId::kHttp2Settings,
                                                          HeaderId::kAuthorization,
                                                          HeaderId::kProxyAuthorization,
                                                          HeaderId::kProxyAuthenticate,
                                                          HeaderId::kWwwAuthenticate,
                                                          HeaderId::kCookie,
                                                          HeaderId::kSetCookie,
                                                          HeaderId::kCacheControl,
                                                          HeaderId::kExpect,
                                                          HeaderId::kMaxForwards,
                                                          HeaderId::kPragma,
                                                          HeaderId::kRange,
                                                          HeaderId::kIfMatch,
                                                          HeaderId::kIfNoneMatch,
                                                          HeaderId::kIfModifiedSince,
                                                          HeaderId::kIfUnmodifiedSince,
                                                          HeaderId::kIfRange,
                                                          HeaderId::kContentEncoding,
                                                          HeaderId::kContentType,
                                                          HeaderId::kContentRange,
                                                          HeaderId::kAge,
                                                          HeaderId::kDate,
                                                          HeaderId::kExpires,
                                                          HeaderId::kLocation,
                                                          HeaderId::kRetryAfter,
                                                          HeaderId::kVary,
                                                          HeaderId::kForwarded,
                                                          HeaderId::kXForwardedFor,
                                                          HeaderId::kXForwardedHost,
                                                          HeaderId::kXForwardedProto,
                                                          HeaderId::kXForwardedPort,
                                                          HeaderId::kXForwardedClientCert,
                                                          HeaderId::kXRealIp});
}  // namespace detail

// Fields that are neither accepted nor sent as trailers.
constexpr bool is_forbidden_trailer(HeaderId id) { return detail::kForbiddenInTrailers[static_cast<size_t>(id)]; }

// What is wrong with the first bytes of a request, whose end need not be there: bytes that can never become a request
// are refused at once. With kNone, `method_end` is behind the method if that is complete, else 0.
ParseError check_request_start(std::string_view bytes, size_t& method_begin, size_t& method_end);

}  // namespace weir::http::h1
