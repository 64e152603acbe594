// The request that asks an HTTP proxy for a tunnel (TcpProxy.tunneling_config), and its answer.
#pragma once

#include <string>
#include <vector>

#include "core/base/arena.h"
#include "core/event/lane.h"
#include "core/http/header_map.h"
#include "core/stream/filter_state.h"
#include "core/stream/formatter.h"
#include "core/stream/header_value.h"
#include "core/stream/stream_info.h"

namespace weir::filters::tcp_proxy {

// [immutable]
struct TunnelSettings {
  stream::Format hostname;  // "db.example:5432"
  bool post = false;        // instead of CONNECT: the two bodies are the tunnel
  std::string post_path = "/";
  std::vector<stream::HeaderValue> headers;
  // Where in the connection's filter state the answer's headers and trailers are kept; no name: they are not.
  stream::FilterStateName headers_key, trailers_key;
};

// Keeps what an answer said with the connection: %FILTER_STATE(name:FIELD:header)% prints one of the headers.
void keep_answer(const stream::FilterStateName& name, const http::HeaderMap& headers, stream::ConnectionInfo& info);

// Of one attempt. [worker]
class Tunnel {
 public:
  Tunnel(const TunnelSettings& settings, const stream::LogSubject& subject, event::Lane& lane)
      : arena_(lane.arenas()), request_(arena_), response_(arena_) {
    request_.add(http::HeaderId::kMethod, settings.post ? "POST" : "CONNECT");
    if (settings.post) {
      request_.add(http::HeaderId::kPath, settings.post_path);
      request_.add(http::HeaderId::kScheme, "http");
    }
    request_.add(http::HeaderId::kAuthority, stream::print(settings.hostname, subject, arena_));
    for (const stream::HeaderValue& header : settings.headers) header.apply(request_, subject, arena_);
  }
  const http::HeaderMap& request() const { return request_; }
  // Empty: for the head that comes next.
  http::HeaderMap& begin_response() {
    response_.clear();
    return response_;
  }
  // The last head, or what came behind the body.
  const http::HeaderMap& response() const { return response_; }
  int status() const { return response_.status_code(); }

 private:
  Arena arena_;
  http::HeaderMap request_;
  http::HeaderMap response_;
};

}  // namespace weir::filters::tcp_proxy
