// What the HTTP/1 codecs share with their owners: limits, options and the facts of a head.
#pragma once

#include <cstdint>
#include <string>

#include "core/http/h1/error.h"
#include "core/http/request_head.h"

namespace weir::http::h1 {

// Part of the listener's or cluster's configuration; codecs keep a reference.
struct Limits {
  uint32_t max_head_bytes = 60 * 1024;  // start line and headers together
  uint32_t max_header_count = 100;
  uint32_t max_trailer_bytes = 60 * 1024;         // as published, that of the head
  uint32_t max_chunk_extension_bytes = 4 * 1024;  // over the whole message
};

struct Options {
  bool accept_http_10 = false;  // a request of HTTP/1.0: else 426
  bool allow_absolute_url = true;
  bool allow_custom_methods = true;  // any token; false: the registered methods only
  bool proper_case = false;          // write names as Title-Case
  // Messages that are received take their spelling along (HeaderMap::received()): it counts more than proper_case of
  // the codec that writes them.
  bool preserve_case = false;
  bool proper_case_of_added = false;   // then: of names that the message did not have
  bool forward_reason_phrase = false;  // then: of responses
  // Messages with Content-Length and chunked: chunked counts, and the connection ends with them (RFC 9112 6.3). Else
  // they are refused.
  bool allow_chunked_length = false;
  // A request whose content is wrong but whose end is certain is refused without the end of the connection.
  bool keep_open_after_invalid = false;
  bool absolute_form = false;  // write targets as http://host/path (RFC 9112 3.2.2)
  std::string default_host;    // of requests of HTTP/1.0 without one; empty: they have none
};

struct Settings {
  Limits limits;
  Options options;
};

using http::Version;

enum class BodyKind : uint8_t {
  kNone,
  kLength,
  kChunked,
  kUntilClose,  // responses only
  kTunnel,      // opaque bytes in both directions after 101 or a 2xx to CONNECT
};

// Of CONNECT and upgrades the owner decides whether body bytes follow (enter_tunnel()).
struct RequestHead : http::RequestHead {
  uint32_t head_bytes = 0;  // up to and with the empty line
  BodyKind body = BodyKind::kNone;
  bool keep_alive = true;  // what the request allows
  bool absolute_form = false;
  ParseError invalid = ParseError::kNone;  // Options::keep_open_after_invalid: to be answered with an error
};

struct ResponseHead {
  uint64_t content_length = 0;  // with BodyKind::kLength
  uint32_t head_bytes = 0;      // up to and with the empty line
  uint16_t status = 0;
  Version version = Version::kHttp11;
  BodyKind body = BodyKind::kNone;
  bool end_stream = true;
  bool keep_alive = true;
};

// What a response's framing depends on.
struct RequestKind {
  bool is_head = false;
  bool is_connect = false;
  bool is_upgrade = false;
  // Of the protocol that an upgrade asks for; 0: it leaves a choice, or there is none.
  uint32_t protocol = 0;
};

}  // namespace weir::http::h1
