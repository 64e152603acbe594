// What matcher trees look at: one fact of a request, response, connection or stream, named when configuration is built.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/http/header_map.h"
#include "core/net/address.h"
#include "core/stream/filter_state.h"
#include "core/stream/stream_info.h"
#include "core/stream/value.h"

namespace weir::match {

// What there is to look at. Null: has not come (yet).
struct Facts {
  const stream::StreamInfo* info = nullptr;  // never null while a tree is evaluated
  const http::HeaderMap* request_headers = nullptr;
  const http::HeaderMap* request_trailers = nullptr;
  const http::HeaderMap* response_headers = nullptr;
  const http::HeaderMap* response_trailers = nullptr;
};

struct Input {
  enum class Kind : uint8_t {
    kRequestHeader,  // all values of a name, joined by ","
    kRequestTrailer,
    kResponseHeader,
    kResponseTrailer,
    kQueryParameter,       // decoded, the first of its name
    kResponseStatus,       // "404"
    kResponseStatusClass,  // "4xx"
    kDestinationIp,
    kDestinationPort,
    kSourceIp,
    kSourcePort,
    kDirectSourceIp,
    kSourceType,  // "local", or nothing
    kServerName,
    kTransportProtocol,    // "tls", "raw_buffer"
    kApplicationProtocol,  // "'h2','http/1.1'"
    kFilterState,          // the plain form
    kDynamicMetadata,
    kUriSan,
    kDnsSan,
    kSubject,
  };
  Kind kind = Kind::kRequestHeader;
  http::HeaderName header = {};  // of the four kinds of headers
  std::string query_parameter = {};
  stream::FilterStateName filter_state = {};
  std::vector<std::string> path = {};  // kDynamicMetadata: the namespace, then keys

  // Reads nothing but facts of the connection: such a tree can choose a filter chain.
  bool of_connection() const;
};

// One fact. Views are good until the next input is read on this thread, or the facts change.
struct InputValue {
  enum class Kind : uint8_t {
    kNotYet,  // may still come
    kNone,    // is not there
    kText,
    kAddress,
    kValue,
  };
  Kind kind = Kind::kNone;
  std::string_view text = {};
  const net::Address* address = nullptr;
  const stream::Value* value = nullptr;

  // Addresses without their port, values if they are strings. data() is nullptr if it has no such form.
  // `buffer`: net::Address::kMaxText bytes.
  std::string_view as_text(char* buffer) const;
};

// Room for what has to be put together.
struct InputScratch {
  char bytes[net::Address::kMaxText];
};
InputValue read(const Input& input, const Facts& facts, InputScratch& scratch) noexcept;

// From this very host: over the loopback interface, over a Unix socket, or from one address to itself.
bool is_same_host(const net::Address& remote, const net::Address& local) noexcept;

}  // namespace weir::match
