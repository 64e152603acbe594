// What a connection manager does to the headers of requests before anything else looks at them: hop-by-hop fields, who
// the client is, and the request id.
#pragma once

#include <optional>
#include <string_view>

#include "core/base/arena.h"
#include "core/base/random.h"
#include "core/http/header_map.h"
#include "core/proxy/connection_manager.h"
#include "core/stream/stream_info.h"

namespace weir::proxy {

// "100m" and its like (the gRPC protocol over HTTP/2: eight digits at most and a unit); zero: none, or none that can be
// read.
Duration parse_grpc_timeout(std::string_view text);

// The time for an answer (RouteAction.max_grpc_timeout): what a gRPC client grants in grpc-timeout, less `offset` if it
// is more than that, at most `longest` (zero: any). Zero: for ever.
Duration grpc_timeout(const http::HeaderMap& headers, Duration longest, std::optional<Duration> offset);
// The time of a stream (RouteAction.MaxStreamDuration): what a client has granted, at most `longest` (zero: any), less
// `offset`. Above zero, however little is left.
Duration grpc_stream_timeout(Duration granted, Duration longest, Duration offset);
// Tells the server so; zero: nothing is told.
void set_grpc_timeout(http::HeaderMap& headers, Duration timeout, Arena& arena);

// Connection, keep-alive, proxy-connection, te, transfer-encoding, upgrade, and what `connection` names (RFC 9110
// 7.6.1). `te: trailers` stays. What is named and no field of that kind goes to `named`, with commas between: it is not
// to be in the trailers either.
void remove_hop_by_hop(http::HeaderMap& headers, std::string* named = nullptr);
// False: there is nothing to remove.
inline bool is_about_connection(const http::HeaderMap& headers) {
  return headers.contains_any_of_eight<http::HeaderId::kConnection, http::HeaderId::kUpgrade>();
}
// Fields that such a list names.
void remove_named(http::HeaderMap& trailers, std::string_view named);
// Of a request to be refused, as published: `connection` names what a proxy in front has said of the client
// (x-forwarded-for, -host, -proto), which whoever writes that would have forgotten, a pseudo-header, or ten fields and
// more.
bool connection_names_too_much(const http::HeaderMap& headers);

// Behind remove_hop_by_hop(): says again that the message is about going on with `protocol` (RFC 9110 7.8).
void set_upgrade(http::HeaderMap& headers, std::string_view protocol);

// An offer to go on with HTTP/2, which is declined by ignoring it (RFC 9110 7.8): its fields are hop by hop.
bool is_h2c_offer(const http::HeaderMap& headers);

struct ClientIdentity {
  bool edge = false;           // the request enters the trusted network here: what it says of its way was removed
  bool internal = false;       // it comes from inside: it may say what proxies are to do with it
  uint16_t reject_status = 0;  // not 0: who it is cannot be told, and it is to be answered with this
};

// Works out the client's address from the connection and x-forwarded-for, as the published options say; sets
// info.downstream_remote, x-forwarded-for, x-forwarded-proto, x-envoy-internal and x-envoy-external-address.
ClientIdentity identify_downstream(const ConnectionManagerConfig& config, bool is_tls, http::HeaderMap& headers,
                                   stream::StreamInfo& info, Arena& arena);

// Gives the request an id (UUID version 4) if it has none, or if `replace`.
void ensure_request_id(http::HeaderMap& headers, bool replace, Random& random, Arena& arena);

}  // namespace weir::proxy
