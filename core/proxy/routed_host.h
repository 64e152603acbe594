// What a terminal filter of an HTTP chain may rely on beyond the stream: the chosen route and the stream's deadlines.
// Every host that core/proxy makes (server streams, headless streams, the tests' harness) is one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/filter/stream.h"
#include "core/proxy/connection_manager.h"
#include "core/proxy/deadlines.h"
#include "core/route/route_table.h"

namespace weir::proxy {

// The terminal filter: told when one of its deadlines has passed. [worker]
class DeadlineListener {
 public:
  virtual void on_deadline(DeadlineKind kind) = 0;
  // Bytes of the request that it keeps, or has given to an upstream that has not taken them; and of the response that
  // wait there.
  virtual size_t held_bytes() = 0;

 protected:
  ~DeadlineListener() = default;
};

class RoutedHost : public filter::StreamHost {
 public:
  virtual const route::Selection& selection() const = 0;
  virtual const ConnectionManagerConfig& config() const = 0;
  virtual Deadlines& deadlines() = 0;
  // Who hears of kRoute and kPerTry.
  virtual void set_deadline_listener(DeadlineListener* listener) = 0;
  // The route's idle timeout instead of the connection manager's.
  virtual void set_stream_idle_timeout(Duration timeout) = 0;
  // Drawn once per stream: sampling, weights, fractions.
  virtual uint64_t stream_random() const = 0;
  // --- Redirects that are followed here ---
  uint32_t redirects() const { return redirects_; }
  // The route of request_headers() as they are now, by the table that the stream has; none if there is no such route.
  virtual std::optional<route::Selection> look_up_route() = 0;
  // No redirect has led from the route that is selected to this one yet; remembers that one does now.
  virtual bool is_new_redirect(const route::Route& to) = 0;
  // The request is taken for a new one, with its headers as they are now, this body and its trailers: it runs through
  // the filters from the first one on. Empties `body`.
  virtual void restart(const route::Selection& selection, Slices& body, bool trailers) = 0;
  // The response's trailers, which wait for the client, may be kept until it has read them. The first answer holds.
  virtual bool keeps_trailers(const http::HeaderMap& trailers) = 0;
  // So many bytes of the request's body may be kept here, if it is to be sent again or waits for an upstream. False: as
  // many as before.
  virtual bool keeps_body(size_t bytes) = 0;
  // Bytes moved: the idle timeout starts again.
  virtual void touch() = 0;
  // The request is complete with its headers and asks for a tunnel (an upgrade that is allowed, CONNECT): what follows
  // as its data is the tunnel's, and comes only when a response has opened it.
  virtual bool asks_for_tunnel() const { return false; }
  // Both directions of the tunnel have ended: the terminal filter needs no more.
  virtual void on_tunnel_end() {}

 protected:
  ~RoutedHost() = default;
  uint32_t redirects_ = 0;  // followed so far
};

}  // namespace weir::proxy
