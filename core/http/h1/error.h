// Why a message was refused. Error names are response code details and counters: they are interface.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::http::h1 {

// name, suggested status of the local reply, reason. Sections are of RFC 9112 unless another RFC is named.
// A codec for responses reports the same errors; their status is always 502 and not in this table.
#define WEIR_H1_ERRORS(X)                                                                                \
  /* Bytes that are no HTTP/1 at all */                                                                  \
  X(TlsRecord, tls_record, 400, "a TLS handshake on a plain-text port")                                  \
  X(InvalidMethod, invalid_method, 400, "9110 9.1: the method is not a token")                           \
  /* Start line: sections 3 and 4 */                                                                     \
  X(InvalidRequestLine, invalid_request_line, 400, "3: more or less than two single spaces")             \
  X(MissingVersion, missing_version, 400, "3: HTTP/0.9 style request line")                              \
  X(InvalidVersion, invalid_version, 400, "2.3: not HTTP/DIGIT.DIGIT, which is case-sensitive")          \
  X(UnsupportedVersion, unsupported_version, 505, "2.3: a major version other than 1")                   \
  X(Http10Refused, http_10_refused, 426, "HTTP/1.0 is not enabled")                                      \
  X(UnsupportedMethod, unsupported_method, 501, "9110 9.1: not a registered method")                     \
  X(InvalidTarget, invalid_target, 400, "3.2: a character or a form that no request-target may have")    \
  X(AbsoluteFormRefused, absolute_form_refused, 400, "3.2.2: absolute-form is not enabled")              \
  X(InvalidScheme, invalid_scheme, 400, "3.2.2: the target's scheme is neither http nor https")          \
  X(TargetTooLong, target_too_long, 414, "3: the request line alone exceeds the limit")                  \
  X(InvalidStatusLine, invalid_status_line, 400, "4: malformed status line")                             \
  X(InvalidStatus, invalid_status, 400, "4: not three digits from 100 to 999")                           \
  /* Lines and fields: sections 2.2 and 5 */                                                             \
  X(HeadTooLarge, head_too_large, 431, "5: start line and fields exceed the limit")                      \
  X(TooManyHeaders, too_many_headers, 431, "5: more field lines than the limit")                         \
  X(BareLf, bare_lf, 400, "2.2: a line ends without CR")                                                 \
  X(BareCr, bare_cr, 400, "2.2: CR without LF")                                                          \
  X(NulByte, nul_byte, 400, "9110 5.5: NUL in a field")                                                  \
  X(ObsFold, obs_fold, 400, "5.2: a continuation line, or white space before the first field")           \
  X(MissingColon, missing_colon, 400, "5: a field line without a colon")                                 \
  X(SpaceBeforeColon, space_before_colon, 400, "5.1: white space between name and colon")                \
  X(EmptyName, empty_name, 400, "5.1: a field without a name")                                           \
  X(InvalidName, invalid_name, 400, "9110 5.1: the name is not a token")                                 \
  X(InvalidValue, invalid_value, 400, "9110 5.5: a control character in a value")                        \
  /* Host: section 3.2 */                                                                                \
  X(MissingHost, missing_host, 400, "3.2: HTTP/1.1 without Host")                                        \
  X(DuplicateHost, duplicate_host, 400, "3.2: more than one Host")                                       \
  X(InvalidHost, invalid_host, 400, "3.2: not uri-host [ : port ]")                                      \
  X(HostMismatch, host_mismatch, 400, "3.2.2: Host differs from the target's authority")                 \
  /* Framing: section 6 */                                                                               \
  X(InvalidContentLength, invalid_content_length, 400, "6.3: not a decimal number of at most 19 digits") \
  X(DuplicateContentLength, duplicate_content_length, 400, "6.3: several values, even if they agree")    \
  X(LengthAndEncoding, length_and_encoding, 400, "6.1: Content-Length and Transfer-Encoding")            \
  X(InvalidTransferEncoding, invalid_transfer_encoding, 400, "6.1: chunked is not the last, or twice")   \
  X(UnsupportedTransferEncoding, unsupported_transfer_encoding, 501, "6.1: a coding beside chunked")     \
  X(EncodingInHttp10, encoding_in_http_10, 400, "6.1: Transfer-Encoding in an HTTP/1.0 message")         \
  X(EncodingWithoutBody, encoding_without_body, 400, "6.1: Transfer-Encoding in a 1xx or 204 response")  \
  X(ConnectWithBody, connect_with_body, 400, "9110 9.3.6: CONNECT has no content")                       \
  /* Chunked coding: section 7.1 */                                                                      \
  X(InvalidChunkSize, invalid_chunk_size, 400, "7.1: not 1 to 16 hexadecimal digits")                    \
  X(ChunkTooLarge, chunk_too_large, 400, "7.1: the size does not fit")                                   \
  X(InvalidChunkExtension, invalid_chunk_extension, 400, "7.1.1: malformed chunk extension")             \
  X(ChunkExtensionsTooLarge, chunk_extensions_too_large, 400, "7.1.1: extensions exceed the limit")      \
  X(MissingChunkEnd, missing_chunk_end, 400, "7.1: no CRLF after the data of a chunk")                   \
  X(TrailersTooLarge, trailers_too_large, 431, "7.1.2: the trailer section exceeds the limit")           \
  X(ForbiddenTrailer, forbidden_trailer, 400, "9110 6.5.1: this field may not be a trailer")             \
  /* Connection level: section 9 */                                                                      \
  X(PrematureEof, premature_eof, 400, "8: the connection ended within a message")                        \
  X(UnexpectedData, unexpected_data, 400, "9.2: response bytes that no request asked for")               \
  X(UnexpectedUpgrade, unexpected_upgrade, 400, "9110 7.8: 101 to what nobody asked for")                \
  X(TooManyInformational, too_many_informational, 400, "9110 15.2: more 1xx heads than a peer can mean")

enum class ParseError : uint8_t {
  kNone,
#define WEIR_X(name, text, status, reason) k##name,
  WEIR_H1_ERRORS(WEIR_X)
#undef WEIR_X
      kCount
};

// "http1.bare_lf"; "http1.none" for kNone.
std::string_view error_name(ParseError error);
// The status of the local reply to a request that was refused.
int suggested_status(ParseError error);

// Why a message was not written. Nothing was appended to the output then.
enum class EncodeError : uint8_t {
  kNone,
  kInvalidStartLine,      // method, target, authority or status missing or with an illegal character
  kInvalidField,          // CR, LF or NUL in a value; a name that is not a token
  kInvalidContentLength,  // malformed or more than one
  kBodyTooLong,           // more bytes than content-length said
  kBodyTooShort,          // the end came before content-length was reached: close the connection
  kWrongState,            // body before head, trailers twice, bytes for a tunnel that is not open
};
std::string_view error_name(EncodeError error);

}  // namespace weir::http::h1
